"""The lines that control reads: each is an utterance, sensor readings or an answer to a question, or refused."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAX_LINE = 1 << 16
"""Bytes of the longest line."""
KEYS = {
    "text": ("text", "area"),
    "sensors": ("sensors", "area", "unit", "time"),
    "confirm": ("confirm", "id"),
}
"""What a line holds -> the keys it may have."""


@dataclass(frozen=True)
class Utterance:
    """What somebody said."""

    text: str
    area: str | None = None
    """Where it was said; None: the configuration's area."""


@dataclass(frozen=True)
class Readings:
    """Values of an area's sensors at one time."""

    sensors: dict[str, Any]
    area: str | None = None
    unit: str | float | None = None
    time: str | float | None = None


@dataclass(frozen=True)
class Confirmation:
    """An answer to a question: true, false, or something that is neither."""

    confirm: object
    id: str | None = None


Message = Utterance | Readings | Confirmation


def parse_line(line: bytes) -> dict[str, Any]:
    """Return the object that a line holds: plain text is that of an utterance. Raises ValueError with the reason."""
    if len(line) > MAX_LINE:
        raise ValueError(f"the line is longer than {MAX_LINE} bytes")
    try:
        text = line.decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"the line is not UTF-8 text: {error.reason} at byte {error.start}") from error
    if not text.startswith(("{", "[")):
        return {"text": text}
    try:
        content = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("the line is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is not JSON: {error.msg} at character {error.pos + 1}") from error
    if not isinstance(content, dict):
        raise ValueError("the line is a JSON list: give an object with text, sensors or confirm")
    return content


def parse_message(content: dict[str, Any]) -> Message:
    """Return what an object holds: exactly one of text, sensors and confirm. Raises ValueError with the key."""
    found = [what for what in KEYS if what in content]
    if len(found) != 1:
        held = ", ".join(map(repr, content)) or "nothing"
        raise ValueError(f"a line holds one of text, sensors and confirm; it has {held[:200]}")
    unknown = [key for key in content if key not in KEYS[found[0]]]
    if unknown:
        known = ", ".join(KEYS[found[0]])
        raise ValueError(f"{unknown[0]!r:.80} is no key of a line with {found[0]}, which may have {known}")
    if found[0] == "confirm":
        return Confirmation(content["confirm"], _text(content, "id"))
    area = _text(content, "area")
    if found[0] == "text":
        said = _text(content, "text")
        if said is None:
            raise ValueError("text is null: it should be what was said")
        return Utterance(said, area)
    sensors = content["sensors"]
    if not isinstance(sensors, dict) or not sensors:
        raise ValueError("sensors should be an object with a value for each column")
    readings = {_encodable(name, "sensors"): _value(value, name) for name, value in sensors.items()}
    return Readings(readings, area, _value(content.get("unit"), "unit"), _value(content.get("time"), "time"))


def _text(content: dict[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} should be a text, not {json.dumps(value)[:80]}")
    return None if value is None else _encodable(value, key)


def _encodable(text: str, key: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{key} holds half of a surrogate pair, which is not text") from error
    return text


def _value(value: Any, key: str) -> Any:
    if isinstance(value, dict | list):
        raise ValueError(f"{key} should be one value, not {json.dumps(value)[:80]}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            finite = math.isfinite(float(value))
        except OverflowError:
            finite = False
        if not finite:
            raise ValueError(f"{key} is a number too large to be read")
    return _encodable(value, key) if isinstance(value, str) else value


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice in one object: which one counts can't be told")
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def read_lines(source: str) -> Iterator[bytes]:
    """Yield the lines of a file, or of standard input for ``-``; of one that is too long, its beginning."""
    if source == "-":
        yield from _split(sys.stdin.buffer)
        return
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"input={source}: no such file; - reads standard input")
    with path.open("rb") as file:
        yield from _split(file)


def _split(file: BinaryIO) -> Iterable[bytes]:
    while line := file.readline(MAX_LINE + 1):
        while not line.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
            if rest.endswith(b"\n"):
                break
        yield line
