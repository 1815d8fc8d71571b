"""The secret that sampling and noise are drawn from: kept for a resume, forgotten when the run is finished."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAME = "secret"


def take_secret(folder: Path, noise_seed: int | None) -> int:
    """Give the run's secret number: ``noise_seed`` if one is set, else 128 random bits kept in ``folder``.

    A seed from the configuration stands in the record, so whoever reads it could subtract the noise; a secret
    of the operating system's exists only until ``forget_secret``.
    """
    if noise_seed is not None:
        return noise_seed
    path = folder / NAME
    if path.exists():
        return int(path.read_text(), 16)
    number = secrets.randbits(128)
    # Only the owner may read it, from its first byte on.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{number:032x}")
        file.flush()
        os.fsync(file.fileno())
    return number


def forget_secret(folder: Path) -> None:
    """Remove the secret: from then on nobody can draw the noise again."""
    (folder / NAME).unlink(missing_ok=True)
