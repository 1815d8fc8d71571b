"""Names of devices and places: when two are the same, and the words that tell them apart."""

from __future__ import annotations

import unicodedata

_ARTICLES = """
the a an my our your his her their this that these those of all
der die das den dem des ein eine einen mein meine le la les l un une mon ma mes el los las una mi mis
il lo gli uno o os as um uma het de een en ett
"""
ARTICLES = frozenset(_ARTICLES.split())
"""Words that name nothing by themselves."""


def normalized(text: str) -> str:
    """Return a name without what is not heard of it: case, spaces around it, how an accent is encoded.

    >>> normalized("Ku\\u0308che ") == normalized("k\\u00fcche")
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def same_name(a: str, b: str) -> bool:
    """Return whether two names are the same; a name without any letter or digit is no name."""
    return normalized(a) == normalized(b) and has_character(a)


def words_of(text: str) -> set[str]:
    """Return the words of a name that tell it apart, empty for ``the``, ``my`` and ``...``."""
    spaced = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in normalized(text))
    return {word for word in spaced.split() if has_character(word)} - ARTICLES


def has_word(text: str) -> bool:
    """Return whether a text names anything."""
    return bool(words_of(text))


def has_character(text: str) -> bool:
    """Return whether a text has a letter or a digit."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)
