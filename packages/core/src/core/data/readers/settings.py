"""How a text file is written: what a run was told, or found, of its files, kept for the files of later years."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.config import config_error, one_of

MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "#N/A", "<NA>", "NaT")
"""Cells of text files that mean missing. ``None`` is not among them: clinical tables use it for 'not measured'."""
DECIMALS = ("auto", ".", ",")
THOUSANDS = ("auto", "none", ",", ".", " ", "'")
DATE_ORDERS = ("auto", "dmy", "mdy", "ymd")


@dataclass(frozen=True)
class ReaderSettings:
    """Settings of the reader of text files; ``date_order``, ``decimal`` and ``missing`` hold for typed files too."""

    delimiter: str = "auto"
    quote: str = '"'
    """The character that quotes a cell, or ``none``: quotation marks are characters like any other."""
    encoding: str = "auto"
    decimal: str = "auto"
    thousands: str = "auto"
    missing: tuple[str, ...] | None = None
    """Cells that mean missing besides empty ones; None: ``MISSING`` in text files, none in typed ones."""
    skip_rows: int = 0
    """Lines before the header."""
    comment: str = ""
    """Lines that begin with it are left out."""
    header: str = "first"
    """first (line after ``skip_rows``), or none: columns are called column_1, column_2, ..."""
    date_order: str = "auto"

    def __post_init__(self) -> None:
        """Raise ValueError that names the key of a setting that can't be."""
        one_of("data.decimal", self.decimal, DECIMALS)
        one_of("data.thousands", self.thousands, THOUSANDS)
        one_of("data.date_order", self.date_order, DATE_ORDERS)
        one_of("data.header", self.header, ("first", "none"))
        if self.quote != "none" and len(self.quote) != 1:
            raise config_error("data.quote", self.quote, "give one character, or none")
        if self.decimal == self.thousands != "auto":
            raise config_error("data.thousands", self.thousands, "is the decimal mark too; they differ")
        if self.skip_rows < 0:
            raise config_error("data.skip_rows", self.skip_rows, "0 or more lines")

    def markers(self) -> tuple[str, ...]:
        """Return the cells of text files that mean missing."""
        return MISSING if self.missing is None else ("", *self.missing)

    def overridden(self, asked: ReaderSettings) -> ReaderSettings:
        """Return these settings with those that were asked for, wherever they are not the default."""
        plain = ReaderSettings()
        changes = {
            f.name: getattr(asked, f.name)
            for f in fields(asked)
            if getattr(asked, f.name) != getattr(plain, f.name)
        }
        return ReaderSettings(**{**asdict(self), **changes})

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> ReaderSettings:
        """Return the settings that ``dataclasses.asdict`` wrote, after a way through JSON."""
        values = dict(state)
        if values.get("missing") is not None:
            values["missing"] = tuple(values["missing"])
        return cls(**values)
