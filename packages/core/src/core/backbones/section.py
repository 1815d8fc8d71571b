"""The record's section on the model: what was trained."""

from __future__ import annotations

from core.config.section import Section


class ModelSection(Section):
    """The network: its options and the number of its weights."""

    backbone: str
    adapter: str | None = None
    parameters: int | None = None
    trainable: int | None = None
