"""Where a figure stands in ``record.json``: JSON pointers (RFC 6901), and numbers that know theirs."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from core.report.record import Json


class LocatedFloat(float):
    """A number of the record that knows where it stands."""

    to_pointer: str


class LocatedInt(int):
    """A whole number of the record that knows where it stands."""

    to_pointer: str


def to_pointer(*steps: str | int) -> str:
    """Write a pointer from its steps: ``("metrics", "auroc")`` gives ``/metrics/auroc``."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def split_pointer(where: str) -> list[str]:
    """Take a pointer apart: the opposite of ``pointer``."""
    return [step.replace("~1", "/").replace("~0", "~") for step in where.split("/")[1:]]


def resolve(content: Json, where: str) -> Json:
    """Give what a pointer points at in plain JSON content; ``KeyError`` with the pointer where nothing stands."""
    for step in split_pointer(where):
        if isinstance(content, Mapping) and step in content:
            content = content[step]
        elif isinstance(content, list) and step.isdigit() and int(step) < len(content):
            content = content[int(step)]
        else:
            raise KeyError(where)
    return content


def fragment(where: str) -> str:
    """Write a pointer as the part of a link behind the ``#``."""
    return "#" + quote(where, safe="/~-._")


def with_pointers(content: Json, where: str = "") -> Json:
    """Copy plain JSON content, each number knowing its place: ``value.pointer``. Truth values and texts stay."""
    if isinstance(content, Mapping):
        return {key: with_pointers(value, where + to_pointer(key)) for key, value in content.items()}
    if isinstance(content, list):
        return [with_pointers(value, f"{where}/{place}") for place, value in enumerate(content)]
    if isinstance(content, bool) or not isinstance(content, int | float):
        return content
    number = LocatedInt(content) if isinstance(content, int) else LocatedFloat(content)
    number.pointer = where
    return number
