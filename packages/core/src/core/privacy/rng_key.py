"""The key that sampling, noise and dropout are drawn with: kept for a resume, destroyed when the run ends."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FILE = "rng_key"
FORMER_FILE = "secret"
"""What versions before 0.2 called it: removed wherever the key is."""
WORDS = 624
"""Words of 32 bits in the state of a Mersenne Twister."""
HEADER = 3
"""Words of 64 bits before them in torch's serialized state."""


def load_or_create_key(folder: Path, noise_seed: int | None) -> int:
    """Return the run's key: ``noise_seed`` if one is set, else 128 random bits kept in ``folder``.

    A seed from the configuration stands in the record, so whoever reads it could subtract the noise; a key from the
    operating system exists only until ``destroy_key``. Raises ValueError where checkpoints lie in the folder whose
    key is gone.
    """
    if noise_seed is not None:
        return noise_seed
    path = folder / FILE
    if path.exists():
        return int(path.read_text(), 16)
    if any(folder.glob("step-*.json")):
        raise ValueError(
            f"{folder} holds checkpoints of a private run whose key is gone (the run ended, or failed its "
            "audit): it can't be resumed; train anew in another folder (hydra.run.dir)"
        )
    key = secrets.randbits(128)
    folder.mkdir(parents=True, exist_ok=True)
    # Only the owner may read it, from its first byte on; it gets its name once it is whole.
    beside = folder / f".{FILE}.part"
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{key:032x}")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return key


def destroy_key(folder: Path) -> None:
    """Remove the key: from then on nobody can draw the noise again."""
    for name in (FILE, FORMER_FILE):
        (folder / name).unlink(missing_ok=True)
        (folder / f".{name}.part").unlink(missing_ok=True)


def keyed_generator(key: int, *names: str | int, device: torch.device | None = None) -> torch.Generator:
    """Return a random generator for one named use, a pure function of the key and the names.

    On the CPU all 19,968 bits of the Mersenne Twister's state are expanded from the key (SHAKE-256):
    ``manual_seed`` keeps 32 bits of its seed there, few enough to try them all or to meet the same noise twice.
    On CUDA and MPS the seed is a 64-bit key of a counter-based generator (Philox).

    >>> import torch
    >>> a, b = (torch.rand(2, generator=keyed_generator(7, "noise", step)) for step in (0, 0))
    >>> torch.equal(a, b)
    True
    """
    import torch  # the CLI removes keys without it

    text = "\x1f".join([f"{key:x}", *(str(name) for name in names)]).encode()
    if device is not None and device.type != "cpu":
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)
        return torch.Generator(device).manual_seed(seed)
    generator = torch.Generator().manual_seed(0)
    words = torch.frombuffer(bytearray(hashlib.shake_256(text).digest(4 * WORDS)), dtype=torch.int32)
    state = generator.get_state().view(torch.int64)
    state[HEADER : HEADER + WORDS] = words.long() & 0xFFFFFFFF
    generator.set_state(state.view(torch.uint8))
    return generator
