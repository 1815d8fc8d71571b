"""A stream of JSON lines, from a file that may grow or from standard input, and the parser of a line."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from core.data.date_text import to_iso
from finance.schema import DAY_MS, LABEL_VALUES

if TYPE_CHECKING:
    from finance.schema import TransactionSchema

CHUNK = 1 << 18
"""Bytes read at once."""
MAX_LINE = 1 << 20
"""Bytes of the longest line; of a longer one, the beginning is kept and rejected."""
MAX_TIME = 2**53
"""Milliseconds up to which a time is exact."""
MAX_AMOUNT = 1e12
"""Amounts above it would drown every mean of a card."""
HEAD = 1024
"""Bytes at the beginning of a file that tell it from another one."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """One line, without its line break."""

    number: int
    """From 1; on standard input the count continues over restarts."""
    text: bytes
    end: int
    """Byte at which the next line starts; 0 on standard input, which can't be rewound."""
    head: str = ""
    """Length and hash of the file's first bytes (see ``head_of``); empty on standard input."""
    cut: bool = False
    """Whether it was longer than ``MAX_LINE``, and this is its beginning."""


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


class LineSplitter:
    """Splits chunks of bytes into lines, with their number and the byte after each."""

    def __init__(self, number: int, offset: int = 0) -> None:
        self.number, self.offset, self.rest = number, offset, b""
        self._skipped = 0

    def feed(self, chunk: bytes, head: str = "", counts_bytes: bool = True) -> list[Line]:
        """Return the lines that a chunk completes."""
        *whole, rest = (self.rest + chunk).split(b"\n")
        lines = [self._line(text, 1, head, counts_bytes) for text in whole]
        if len(rest) > MAX_LINE:  # of an endless line no more than its beginning is held
            self._skipped += len(rest) - MAX_LINE
            rest = rest[:MAX_LINE]
        self.rest = rest
        return lines

    def last(self, head: str = "", counts_bytes: bool = True) -> list[Line]:
        """Return the rest as a line without a line break, if there is any."""
        text, self.rest = self.rest, b""
        return [self._line(text, 0, head, counts_bytes)] if text else []

    def _line(self, text: bytes, line_break: int, head: str, counts_bytes: bool) -> Line:
        cut = self._skipped > 0 or len(text) > MAX_LINE
        self.number += 1
        self.offset += len(text) + self._skipped + line_break
        self._skipped = 0
        return Line(self.number, text[:MAX_LINE], self.offset if counts_bytes else 0, head, cut)


def head_of(path: Path, length: int = HEAD) -> str:
    """Return length and hash of a file's first bytes, at most ``length``."""
    with path.open("rb") as file:
        return _head(file.read(length))


def _head(content: bytes) -> str:
    return f"{len(content)}:{hashlib.sha256(content).hexdigest()}" if content else ""


def has_head(path: Path, head: str) -> bool:
    """Return whether a file begins with the bytes that ``head_of`` described."""
    return not head or head_of(path, int(head.split(":")[0])) == head


def files_to_read(path: Path, offset: int, head: str, accept_new: bool) -> list[tuple[Path, int]]:
    """Return the files to go on with and the byte in each: the input, before it the rest of one rotated away.

    ``head``: how the file began that was read up to ``offset``. Raises ValueError where the input is another file
    and the former one isn't beside it, unless ``accept_new``.
    """
    if has_head(path, head):
        if path.stat().st_size < offset:
            raise ValueError(
                f"input={path}: it is shorter than what was read of it before; it was changed since. "
                "Give the file as it was, or another output and state for a new one"
            )
        return [(path, offset)]
    beside = [f for f in path.parent.glob(f"{glob.escape(path.stem)}*") if f.is_file() and f != path]
    former = [f for f in beside if f.stat().st_size >= offset and has_head(f, head)]
    if len(former) == 1:
        since = former[0].stat().st_mtime_ns
        numbered = re.compile(re.escape(path.name) + r"[.-]\d[\d.-]*")  # rotated away since then
        more = [
            f
            for f in beside
            if numbered.fullmatch(f.name) and f not in former and f.stat().st_mtime_ns >= since
        ]
        more.sort(key=lambda f: f.stat().st_mtime_ns)
        log.info("%s was rotated: the rest of %s is read first", path, ", ".join(map(str, [*former, *more])))
        return [(former[0], offset), *((f, 0) for f in more), (path, 0)]
    if accept_new:
        log.warning("%s is another file than before and is read from its first line", path)
        return [(path, 0)]
    what = "shorter than what was read of it before"
    if path.stat().st_size >= offset:
        what = f"another file than the one that was read up to byte {offset}"
    raise ValueError(
        f"input={path}: it is {what}, and that one is {'more than once' if former else 'not'} beside it. Put it back "
        f"as {path.name}.1, or give accept_new_file=true to go on with this one (what was not read of the former one "
        "is lost), or another output and state to start anew"
    )


def follow_file(
    path: Path, splitter: LineSplitter, head: str, follow: bool, poll: float
) -> Iterator[list[Line]]:
    """Yield the complete lines since ``splitter.offset``, as many as were there at once; [] while waiting.

    ``head``: how the file begins, as far as known. With ``follow`` a file that takes the path's place (log rotation)
    is read after the rest of this one. Without, it ends at the end of the file; a last line without a line break is
    then used if it is valid JSON, and else left for the next start, since it may still be being written.
    """
    file = path.open("rb")
    try:
        file.seek(splitter.offset)
        rotated = False
        while True:
            chunk = file.read(CHUNK)
            if os.fstat(file.fileno()).st_size < splitter.offset or not _still(file, head):
                raise ValueError(
                    f"input={path}: it became shorter while it was read, or its beginning changed; give a file that "
                    "only grows, or is moved away whole and begun anew"
                )
            if chunk:
                if int(head.split(":")[0] or 0) < HEAD:
                    head = _head(os.pread(file.fileno(), HEAD, 0))
                yield splitter.feed(chunk, head)
            elif rotated:  # the writer has had a moment to finish
                try:
                    new = path.open("rb")
                except FileNotFoundError:  # moved away once more: wait for the next
                    yield []
                    time.sleep(poll)
                    continue
                yield splitter.last(head)
                file.close()
                file, head, rotated = new, "", False
                splitter.offset = 0
            elif follow:
                rotated = _is_another(path, file)
                if rotated:
                    log.info("%s was rotated: the new file is read after the rest of the former", path)
                yield []
                time.sleep(poll)
            else:
                break
    finally:
        file.close()
    if splitter.rest and _is_json(splitter.rest):
        yield splitter.last(head)
    elif splitter.rest:
        log.warning("the last line of %s is not finished; it is left for the next start", path)


def read_rest(path: Path, splitter: LineSplitter, head: str) -> Iterator[list[Line]]:
    """Yield the lines of a file that is written no more, the last one even without a line break."""
    with path.open("rb") as file:
        file.seek(splitter.offset)
        while chunk := file.read(CHUNK):
            yield splitter.feed(chunk, head)
    yield splitter.last(head)


def _still(file: BinaryIO, head: str) -> bool:
    """Return whether an open file begins as it did."""
    return not head or _head(os.pread(file.fileno(), int(head.split(":")[0]), 0)) == head


def _is_another(path: Path, file: BinaryIO) -> bool:
    """Return whether the path is no longer the open file; a path that is missing may come back."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    return not os.path.samestat(now, os.fstat(file.fileno()))


def read_stdin(number: int) -> Iterator[list[Line]]:
    """Yield the lines of standard input, as many as were there at once, until it ends."""
    source, splitter = sys.stdin.fileno(), LineSplitter(number)
    while chunk := os.read(source, CHUNK):
        yield splitter.feed(chunk, counts_bytes=False)
    yield splitter.last(counts_bytes=False)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True  # to be rejected with its reason, not waited for
    except ValueError:
        return False
    return True


def parse_line(line: Line, schema: TransactionSchema, columns: tuple[str, ...]) -> Transaction | Label | None:
    """Return the transaction or label that a line holds, None for an empty line.

    ``columns``: input columns of the model. Raises ``ValueError`` with the reason for a line that is neither.
    """
    if not line.text.strip():
        return None
    if line.cut:
        raise ValueError(f"it is longer than {MAX_LINE} bytes")
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
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair, which is not text") from error
    except RecursionError as error:
        raise ValueError("not a transaction: nested too deeply") from error
    id_ = _name(content, schema.id) if schema.id is not None else None
    fraud = _label(content.get(schema.label), schema.label)
    if schema.amount not in content and schema.card not in content and fraud is not None:
        if id_ is None:
            raise ValueError(f"a label without {schema.id or 'an id column'}: it belongs to no transaction")
        return Label(line, id_, fraud)
    missing = [c for c in columns if c not in content]
    if missing:
        raise ValueError(f"the columns {', '.join(map(repr, missing))} are missing")
    card = _name(content, schema.card)
    if card is None:
        raise ValueError(f"{schema.card!r} is empty: every transaction needs its card")
    if abs(_number(content[schema.amount], schema.amount)) > MAX_AMOUNT:
        raise ValueError(
            f"{schema.amount!r} is {content[schema.amount]!r}, above {MAX_AMOUNT:g}: not an amount"
        )
    nested = [c for c in columns if isinstance(content[c], dict | list)]
    if nested:
        raise ValueError(f"{nested[0]!r} should be one value, not {content[nested[0]]!r}")
    endless = [c for c in columns if isinstance(content[c], float) and not math.isfinite(content[c])]
    if endless:
        raise ValueError(f"{endless[0]!r} is a number too large to be read")
    return Transaction(
        line,
        id_,
        card,
        card if schema.unit is None else _name(content, schema.unit) or card,
        None if schema.terminal is None else _name(content, schema.terminal),
        parse_time(content[schema.time], schema),
        isinstance(content[schema.time], str) or schema.date_order == "compact",
        fraud,
        {c: content[c] for c in columns},
    )


def parse_time(value: Any, schema: TransactionSchema) -> int:
    """Return a time in milliseconds, from a text in the run's order of dates (or ISO 8601; UTC without an offset) or a
    number in its own unit."""
    if isinstance(value, str) or schema.date_order == "compact":
        try:
            stamp = datetime.fromisoformat(to_iso(str(value), schema.date_order))
        except ValueError as error:
            shown = {"dmy": "31/01/2026 08:15", "mdy": "01/31/2026 08:15", "compact": "20260131"}
            usual = shown.get(schema.date_order, "2026-01-31T08:15:00")
            raise ValueError(f"{schema.time!r} should be a time such as {usual}, not {value!r}") from error
        aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        return round(since.total_seconds() * 1000)
    milliseconds = _number(value, schema.time) / schema.time_units_per_day * DAY_MS
    if not abs(milliseconds) <= MAX_TIME:  # nor is infinity
        raise ValueError(f"{schema.time!r} is {value!r}, which is not a time")
    return round(milliseconds)


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
