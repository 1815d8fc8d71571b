"""A text as words, each described by a handful of features: itself, its ends, its shape, its neighbors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.data.coercion import to_texts
from core.data.encoders.storage import DenseRows, Storage
from core.data.slot_alignment import word_spans
from core.data.types import Layout, TokenOffsets

if TYPE_CHECKING:
    import pandas as pd

    from core.data.encoder_config import TextEncoding
    from core.data.types import Json

EDGE = ("<s>", "</s>")
"""What stands before the first and after the last word."""
MIN_COUNT = 2
"""Training words that a feature must describe to be kept."""


@dataclass
class WordFeatures:
    """Words of the one text column, as codes of the features that training texts have often enough. M features a word.

    Code 0 is no feature: one that training did not have, or no word at all.
    """

    column: str
    codes: dict[str, int]
    max_length: int

    @classmethod
    def fit(cls, config: TextEncoding, columns: tuple[str, ...], frame: pd.DataFrame) -> WordFeatures:
        """Count the features of training words; keep the most frequent ``encoder.text.max_word_features`` of them."""
        if len(columns) != 1:
            raise ValueError(
                f"encoder.text.word_features reads one text column; the data names "
                f"{', '.join(columns)}: choose one (data.text)"
            )
        counts: Counter[str] = Counter()
        longest = 1
        for text in to_texts(frame[columns[0]]):
            rows = list(features(text))
            longest = max(longest, len(rows))
            counts.update(f for row in rows for f in row)
        order = sorted((f for f, n in counts.items() if n >= MIN_COUNT), key=lambda f: (-counts[f], f))
        kept = order[: config.max_word_features]
        # Longer texts than training had may come later; their words should be read too.
        length = min(config.max_length, longest + 8)
        return cls(columns[0], {f: i for i, f in enumerate(kept, 1)}, length)

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``words`` (N, T, M) int64, and ``words_mask`` (N, T) float32, 1 where there is a word."""
        texts = to_texts(frame[self.column])
        words = np.zeros((len(texts), self.max_length, KINDS), np.int32)
        mask = np.zeros((len(texts), self.max_length), np.float32)
        for n, text in enumerate(texts):
            for t, row in zip(range(self.max_length), features(text), strict=False):
                words[n, t] = [self.codes.get(f, 0) for f in row]
                mask[n, t] = 1.0
        return {
            "words": DenseRows(torch.from_numpy(words), torch.int64),
            "words_mask": DenseRows(torch.from_numpy(mask)),
        }

    def starts(
        self, frame: pd.DataFrame, offsets: Sequence[Sequence[TokenOffsets | None]]
    ) -> dict[str, Storage]:
        """Return ``word_starts`` (N, T) int64: the token that each word begins with, 0 where the row has none of it.

        ``offsets``: the characters that each token of a row stands on, see ``TokenColumns.token_offsets``.
        """
        found = np.zeros((len(frame), self.max_length), np.int32)
        for n, text in enumerate(to_texts(frame[self.column])):
            own = [(k, p[1], p[2]) for k, p in enumerate(offsets[n]) if p is not None and p[0] == self.column]
            at = 0
            for t, (start, end) in zip(range(self.max_length), word_spans(text), strict=False):
                while at < len(own) and own[at][2] <= start:
                    at += 1
                if at < len(own) and own[at][1] < end:
                    found[n, t] = own[at][0]
        return {"word_starts": DenseRows(torch.from_numpy(found), torch.int64)}

    def layout(self, layout: Layout) -> Layout:
        """Add words and their features to the layout."""
        return replace(layout, words=(self.max_length, KINDS), word_vocab_size=len(self.codes) + 1)

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {"codes": list(self.codes), "length": self.max_length}

    @classmethod
    def restore(cls, columns: tuple[str, ...], state: Mapping[str, Json]) -> WordFeatures:
        """Rebuild from ``state()``."""
        return cls(columns[0], {f: i for i, f in enumerate(state["codes"], 1)}, state["length"])


def shape(word: str) -> str:
    """Return a word's kinds of characters, runs shortened.

    >>> shape("Paris"), shape("22"), shape("b2b")
    ('Xx', 'd', 'xdx')
    """
    kinds = ["X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word]
    return "".join(k for n, k in enumerate(kinds) if n == 0 or k != kinds[n - 1])[:6]


def features(text: str) -> Iterator[tuple[str, ...]]:
    """Describe each word of a text by the same number of features, as taggers of the classical kind do.

    The word, its prefixes and suffixes, its shape; the words and shapes about it; pairs and triples with neighbors.
    """
    raw = [text[a:b] for a, b in word_spans(text)]
    low = [w.lower() for w in raw]
    low = ["0" * len(w) if w.isdigit() else w for w in low]
    shapes = [shape(w) for w in raw]
    w = [EDGE[0], EDGE[0], *low, EDGE[1], EDGE[1]]
    s = [EDGE[0], *shapes, EDGE[1]]
    for n in range(len(raw)):
        this, before, before2, after, after2 = w[n + 2], w[n + 1], w[n], w[n + 3], w[n + 4]
        yield (
            f"w={this}",
            f"cased={raw[n]}",
            f"p1={this[:1]}",
            f"p2={this[:2]}",
            f"p3={this[:3]}",
            f"p4={this[:4]}",
            f"s1={this[-1:]}",
            f"s2={this[-2:]}",
            f"s3={this[-3:]}",
            f"s4={this[-4:]}",
            f"shape={s[n + 1]}",
            f"shapes={s[n]} {s[n + 1]} {s[n + 2]}",
            f"-1={before}",
            f"-2={before2}",
            f"+1={after}",
            f"+2={after2}",
            f"-1-2={before2} {before}",
            f"+1+2={after} {after2}",
            f"-1w={before} {this}",
            f"w+1={this} {after}",
            f"-1+1={before} {after}",
            f"-1w+1={before} {this} {after}",
            f"-s3={before[-3:]}",
            f"+p3={after[:3]}",
            f"at={min(n, 4)}",
        )


KINDS = len(next(features("a")))
"""Features of a word."""
