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

SCHEMA = 2
"""Incremented whenever an older checkpoint can no longer be resumed."""

log = logging.getLogger(__name__)


class DamagedError(ValueError):
    """A checkpoint is torn or was altered."""


class Checkpoints:
    """Writes what a run needs to resume, and finds the newest intact checkpoint again."""

    def __init__(
        self,
        folder: Path,
        states: Mapping[str, Stateful],
        fingerprint: Mapping[str, Any],
        *,
        every: int = 0,
        minutes: float = 0.0,
        keep: int = 2,
    ) -> None:
        """Keep the ``keep`` newest checkpoints of ``states`` in ``folder``, every so many steps and minutes.

        ``fingerprint`` (JSON: configuration, data hashes) must be the same on resume; the schema of the code
        is added to it. 0 steps and 0 minutes write only at the end and when interrupted.
        """
        self.folder = folder
        self.states = dict(states)
        self.fingerprint = _flat({"schema": SCHEMA, **fingerprint})
        self.every = every
        self.seconds = minutes * 60
        self.keep = keep
        self.warnings: list[str] = []
        """What a resume warned of, for the record."""
        self._written = time.monotonic()

    def after(self, step: int, *, last: bool = False) -> None:
        """Write a checkpoint after ``step`` (counted from 1) if one is due by steps or the clock, or it is the last."""
        due = self.every > 0 and step % self.every == 0
        if last or due or (self.seconds > 0 and time.monotonic() - self._written >= self.seconds):
            self.save(step)

    def save(self, step: int) -> None:
        """Write a checkpoint after ``step`` steps; the former ones stay intact whatever happens meanwhile.

        Raises ValueError with the remedy where the disk is full.
        """
        tensors: dict[str, torch.Tensor] = {}
        values: dict[str, dict[str, Any]] = {}
        for owner, stateful in self.states.items():
            values[owner] = {}
            for name, value in stateful.state_dict().items():
                if isinstance(value, torch.Tensor):
                    # A copy of its own: safetensors refuses tensors that share memory, such as tied weights.
                    tensors[f"{owner}/{name}"] = value.detach().to("cpu", copy=True).contiguous()
                else:
                    values[owner][name] = value
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
        self._remove_old()

    def resume(self) -> int:
        """Load the newest intact checkpoint into the states and return its step; 0 where there is none.

        A torn or altered one is skipped with a warning for the one before it. Raises ValueError where none
        is intact, and where the fingerprint differs (naming the key, its old and its new value).
        """
        manifests = sorted(self.folder.glob("step-*.json"), reverse=True)
        for manifest in manifests:
            try:
                body, tensors = _read(manifest)
            except DamagedError as error:
                self._warn(f"{error}; skipped for the checkpoint before it")
                continue
            self._compare(body["fingerprint"])
            for key, now in _machine().items():
                if body["machine"].get(key) != now:
                    self._warn(
                        f"the checkpoint was written with {key}={body['machine'].get(key)}, this is {now}: "
                        "the run resumes, but not bit for bit as it would have"
                    )
            for owner, stateful in self.states.items():
                if owner not in body["values"] and isinstance(stateful, OptionalState):
                    self._warn(f"{manifest.name} lacks {owner}: {stateful.missing()}")
                    continue
                if owner not in body["values"]:
                    raise ValueError(
                        f"{manifest} holds no state of {owner}: it was written by a run with other callbacks or "
                        "limits; train anew in another folder (hydra.run.dir)"
                    )
                cut = len(owner) + 1
                own = {name[cut:]: t for name, t in tensors.items() if name.startswith(f"{owner}/")}
                stateful.load_state_dict({**body["values"][owner], **own})
            return int(body["step"])
        if manifests:
            raise ValueError(
                f"no checkpoint in {self.folder} is intact: {'; '.join(self.warnings)}. "
                f"Delete the folder to train anew, or restore its files"
            )
        return 0

    def _compare(self, former: dict[str, Any]) -> None:
        if former.get("schema") != SCHEMA:
            raise ValueError(
                f"{self.folder} holds checkpoints that another version of plinth-core wrote: finish the run with that "
                "version, or train anew in another folder (hydra.run.dir)"
            )
        for key in [*self.fingerprint, *(key for key in former if key not in self.fingerprint)]:
            old, new = former.get(key, "(absent)"), self.fingerprint.get(key, "(absent)")
            if old != new:
                raise ValueError(
                    f"{self.folder} holds checkpoints of a run with {key}={old!r}, but it is now {new!r}: "
                    "use the former value to resume, or another folder (hydra.run.dir) to train anew"
                )

    def _remove_old(self) -> None:
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
        went = f"the checkpoint of step {max(kept)} is intact" if kept else "none was written before"
        return (
            f"no space left in {self.folder} for the checkpoint of step {step} ({size / 1e6:.0f} MB needed, "
            f"{free / 1e6:.0f} MB free); {went}: free some space and run the same command again to resume"
        )

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        log.warning("%s", message)


def _sealed(body: dict[str, Any]) -> bytes:
    text = json.dumps(body, sort_keys=True)
    return json.dumps(
        {"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": body}, sort_keys=True
    ).encode()


def _read(manifest: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the content of both files of a checkpoint, raising DamagedError that names the file."""
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
    """Return every leaf by its dotted key, with the value that JSON reads back."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.loads(json.dumps(value))
    return flat
