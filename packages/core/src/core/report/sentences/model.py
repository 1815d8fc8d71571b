"""Sentences about the record's ``model``: which network was trained."""

from __future__ import annotations

from core.backbones.section import ModelSection
from core.report.formatting import format_count


def headline(model: ModelSection) -> str:
    """Return the network's size, or its backbone where the size is not known.

    >>> headline(ModelSection(backbone="tabular", parameters=30483))
    '30,483 parameters'
    """
    return model.backbone if model.parameters is None else f"{format_count(model.parameters)} parameters"


def detail(model: ModelSection) -> str:
    """Return the backbone, the adapter and how much of the network was trained."""
    text = f"Backbone {model.backbone}, adapter {model.adapter or 'none'}"
    if model.parameters is None or model.trainable is None:
        return f"{text}."
    if model.trainable == model.parameters:
        return f"{text}; all parameters were trained."
    return f"{text}; {format_count(model.trainable)} of the parameters were trained."
