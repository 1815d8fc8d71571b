"""Dates in text, in the order that a country writes them. Imports nothing heavy."""

from __future__ import annotations

import re

PARTS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?:[ T,]+(\S.*))?$")
"""Two numbers of day and month, a year, and a time of day."""


def to_iso(text: str, order: str) -> str:
    """Return a date in ISO 8601; what is none stays as it is.

    >>> to_iso("3.4.24 9:05 PM", "dmy"), to_iso("20240131", "compact")
    ('2024-04-03T21:05', '20240131')
    """
    text = text.strip()
    part = PARTS.match(text)
    if part is None or order not in ("dmy", "mdy"):
        return text
    day, month = (part[1], part[3]) if order == "dmy" else (part[3], part[1])
    year = part[4] if len(part[4]) == 4 else f"{2000 + int(part[4]) - 100 * (int(part[4]) > 68)}"
    return f"{year}-{int(month):02d}-{int(day):02d}" + ("" if part[5] is None else f"T{_clock(part[5])}")


def _clock(text: str) -> str:
    """Return a time of day with two digits an hour, of 24."""
    half = re.fullmatch(r"(\d{1,2})(:\d{2}(?::\d{2}(?:\.\d+)?)?) ?([AaPp])[Mm]", text)
    if half:
        return f"{int(half[1]) % 12 + 12 * (half[3] in 'Pp'):02d}{half[2]}"
    return f"0{text}" if re.match(r"\d:", text) else text
