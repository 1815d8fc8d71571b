"""Adversarial answers, which game an automated scorer: shuffled, repeated, copied from the prompt, off-topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.random import Generator

KINDS = ("shuffled", "repeated", "copied prompt", "off-topic")
MIN_WORDS = 4
"""Shorter answers are not shuffled: many of their permutations are honest answers."""


def make_adversarial(
    kind: str, texts: Sequence[str], prompts: Sequence[str], rng: Generator
) -> list[tuple[int, str]]:
    """Return (index, altered text) for each text that can be altered in this way.

    shuffled: its words in random order. repeated: its first half until it is twice as long. copied prompt: the
    prompt, the last words of the answer after it. off-topic: an answer to another prompt.
    """
    assert kind in KINDS, kind
    found = []
    for i, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
        words = text.split()
        if kind == "shuffled" and len(words) >= MIN_WORDS:
            moved = [words[j] for j in rng.permutation(len(words))]
            if moved != words:
                found.append((i, " ".join(moved)))
        elif kind == "repeated" and len(words) >= 2:
            half = words[: max(len(words) // 2, 1)]
            found.append((i, " ".join((half * (2 * len(words)))[: 2 * len(words)])))
        elif kind == "copied prompt" and prompt.strip():
            found.append((i, " ".join([*prompt.split(), *words[-2:]])))
        elif kind == "off-topic":
            j = int(rng.integers(len(texts)))
            if prompts[j] != prompt and texts[j].strip():
                found.append((i, texts[j]))
    return found
