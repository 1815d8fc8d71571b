"""Which processor a run is carried out on."""

from __future__ import annotations

import torch

from core.config import config_error
from core.training.parallel import ALONE, Parallel


def place(name: str, parallel: Parallel = ALONE) -> torch.device:
    """Resolve ``device``: auto takes CUDA, then Apple's, then the processor. ValueError for one that isn't there.

    Each of several processes takes the card of its number; they can't share one.
    """
    if parallel.world > 1:
        return _own(name, parallel)
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


def _own(name: str, parallel: Parallel) -> torch.device:
    cards = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and cards == 0):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise config_error(
            "device", name, f"{parallel.world} processes take cpu or cuda (a card each); auto chooses"
        )
    if parallel.local >= cards:
        raise config_error(
            "device",
            name,
            f"this machine has {cards} CUDA cards: start at most one process for each (--nproc-per-node), "
            "or choose device=cpu",
        )
    return torch.device("cuda", parallel.local)
