"""Sentence templates of Home Assistant's intents, and samples of them with annotated slots.

The grammar: ``[optional]``, ``(one|other)``, ``(in;any;order)``, ``<rule>``, ``{list}`` and ``{list:slot}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Slots = list[tuple[int, int, str]]
MAX_DEPTH = 12
"""Of nested rules."""
_OPEN = {"[": "]", "(": ")"}
_START, _MIDDLE, _END = "\x01", "\x02", "\x03"


@dataclass(frozen=True)
class Grammar:
    """Rules and lists of templates; ``names`` has the values of lists that have none of their own."""

    rules: Mapping[str, str]
    lists: Mapping[str, Any]
    names: Mapping[str, Sequence[str]]

    def extended(self, block: Mapping[str, Any]) -> Grammar:
        """Return the grammar with the rules and lists of a file or block of templates."""
        return Grammar(
            {**self.rules, **block.get("expansion_rules", {})},
            {**self.lists, **block.get("lists", {})},
            self.names,
        )


def sample_sentence(template: str, grammar: Grammar, rng: np.random.Generator) -> tuple[str, Slots] | None:
    """Return a random sentence of a template and its slots in characters; None where a list has no values."""
    sampled = _sample(template, grammar, rng, 0)
    if sampled is None:
        return None
    marked = re.sub(rf"\s+([{_END}])", r"\1", re.sub(rf"([{_MIDDLE}])\s+", r"\1", " ".join(sampled.split())))
    text, slots, last = "", [], 0
    for found in re.finditer(f"{_START}([^{_MIDDLE}]*){_MIDDLE}([^{_END}]*){_END}", marked):
        text += marked[last : found.start()]
        if found[2].strip():
            slots.append((len(text), len(text) + len(found[2]), found[1]))
        text += found[2]
        last = found.end()
    text += marked[last:]
    return text, slots


def _sample(template: str, grammar: Grammar, rng: np.random.Generator, depth: int) -> str | None:
    """Return a random expansion of a sequence or of its alternatives, slots between control characters."""
    if depth > MAX_DEPTH:
        return None
    choices = _split_top_level(template, "|")
    text, expansion, at = choices[int(rng.integers(len(choices)))], "", 0
    while at < len(text):
        sign = text[at]
        if sign in _OPEN:
            end = _closing(text, at)
            inner = text[at + 1 : end]
            if sign == "(" or rng.random() < 0.5:
                order = _split_top_level(inner, ";")
                if len(order) > 1:
                    inner = " ".join(order[int(n)] for n in rng.permutation(len(order)))
                piece = _sample(inner, grammar, rng, depth + 1)
                if piece is None:
                    return None
                expansion += piece
            at = end + 1
        elif sign == "<":
            end = text.index(">", at)
            rule = grammar.rules.get(text[at + 1 : end].strip())
            piece = None if rule is None else _sample(rule, grammar, rng, depth + 1)
            if piece is None:
                return None
            expansion += piece
            at = end + 1
        elif sign == "{":
            end = text.index("}", at)
            source, _, slot = text[at + 1 : end].partition(":")
            value = _value(source.strip(), grammar, rng, depth)
            if value is None:
                return None
            expansion += f"{_START}{(slot or source).strip()}{_MIDDLE}{value}{_END}"
            at = end + 1
        else:
            expansion += sign
            at += 1
    return expansion


def _value(source: str, grammar: Grammar, rng: np.random.Generator, depth: int) -> str | None:
    values = grammar.lists.get(source, {})
    if "range" in values:
        return str(int(rng.integers(values["range"]["from"], values["range"]["to"] + 1)))
    if "values" in values:
        value = values["values"][int(rng.integers(len(values["values"])))]
        return _sample(str(value["in"] if isinstance(value, dict) else value), grammar, rng, depth + 1)
    names = grammar.names.get(source, ())
    return str(names[int(rng.integers(len(names)))]) if names else None


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "[(") - (text[at] in "])")
        if depth == 0:
            return at
    raise ValueError(f"template {text!r}: {text[start]!r} at {start} is not closed")


def _split_top_level(text: str, sign: str) -> list[str]:
    """Split a text at a separator outside of all brackets."""
    parts, depth, last = [], 0, 0
    for at, c in enumerate(text):
        depth += (c in "[({<") - (c in "])}>")
        if c == sign and depth == 0:
            parts.append(text[last:at])
            last = at + 1
    return [*parts, text[last:]]
