"""JSON pointers (RFC 6901) into ``record.json``, and numbers that carry theirs."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from core.report.record import Json


class LocatedFloat(float):
    """A number of the record with the pointer to its field."""

    pointer: str


class LocatedInt(int):
    """An integer of the record with the pointer to its field."""

    pointer: str


def to_pointer(*steps: str | int) -> str:
    """Return the pointer of these steps.

    >>> to_pointer("metrics", "auroc", "a/b")
    '/metrics/auroc/a~1b'
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def split_pointer(where: str) -> list[str]:
    """Return the steps of a pointer: the inverse of ``to_pointer``."""
    return [step.replace("~1", "/").replace("~0", "~") for step in where.split("/")[1:]]


def resolve(content: Json, where: str) -> Json:
    """Return what a pointer points at in plain JSON content; ``KeyError`` with the pointer where there is nothing."""
    for step in split_pointer(where):
        if isinstance(content, Mapping) and step in content:
            content = content[step]
        elif isinstance(content, list) and step.isdigit() and int(step) < len(content):
            content = content[int(step)]
        else:
            raise KeyError(where)
    return content


def fragment(where: str) -> str:
    """Return a pointer as the fragment of a link, with its ``#``."""
    return "#" + quote(where, safe="/~-._")


def with_pointers(content: Json, where: str = "") -> Json:
    """Return a copy of plain JSON content in which each number has its ``pointer``; booleans and texts stay."""
    if isinstance(content, Mapping):
        return {key: with_pointers(value, where + to_pointer(key)) for key, value in content.items()}
    if isinstance(content, list):
        return [with_pointers(value, f"{where}/{place}") for place, value in enumerate(content)]
    if isinstance(content, bool) or not isinstance(content, int | float):
        return content
    number: LocatedInt | LocatedFloat = (
        LocatedInt(content) if isinstance(content, int) else LocatedFloat(content)
    )
    number.pointer = where
    return number
