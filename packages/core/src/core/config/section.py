"""The base of the record's typed sections; each room of core that measures something has its own in ``section.py``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of ``record.json``: pydantic model, no further keys than the declared ones."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


class Estimate(Section):
    """A value with its interval; null where it is undefined or no interval was computed."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
