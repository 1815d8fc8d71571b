"""What control keeps between starts: the log of its responses, and the state of the home."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from core.atomic_io import write_atomically
from smarthome.home import Home, checked_state


@contextlib.contextmanager
def open_log(target: str) -> Iterator[TextIO]:
    """Open the file that responses are appended to, readable by its owner alone; ``-`` is standard output."""
    if target == "-":
        yield sys.stdout
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise ValueError(f"output={target}: there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise ValueError(f"output={target}: this is a folder; name a file")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        if _is_cut(path):  # a kill while a line was written: the next begins on its own
            file.write("\n")
        yield file


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def save_state(path: Path, home: Home) -> None:
    """Write the states of a home's devices, its timers and lists, whole or not at all."""
    content = {
        "version": 1,
        "devices": {d.name: {"domain": d.domain, "state": d.state} for d in home.devices},
        "timers": home.timers,
        "lists": home.lists,
    }
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1))


def restore_state(path: Path, home: Home) -> list[str]:
    """Put a home into the state that ``save_state`` wrote; return the names of devices that it did not know.

    Raises ValueError, with the home as it was, for a file that is no such state.
    """
    try:
        content = json.loads(path.read_bytes())
        devices, timers, lists = content["devices"], content["timers"], content["lists"]
        timers = {str(name): float(seconds) for name, seconds in timers.items()}
        lists = {str(name): [str(item) for item in items] for name, items in lists.items()}
        states = {d.name: _state(devices[d.name], d.domain) for d in home.devices if d.name in devices}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"state={path}: this is not the state of a home ({error!r:.120}): delete it to start from home=, or name "
            "another"
        ) from error
    new = [d.name for d in home.devices if states.get(d.name) is None]
    for device in home.devices:
        device.state.update(states.get(device.name) or {})
    home.timers.update(timers)
    home.lists.update(lists)
    return new


def _state(saved: dict[str, Any], domain: str) -> dict[str, Any] | None:
    """Return a saved state; None where the device is of another domain today."""
    if saved["domain"] != domain:
        return None
    return checked_state(domain, saved["state"])
