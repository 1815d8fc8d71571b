"""Sentence templates of Home Assistant's intents, expanded into sentences with their slots marked.

The grammar: ``[optional]``, ``(one|other)``, ``(in;any;order)``, ``<rule>``, ``{list}`` and ``{list:slot}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Slots = list[tuple[int, int, str]]
DEEPEST = 12
"""Rules within rules that are followed."""
_OPEN = {"[": "]", "(": ")"}
_START, _MIDDLE, _END = "\x01", "\x02", "\x03"


@dataclass(frozen=True)
class Grammar:
    """Rules and lists that templates refer to; ``names`` gives what stands for a list without values of its own."""

    rules: Mapping[str, str]
    lists: Mapping[str, Any]
    names: Mapping[str, Sequence[str]]

    def with_(self, block: Mapping[str, Any]) -> Grammar:
        """Add what a file or block of templates defines for itself."""
        return Grammar(
            {**self.rules, **block.get("expansion_rules", {})},
            {**self.lists, **block.get("lists", {})},
            self.names,
        )


def expanded(template: str, grammar: Grammar, rng: np.random.Generator) -> tuple[str, Slots] | None:
    """Draw one sentence of a template, with its slots in characters; None where a list has nothing to say."""
    drawn = _drawn(template, grammar, rng, 0)
    if drawn is None:
        return None
    marked = re.sub(rf"\s+([{_END}])", r"\1", re.sub(rf"([{_MIDDLE}])\s+", r"\1", " ".join(drawn.split())))
    text, slots, last = "", [], 0
    for found in re.finditer(f"{_START}([^{_MIDDLE}]*){_MIDDLE}([^{_END}]*){_END}", marked):
        text += marked[last : found.start()]
        if found[2].strip():
            slots.append((len(text), len(text) + len(found[2]), found[1]))
        text += found[2]
        last = found.end()
    text += marked[last:]
    return text, slots


def _drawn(template: str, grammar: Grammar, rng: np.random.Generator, depth: int) -> str | None:
    """Draw a sequence, alternatives at its top level included; slots stand between control characters."""
    if depth > DEEPEST:
        return None
    choices = _parts(template, "|")
    text, made, at = choices[int(rng.integers(len(choices)))], "", 0
    while at < len(text):
        sign = text[at]
        if sign in _OPEN:
            end = _closing(text, at)
            inner = text[at + 1 : end]
            if sign == "(" or rng.random() < 0.5:
                order = _parts(inner, ";")
                if len(order) > 1:
                    inner = " ".join(order[int(n)] for n in rng.permutation(len(order)))
                piece = _drawn(inner, grammar, rng, depth + 1)
                if piece is None:
                    return None
                made += piece
            at = end + 1
        elif sign == "<":
            end = text.index(">", at)
            rule = grammar.rules.get(text[at + 1 : end].strip())
            piece = None if rule is None else _drawn(rule, grammar, rng, depth + 1)
            if piece is None:
                return None
            made += piece
            at = end + 1
        elif sign == "{":
            end = text.index("}", at)
            source, _, slot = text[at + 1 : end].partition(":")
            value = _value(source.strip(), grammar, rng, depth)
            if value is None:
                return None
            made += f"{_START}{(slot or source).strip()}{_MIDDLE}{value}{_END}"
            at = end + 1
        else:
            made += sign
            at += 1
    return made


def _value(source: str, grammar: Grammar, rng: np.random.Generator, depth: int) -> str | None:
    given = grammar.lists.get(source, {})
    if "range" in given:
        return str(int(rng.integers(given["range"]["from"], given["range"]["to"] + 1)))
    if "values" in given:
        value = given["values"][int(rng.integers(len(given["values"])))]
        return _drawn(str(value["in"] if isinstance(value, dict) else value), grammar, rng, depth + 1)
    names = grammar.names.get(source, ())
    return str(names[int(rng.integers(len(names)))]) if names else None


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "[(") - (text[at] in "])")
        if depth == 0:
            return at
    raise ValueError(f"template {text!r}: {text[start]!r} at {start} is not closed")


def _parts(text: str, sign: str) -> list[str]:
    """Part a text at a sign where it stands outside all brackets."""
    parts, depth, last = [], 0, 0
    for at, c in enumerate(text):
        depth += (c in "[({<") - (c in "])}>")
        if c == sign and depth == 0:
            parts.append(text[last:at])
            last = at + 1
    return [*parts, text[last:]]
