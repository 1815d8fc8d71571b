"""The device a run is carried out on."""

from __future__ import annotations

import torch

from core.config import config_error
from core.training.parallel import ALONE, ProcessGroup


def resolve_device(name: str, parallel: ProcessGroup = ALONE) -> torch.device:
    """Return the torch device of ``device=``: auto takes CUDA, then MPS, then the CPU.

    Each of several processes takes the GPU of its local rank; they can't share one. Raises ValueError for a device
    that this machine does not have.
    """
    if parallel.world > 1:
        return _gpu_of_rank(name, parallel)
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise config_error(
            "device", name, f"not on this machine ({str(error).splitlines()[0]}); auto chooses"
        ) from error
    return device


def _gpu_of_rank(name: str, parallel: ProcessGroup) -> torch.device:
    gpus = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and gpus == 0):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise config_error(
            "device", name, f"{parallel.world} processes take cpu or cuda (a GPU each); auto chooses"
        )
    if parallel.local >= gpus:
        raise config_error(
            "device",
            name,
            f"this machine has {gpus} GPUs: start at most one process for each (--nproc-per-node), "
            "or choose device=cpu",
        )
    return torch.device("cuda", parallel.local)
