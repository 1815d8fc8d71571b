"""Help and checks of settings that several backbones share; each error names the key."""

from __future__ import annotations

from core.config import config_error
from core.config.validate import at_least_zero, fractions, positive

POOLINGS = ("mean", "attention", "cls")
WIDE = (
    "linear path from numbers, categories and TF-IDF to the answer: how many times as fast it learns; 0: none"
)
WIDE_WORDS = "encoder.words: linear path from a word's features to its label, how many times as fast it learns; 0: none"


def transformer(width: int, layers: int, heads: int, ffn: float, dropout: float) -> None:
    """Refuse sizes of a backbone's Transformer blocks that can't be."""
    positive("backbone", width=width, heads=heads, ffn=ffn)
    at_least_zero("backbone", layers=layers)
    if width % heads:
        raise config_error("backbone.heads", heads, f"it must divide backbone.width={width}")
    fractions("backbone", dropout=dropout)
