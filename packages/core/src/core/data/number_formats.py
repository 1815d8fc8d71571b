"""How numbers are written: decimal mark, thousands mark, currency, per cent; settled from whole columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AROUND = re.compile(r"^(?:[€$£¥₹₽₺₩]|EUR|USD|GBP|CHF|JPY)\s*|\s*(?:[€$£¥₹₽₺₩]|EUR|USD|GBP|CHF|JPY)$")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([.,]\d{3})+")
_WHOLE = re.compile(r"[+-]?\d{1,3}")
EXPONENT_CODE = re.compile(r"\d+E\d+")
"""``1E5`` is a lot or an illness as often as a number; ``1e+05`` and ``1.0E5`` are numbers."""


@dataclass(frozen=True)
class NumberFormat:
    """Marks of a number; the plain one is what programs write.

    >>> NumberFormat(",", ".").read("€ -2.160,21"), NumberFormat().read("(12)"), NumberFormat().read("n/a")
    (-2160.21, -12.0, None)
    """

    decimal: str = "."
    thousands: str = ""

    def read(self, text: str) -> float | None:
        """Return a number, or None where the text is none in this format."""
        negative, body = _bare(text)
        mark = re.escape(self.decimal)
        group = rf"\d{{1,3}}({re.escape(self.thousands)}\d{{3}})+" if self.thousands else r"\d+"
        if not re.fullmatch(rf"[+-]?(\d+|{group})?({mark}\d*)?([eE][+-]?\d+)?", body) or not re.search(
            r"\d", body
        ):
            return None
        if self.thousands:
            body = body.replace(self.thousands, "")
        try:
            number = float(body.replace(self.decimal, "."))
        except ValueError:
            return None
        return -number if negative else number

    def read_all(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return numbers, NaN for what is none."""
        read = [self.read(text) for text in texts]
        return np.array([np.nan if value is None else value for value in read], dtype=np.float64)


FORMATS = tuple(
    NumberFormat(decimal, thousands)
    for decimal, thousands in (
        (".", ""),
        (",", ""),
        (".", ","),
        (",", "."),
        (",", " "),
        (".", " "),
        (".", "'"),
    )
)


def _bare(text: str) -> tuple[bool, str]:
    """Return whether brackets make a number negative, and its text without currency, per cent and spaces around."""
    body = text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2212", "-").replace("’", "'").strip()
    negative = body.startswith("(") and body.endswith(")")
    body = body[1:-1].strip() if negative else body
    sign = body[0] if body[:1] in ("-", "+") else ""
    body = _AROUND.sub("", _AROUND.sub("", body[len(sign) :].strip())).strip()
    body = sign + body.removesuffix("%").strip()
    return negative, body


def is_ambiguous(texts: Iterable[str]) -> str:
    """Return the mark of numbers that may be decimals or thousands: ``1.234``, ``12.500``; empty where none may.

    >>> is_ambiguous(["999", "1.234"]), is_ambiguous(["21,096", "23,694"]), is_ambiguous(["0.125", "1.250"])
    ('.', ',', '')
    """
    mark = ""
    for text in texts:
        body = _bare(text)[1]
        if _GROUPED.fullmatch(body):
            found = "." if "." in body else ","
            if ("." in body and "," in body) or body.count(found) > 1 or mark not in ("", found):
                return ""
            mark = found
        elif not _WHOLE.fullmatch(body):
            return ""
    return mark


def has_whole(texts: Iterable[str]) -> bool:
    """Return whether some numbers have no mark: of ``999`` and ``1.234``, decimals would be 999.000."""
    return any(_WHOLE.fullmatch(_bare(text)[1]) for text in texts)


def candidates(texts: list[str], decimal: str, thousands: str) -> list[NumberFormat]:
    """Return the formats that read every text, as far as the marks are not given."""
    if decimal != "auto" or thousands != "auto":
        point = decimal if decimal != "auto" else ("," if thousands == "." else ".")
        marks = (
            ["", *(m for m in (",", ".", " ", "'") if m != point)]
            if thousands == "auto"
            else ["" if thousands == "none" else thousands]
        )
        formats: Iterable[NumberFormat] = [NumberFormat(point, mark) for mark in marks]
    else:
        formats = FORMATS
    return [f for f in formats if all(f.read(text) is not None for text in texts)]
