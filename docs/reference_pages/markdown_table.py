"""Markdown tables, and the words of docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

NOTE = "<!-- Written by docs/generate.py from the code: change it there. -->\n"


def cell(text: str) -> str:
    """Return text as one cell of a table.

    >>> cell("none | dp,  ``a`` < 1")
    'none \\\\| dp, `a` &lt; 1'
    """
    text = re.sub(r"\s+", " ", text).replace("``", "`").strip()
    return text.replace("|", "\\|").replace("<", "&lt;").replace("][", "] \\[")  # no link's label


def code(text: str) -> str:
    """Return text as code in a cell of a table; nothing where it is empty."""
    return f"`{cell(text).replace('&lt;', '<')}`" if text else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def sentence(text: str) -> str:
    """Return text as a sentence: one line, a capital, a full stop."""
    text = re.sub(r"\s+", " ", text).replace("``", "`").strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def first_line(documented: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return re.sub(r"\s+", " ", (inspect.getdoc(documented) or "").split("\n\n")[0])
