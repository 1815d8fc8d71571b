"""Which processor a run is carried out on."""

from __future__ import annotations

import torch

from core.config import wrong


def place(name: str) -> torch.device:
    """Resolve ``device``: auto takes CUDA, then Apple's, then the processor. ValueError for one that isn't there."""
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise wrong(
            "device", name, f"not on this machine ({str(error).splitlines()[0]}); auto chooses"
        ) from error
    return device
