"""A stream of JSON lines, from a file that may grow or from standard input, and the parser of a line."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finance.schema import DAY_MS, LABEL_VALUES

if TYPE_CHECKING:
    from finance.schema import TransactionSchema

CHUNK = 1 << 18
"""Bytes read at once."""
MAX_TIME = 2**53
"""Milliseconds up to which a time is exact."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """One line, without its line break."""

    number: int
    """From 1; on standard input the count continues over restarts."""
    text: bytes
    end: int
    """Byte at which the next line starts; 0 on standard input, which can't be rewound."""


@dataclass(frozen=True)
class Transaction:
    """A transaction to be scored."""

    line: Line
    id: str | None
    card: str
    unit: str
    terminal: str | None
    time: int
    """Milliseconds since 1970, or since the number's own zero."""
    time_is_date: bool
    """Whether the time was given as a date, not as a number."""
    fraud: float | None
    row: dict[str, Any] = field(repr=False)
    """The columns of the model's raw input, as given."""


@dataclass(frozen=True)
class Label:
    """The label of an earlier transaction."""

    line: Line
    id: str
    fraud: float


def follow_file(path: Path, offset: int, number: int, follow: bool, poll: float) -> Iterator[list[Line]]:
    """Yield the complete lines since ``offset``, as many as were there at once; [] while waiting.

    Without ``follow`` it ends at the end of the file; a last line without a line break is then used if it is valid
    JSON, and else left for the next start, since it may still be being written.
    """
    rest = b""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < offset:
            raise ValueError(
                f"input={path}: it is shorter than what was read of it before; it was changed since. "
                "Give the file as it was, or another output and state for a new one"
            )
        file.seek(offset)
        while True:
            chunk = file.read(CHUNK)
            if chunk:
                *whole, rest = (rest + chunk).split(b"\n")
                lines = []
                for text in whole:
                    number, offset = number + 1, offset + len(text) + 1
                    lines.append(Line(number, text, offset))
                yield lines
            elif follow:
                if os.fstat(file.fileno()).st_size < offset:
                    raise ValueError(
                        f"input={path}: it became shorter while it was read; give a file that only grows"
                    )
                yield []
                time.sleep(poll)
            else:
                break
    if rest and _is_json(rest):
        yield [Line(number + 1, rest, offset + len(rest))]
    elif rest:
        log.warning("the last line of %s is not finished; it is left for the next start", path)


def read_stdin(number: int) -> Iterator[list[Line]]:
    """Yield the lines of standard input, as many as were there at once, until it ends."""
    source, rest = sys.stdin.fileno(), b""
    while chunk := os.read(source, CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        yield [Line(number + n, text, 0) for n, text in enumerate(whole, 1)]
        number += len(whole)
    if rest:
        yield [Line(number + 1, rest, 0)]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def parse_line(line: Line, schema: TransactionSchema, columns: tuple[str, ...]) -> Transaction | Label | None:
    """Return the transaction or label that a line holds, None for an empty line.

    ``columns``: input columns of the model. Raises ``ValueError`` with the reason for a line that is neither.
    """
    if not line.text.strip():
        return None
    try:
        content = json.loads(line.text, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not a transaction: nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"not an object with named fields but {type(content).__name__}")
    id_ = _name(content, schema.id) if schema.id is not None else None
    fraud = _label(content.get(schema.label), schema.label)
    if schema.amount not in content and schema.card not in content and fraud is not None:
        if id_ is None:
            raise ValueError(f"a label without {schema.id or 'an id column'}: it belongs to no transaction")
        return Label(line, id_, fraud)
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair, which is not text") from error
    missing = [c for c in columns if c not in content]
    if missing:
        raise ValueError(f"the columns {', '.join(map(repr, missing))} are missing")
    card = _name(content, schema.card)
    if card is None:
        raise ValueError(f"{schema.card!r} is empty: every transaction needs its card")
    _number(content[schema.amount], schema.amount)
    nested = [c for c in columns if isinstance(content[c], dict | list)]
    if nested:
        raise ValueError(f"{nested[0]!r} should be one value, not {content[nested[0]]!r}")
    return Transaction(
        line,
        id_,
        card,
        card if schema.unit is None else _name(content, schema.unit) or card,
        None if schema.terminal is None else _name(content, schema.terminal),
        parse_time(content[schema.time], schema),
        isinstance(content[schema.time], str),
        fraud,
        {c: content[c] for c in columns},
    )


def parse_time(value: Any, schema: TransactionSchema) -> int:
    """Return a time in milliseconds, from an ISO 8601 text (UTC without an offset) or a number in its own unit."""
    if isinstance(value, str):
        try:
            stamp = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(
                f"{schema.time!r} should be a time such as 2026-01-31T08:15:00, not {value!r}"
            ) from error
        aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        return round(since.total_seconds() * 1000)
    milliseconds = round(_number(value, schema.time) / schema.time_units_per_day * DAY_MS)
    if abs(milliseconds) > MAX_TIME:
        raise ValueError(f"{schema.time!r} is {value!r}, which is not a time")
    return milliseconds


def _number(value: Any, column: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{column!r} should be a number, not {value!r}")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{column!r} should be a number, not {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"{column!r} should be a number, not {value!r}")
    return number


def _name(content: dict[str, Any], column: str) -> str | None:
    value = content.get(column)
    if value is None or value == "":
        return None
    if isinstance(value, dict | list | bool):
        raise ValueError(f"{column!r} should be a name or a number, not {value!r}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _label(value: Any, column: str) -> float | None:
    if value is None or value == "":
        return None
    if str(value).lower() not in LABEL_VALUES:
        raise ValueError(f"{column!r} is {value!r}: a label is 1 or yes, 0 or no, or empty")
    return LABEL_VALUES[str(value).lower()]


def _no_constant(name: str) -> float:
    raise json.JSONDecodeError(f"{name} is not a JSON number", "", 0)
