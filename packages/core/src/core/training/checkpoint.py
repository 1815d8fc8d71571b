"""Checkpoints: tensors in safetensors, the rest in JSON, each file atomic and hashed; nothing is unpickled."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from core.atomic_io import write_atomically
from core.training.types import OptionalState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from core.training.types import Stateful

SCHEMA = 1
"""Raised whenever an older checkpoint can no longer be taken up."""

log = logging.getLogger(__name__)


class DamagedError(ValueError):
    """A checkpoint is torn or was altered."""


class Checkpoints:
    """Writes what the parts of a run need to go on, and finds the newest whole one again."""

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, Stateful],
        fingerprint: Mapping[str, Any],
        *,
        every: int = 0,
        minutes: float = 0.0,
        keep: int = 2,
    ) -> None:
        """Keep the ``keep`` newest checkpoints of ``parts`` in ``folder``, every so many steps and minutes.

        ``fingerprint`` (JSON: configuration, data hashes) must be the same on resume; the schema of the code
        is added to it. 0 steps and 0 minutes write only at the end and when interrupted.
        """
        self.folder = folder
        self.parts = dict(parts)
        self.fingerprint = _flat({"schema": SCHEMA, **fingerprint})
        self.every = every
        self.seconds = minutes * 60
        self.keep = keep
        self.messages: list[str] = []
        """What a resume had to say, for the record."""
        self._written = time.monotonic()

    def after(self, step: int, *, last: bool = False) -> None:
        """Write a checkpoint after ``step`` (counted from 1) if its number or the clock says so, or it is the last."""
        due = self.every > 0 and step % self.every == 0
        if last or due or (self.seconds > 0 and time.monotonic() - self._written >= self.seconds):
            self.save(step)

    def save(self, step: int) -> None:
        """Write a checkpoint after ``step`` steps; the former ones stay whole whatever happens meanwhile.

        Raises ValueError that says what to do where the disk is full.
        """
        tensors: dict[str, torch.Tensor] = {}
        values: dict[str, dict[str, Any]] = {}
        for part, stateful in self.parts.items():
            values[part] = {}
            for name, value in stateful.state_dict().items():
                if isinstance(value, torch.Tensor):
                    # A copy of its own: safetensors refuses tensors that share memory, such as tied weights.
                    tensors[f"{part}/{name}"] = value.detach().to("cpu", copy=True).contiguous()
                else:
                    values[part][name] = value
        content = save_tensors(tensors)
        body = {
            "step": step,
            "fingerprint": self.fingerprint,
            "machine": _machine(),
            "tensors": hashlib.sha256(content).hexdigest(),
            "values": values,
        }
        path = self.folder / f"step-{step:09d}.safetensors"
        try:
            write_atomically(path, content)
            # The JSON is written last: a checkpoint exists once it is there.
            write_atomically(path.with_suffix(".json"), _sealed(body))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ValueError(self._full(step, len(content))) from error
        self._written = time.monotonic()
        self._forget_old()

    def resume(self) -> int:
        """Load the newest whole checkpoint into the parts and give its step; 0 where there is none.

        A torn or altered one is passed over with a message for the one before it. Raises ValueError where none
        is whole, and where the fingerprint differs (naming the key, its old and its new value).
        """
        manifests = sorted(self.folder.glob("step-*.json"), reverse=True)
        for manifest in manifests:
            try:
                body, tensors = _read(manifest)
            except DamagedError as error:
                self._say(f"{error}; passed over for the checkpoint before it")
                continue
            self._compare(body["fingerprint"])
            for key, now in _machine().items():
                if body["machine"].get(key) != now:
                    self._say(
                        f"the checkpoint was written with {key}={body['machine'].get(key)}, this is {now}: "
                        "the run goes on, but not bit for bit as it would have"
                    )
            for part, stateful in self.parts.items():
                if part not in body["values"] and isinstance(stateful, OptionalState):
                    self._say(f"{manifest.name} lacks {part}: {stateful.missing()}")
                    continue
                if part not in body["values"]:
                    raise ValueError(
                        f"{manifest} holds nothing of {part}: it was written by a run that was watched or stopped "
                        "otherwise; train anew in another folder (hydra.run.dir)"
                    )
                cut = len(part) + 1
                own = {name[cut:]: t for name, t in tensors.items() if name.startswith(f"{part}/")}
                stateful.load_state_dict({**body["values"][part], **own})
            return int(body["step"])
        if manifests:
            raise ValueError(
                f"no checkpoint in {self.folder} is whole: {'; '.join(self.messages)}. "
                f"Delete the folder to train anew, or restore its files"
            )
        return 0

    def _compare(self, former: dict[str, Any]) -> None:
        for key in sorted(former.keys() | self.fingerprint.keys()):
            old, new = former.get(key, "(absent)"), self.fingerprint.get(key, "(absent)")
            if old != new:
                raise ValueError(
                    f"{self.folder} holds checkpoints of a run with {key}={old!r}, but it is now {new!r}: "
                    "use the former value to go on, or another folder (hydra.run.dir) to train anew"
                )

    def _forget_old(self) -> None:
        for manifest in sorted(self.folder.glob("step-*.json"), reverse=True)[self.keep :]:
            manifest.unlink()
        for tensors in self.folder.glob("step-*.safetensors"):
            if not tensors.with_suffix(".json").exists():
                tensors.unlink()
        for torn in self.folder.glob(".step-*.part"):  # what a kill in the middle of a write left
            torn.unlink()

    def _full(self, step: int, size: int) -> str:
        free = shutil.disk_usage(self.folder).free
        kept = [
            int(found[1]) for p in self.folder.glob("step-*.json") if (found := re.search(r"(\d+)", p.name))
        ]
        went = f"the checkpoint of step {max(kept)} is whole" if kept else "none was written before"
        return (
            f"no space left in {self.folder} for the checkpoint of step {step} ({size / 1e6:.0f} MB needed, "
            f"{free / 1e6:.0f} MB free); {went}: free some space and run the same command again to go on"
        )

    def _say(self, message: str) -> None:
        self.messages.append(message)
        log.warning(message)


def _sealed(body: dict[str, Any]) -> bytes:
    text = json.dumps(body, sort_keys=True)
    return json.dumps(
        {"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": body}, sort_keys=True
    ).encode()


def _read(manifest: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read and check both files of a checkpoint, raising DamagedError that names the file."""
    try:
        sealed = json.loads(manifest.read_bytes())
        body: dict[str, Any] = sealed["body"]
        text = json.dumps(body, sort_keys=True)
        whole = sealed["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{manifest} is torn") from error
    if not whole:
        raise DamagedError(f"{manifest} was altered (its hash differs)")
    path = manifest.with_suffix(".safetensors")
    if not path.exists():
        raise DamagedError(f"{path} is missing")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != body["tensors"]:
        raise DamagedError(f"{path} is torn or was altered (its hash differs)")
    return body, load_tensors(content)


def _machine() -> dict[str, Any]:
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return {
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "processes": torch.distributed.get_world_size() if together else 1,
    }


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name every leaf by its dotted key, in the values that JSON gives back."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.loads(json.dumps(value))
    return flat
