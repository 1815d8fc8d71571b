"""Rows cut into parts that can be removed: columns, earlier events, words, patches of an image, stretches of a signal.

What takes the place of a removed part never comes from training rows: a column takes quantiles that the encoder keeps,
a word is left out, a patch or stretch takes the mean of its own image or signal, an earlier event never happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.data.coercion import to_texts
from core.data.slot_alignment import word_spans
from core.explanation.column_occlusion import own_values, quantile_references
from core.explanation.word_occlusion import delete_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.column_occlusion import Places
    from core.targets.scorer import Scorer

TEXTUAL = ("tokens", "words", "words_mask", "word_starts", "tfidf", "numeric", "missing")
"""Inputs that a text can change; numbers among them, because some are made by comparing texts."""


@dataclass(frozen=True)
class Word:
    """One word of a text: its column, the characters it stands on, and itself."""

    column: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Grid:
    """Part of each place of an image (H, W) or signal (T), numbered from 0 along each side."""

    part: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Masker:
    """N rows in at most P parts each, in this order: columns, earlier events, patches or stretches, words."""

    scorer: Scorer
    frame: pd.DataFrame
    inputs: dict[str, Tensor]
    references: dict[str, Tensor]
    columns: tuple[str, ...]
    places: Places
    earlier: int
    """Earlier events that a row may have."""
    grid: Grid | None
    texts: tuple[str, ...]
    words: tuple[tuple[Word, ...], ...]
    """Each row's words, of all its text columns."""

    @classmethod
    def of(
        cls,
        scorer: Scorer,
        frame: pd.DataFrame,
        texts: Sequence[str],
        *,
        patches: int,
        stretches: int,
        references: int,
    ) -> Masker:
        """Cut raw rows into parts."""
        layout = scorer.layout()
        places = scorer.column_positions()
        columns = tuple(c for c, at in places.items() if set(at) & {"numeric", "categorical"})
        grid = None
        if layout.image is not None:
            grid = _patches(layout.image[1], layout.image[2], patches)
        elif layout.signal is not None:
            grid = _stretches(layout.signal[1], stretches)
        made = quantile_references(layout, references)
        return cls(
            scorer,
            frame,
            scorer.encode(frame),
            made,
            columns,
            places,
            layout.events[0] - 1 if layout.events is not None else 0,
            grid,
            tuple(texts),
            _words(frame, texts),
        )

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def unit(self) -> str:
        """Name what parts are: column, event, patch, stretch, word, or part where there are several kinds."""
        kinds = set(self.kinds())
        return kinds.pop() if len(kinds) == 1 else "part"

    def kinds(self) -> list[str]:
        """Name the kind of each of the P parts."""
        found = ["column"] * len(self.columns) + ["event"] * self.earlier
        if self.grid is not None:
            found += ["patch" if "image" in self.inputs else "stretch"] * len(self.grid.names)
        return found + ["word"] * (self.count - len(found))

    @property
    def fixed(self) -> int:
        """Count the parts before the words."""
        return len(self.columns) + self.earlier + (len(self.grid.names) if self.grid else 0)

    @property
    def count(self) -> int:
        """P: the parts of the row that has most."""
        return self.fixed + max((len(words) for words in self.words), default=0)

    @property
    def alternatives(self) -> int:
        """Count the reference values that a removed part takes in turn: one where columns are no parts."""
        return len(next(iter(self.references.values()))) if self.columns else 1

    def tries(self) -> NDArray[np.int64]:
        """Count the references that each part takes in turn when it alone is removed, (P,)."""
        found = np.ones(self.count, np.int64)
        found[: len(self.columns)] = self.alternatives
        return found

    def exists(self) -> NDArray[np.bool_]:
        """Tell which parts each row has, (N, P)."""
        found = np.zeros((len(self), self.count), bool)
        found[:, : self.fixed] = True
        if self.earlier:
            start = len(self.columns)
            mask = self.inputs["events_mask"][:, : self.earlier].cpu().numpy() > 0.5
            found[:, start : start + self.earlier] = mask
        for row, words in enumerate(self.words):
            found[row, self.fixed : self.fixed + len(words)] = True
        return found

    def names(self, row: int) -> list[str]:
        """Name the parts of a row, P of them; empty where it has none. A word is named by itself, in lower case."""
        fixed = [*self.columns, *(ago(self.earlier - e) for e in range(self.earlier))]
        fixed += self.grid.names if self.grid else ()
        said = [word.text.lower() for word in self.words[row]]
        return [*fixed, *said, *[""] * (self.count - len(fixed) - len(said))]

    def first(self, rows: int) -> Masker:
        """Keep the first rows."""
        return replace(
            self,
            frame=self.frame.iloc[:rows],
            inputs={name: tensor[:rows] for name, tensor in self.inputs.items()},
            words=self.words[:rows],
        )

    def removed(
        self, rows: NDArray[np.int64], gone: NDArray[np.bool_], reference: NDArray[np.int64]
    ) -> dict[str, Tensor]:
        """Give the inputs of M variants: the row each is made of (M,), its parts gone (M, P), its reference (M,)."""
        index = torch.from_numpy(rows)
        inputs = {name: tensor[index] for name, tensor in self.inputs.items()}
        if self.texts:
            inputs |= self._rewritten(rows, gone)
        self._fill_columns(inputs, gone, torch.from_numpy(reference))
        start = len(self.columns)
        if self.earlier:
            lost = torch.from_numpy(gone[:, start : start + self.earlier])
            for name in ("events", "events_mask"):
                past = inputs[name][:, :-1]
                past[lost] = 0.0
            start += self.earlier
        if self.grid is not None:
            lost = torch.from_numpy(gone[:, start : start + len(self.grid.names)])
            name = "image" if "image" in inputs else "signal"
            inputs[name] = torch.where(
                lost[:, torch.from_numpy(self.grid.part)].unsqueeze(1),
                mean_of(inputs[name]).to(inputs[name].dtype),
                inputs[name],
            )
        return inputs

    def _fill_columns(self, inputs: dict[str, Tensor], gone: NDArray[np.bool_], reference: Tensor) -> None:
        """Put reference values in the place of columns, in the row's own event too."""
        for c, column in enumerate(self.columns):
            lost = torch.from_numpy(np.flatnonzero(gone[:, c]))
            if not len(lost):
                continue
            values = {name: tensor[reference[lost]] for name, tensor in self.references.items()}
            for name, at in self.places[column].items():
                assert at is not None, "a column's places are numbered"
                where = torch.tensor(at)
                tensor = inputs[name]
                if name == "events":
                    own = own_values(values, list(at), self.places[column], tensor)
                    tensor[lost[:, None], -1, where] = own
                else:
                    tensor[lost[:, None], where] = values[name][:, where].to(tensor.dtype)

    def _rewritten(self, rows: NDArray[np.int64], gone: NDArray[np.bool_]) -> dict[str, Tensor]:
        """Encode the texts without the words that are gone; variants with the same words share one encoding."""
        asked = np.column_stack([rows, gone[:, self.fixed :]])
        distinct, which = np.unique(asked, axis=0, return_inverse=True)
        rows, lost = distinct[:, 0].astype(np.int64), distinct[:, 1:].astype(bool)
        altered = self.frame.iloc[rows].copy()
        for column in self.texts:
            texts = to_texts(altered[column])
            for m, row in enumerate(rows):
                cut = [
                    (w.start, w.end)
                    for w, off in zip(self.words[row], lost[m], strict=False)
                    if off and w.column == column
                ]
                if cut:
                    texts[m] = delete_spans(texts[m], cut)
            altered[column] = pd.Series(texts, index=altered.index, dtype=object)
        # Earlier events are those of the row as it is: variants of one row must not become each other's past.
        made = self.scorer.encode(altered, altered.iloc[:0])
        index = torch.from_numpy(which.reshape(-1))
        return {name: made[name][index] for name in TEXTUAL if name in made}

    def stirred(self, generator: np.random.Generator) -> tuple[Masker, NDArray[np.int64]] | None:
        """Change each row a little: numbers, pixels and samples by noise, a text by the loss of one word.

        Gives the rows and the part that each lost, (N,), -1 for none; None where nothing can be changed a little.
        """
        lost = np.full(len(self), -1, np.int64)
        inputs = dict(self.inputs)
        moved = False
        for name, deviation in (("numeric", 0.05), ("signal", 0.05), ("image", 2.0)):
            if name not in inputs or (name == "numeric" and not inputs[name].numel()):
                continue
            noise = torch.from_numpy(generator.normal(0.0, deviation, tuple(inputs[name].shape)))
            changed = inputs[name].double() + noise
            inputs[name] = (changed.round().clamp(0, 255) if name == "image" else changed).to(
                inputs[name].dtype
            )
            moved = True
        if "numeric" in inputs and moved:
            inputs["numeric"] = inputs["numeric"] * (1.0 - inputs["missing"])
        made = replace(self, inputs=inputs)
        if any(len(words) > 1 for words in self.words):
            for row, words in enumerate(self.words):
                if len(words) > 1:
                    lost[row] = self.fixed + generator.integers(len(words))
            frame = self._without(lost)
            made = replace(
                made,
                frame=frame,
                inputs=inputs | {n: t for n, t in self.scorer.encode(frame).items() if n in TEXTUAL},
                words=_words(frame, self.texts),
            )
            moved = True
        return (made, lost) if moved else None

    def _without(self, lost: NDArray[np.int64]) -> pd.DataFrame:
        frame = self.frame.copy()
        for column in self.texts:
            texts = to_texts(frame[column])
            for row, part in enumerate(lost):
                if part >= 0 and (word := self.words[row][part - self.fixed]).column == column:
                    texts[row] = delete_spans(texts[row], [(word.start, word.end)])
            frame[column] = pd.Series(texts, index=frame.index, dtype=object)
        return frame


def ago(events: int) -> str:
    """Name an earlier event."""
    return f"{events} event{'s' if events > 1 else ''} earlier"


def mean_of(tensor: Tensor) -> Tensor:
    """Give each channel's mean over an image (B, C, H, W) or signal (B, C, T), in the shape that spreads over it."""
    return tensor.float().mean(dim=tuple(range(2, tensor.ndim)), keepdim=True)


def _words(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[Word, ...], ...]:
    """Find the words of each row's texts; single signs are no words."""
    found: list[list[Word]] = [[] for _ in range(len(frame))]
    for column in columns:
        for row, text in enumerate(to_texts(frame[column])):
            found[row] += [
                Word(column, a, b, text[a:b])
                for a, b in word_spans(text)
                if any(c.isalnum() for c in text[a:b])
            ]
    return tuple(tuple(words) for words in found)


def _patches(height: int, width: int, side: int) -> Grid:
    rows, columns = min(side, height), min(side, width)
    down = np.arange(height) * rows // height
    across = np.arange(width) * columns // width
    names = [f"patch {r + 1}/{c + 1}" for r in range(rows) for c in range(columns)]
    return Grid(down[:, None] * columns + across[None, :], tuple(names))


def _stretches(samples: int, count: int) -> Grid:
    count = min(count, samples)
    part = np.arange(samples) * count // samples
    edges = [100 * int(np.flatnonzero(part == k)[0]) / samples for k in range(count)] + [100.0]
    return Grid(part, tuple(f"signal {edges[k]:.0f} to {edges[k + 1]:.0f} %" for k in range(count)))
