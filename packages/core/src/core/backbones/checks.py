"""Help and checks of settings that several options share; each error names the key."""

from __future__ import annotations

from core.config import wrong

POOLINGS = ("mean", "attention", "cls")
WIDE = (
    "linear path from numbers, categories and TF-IDF to the answer: how many times as fast it learns; 0: none"
)
WIDE_WORDS = "encoder.words: linear path from a word's features to its label, how many times as fast it learns; 0: none"


def positive(group: str, **values: float) -> None:
    """Refuse values that are not above 0."""
    for name, value in values.items():
        if value <= 0:
            raise wrong(f"{group}.{name}", value, "it must be above 0")


def at_least_zero(group: str, **values: float) -> None:
    """Refuse values below 0."""
    for name, value in values.items():
        if value < 0:
            raise wrong(f"{group}.{name}", value, "it must be 0 or more")


def shares(group: str, **values: float) -> None:
    """Refuse values outside 0 to below 1."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise wrong(f"{group}.{name}", value, "it must be at least 0 and below 1")


def one_of(key: str, value: str, right: tuple[str, ...]) -> None:
    """Refuse a value that is none of a few."""
    if value not in right:
        raise wrong(key, value, f"it must be one of {', '.join(right)}")


def transformer(width: int, layers: int, heads: int, ffn: float, dropout: float) -> None:
    """Refuse sizes of a backbone's Transformer blocks that can't be."""
    positive("backbone", width=width, heads=heads, ffn=ffn)
    at_least_zero("backbone", layers=layers)
    if width % heads:
        raise wrong("backbone.heads", heads, f"it must divide backbone.width={width}")
    shares("backbone", dropout=dropout)
