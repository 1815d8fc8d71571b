"""Rows cut into interpretable features that can be masked: columns, earlier events, words, patches, signal segments.

What replaces a masked feature never comes from training rows: a column takes quantiles that the encoder keeps, a word
is left out, a patch or segment takes the mean of its own image or signal, an earlier event never happened.
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
from core.explanation.column_occlusion import own_event_values, quantile_references
from core.explanation.word_occlusion import delete_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.column_occlusion import ColumnPositions
    from core.targets.scorer import Scorer

TEXT_INPUTS = ("tokens", "words", "words_mask", "word_starts", "tfidf", "numeric", "missing")
"""Inputs that a text can change; numbers among them, because some are computed by comparing texts."""


@dataclass(frozen=True)
class Word:
    """One word of a text: its column, the characters it stands on, and itself."""

    column: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class FeatureGrid:
    """Feature number of each pixel (H, W) or sample (T), from 0 along each side (captum: feature_mask)."""

    feature_mask: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Masker:
    """N rows of at most P features each, in this order: columns, earlier events, patches or segments, words."""

    scorer: Scorer
    frame: pd.DataFrame
    inputs: dict[str, Tensor]
    references: dict[str, Tensor]
    columns: tuple[str, ...]
    positions: ColumnPositions
    history_length: int
    """Earlier events that a row may have."""
    grid: FeatureGrid | None
    texts: tuple[str, ...]
    words: tuple[tuple[Word, ...], ...]
    """Each row's words, of all its text columns."""

    @classmethod
    def from_frame(
        cls,
        scorer: Scorer,
        frame: pd.DataFrame,
        texts: Sequence[str],
        *,
        patches: int,
        segments: int,
        num_references: int,
    ) -> Masker:
        """Cut raw rows into features: images into ``patches`` along each side, signals into ``segments``."""
        layout = scorer.layout()
        positions = scorer.column_positions()
        columns = tuple(c for c, at in positions.items() if set(at) & {"numeric", "categorical"})
        grid = None
        if layout.image is not None:
            grid = _patches(layout.image[1], layout.image[2], patches)
        elif layout.signal is not None:
            grid = _segments(layout.signal[1], segments)
        references = quantile_references(layout, num_references)
        return cls(
            scorer,
            frame,
            scorer.encode(frame),
            references,
            columns,
            positions,
            layout.events[0] - 1 if layout.events is not None else 0,
            grid,
            tuple(texts),
            _words(frame, texts),
        )

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def feature_kind(self) -> str:
        """What features are: column, event, patch, segment, word, or feature where there are several kinds."""
        kinds = set(self.feature_kinds())
        return kinds.pop() if len(kinds) == 1 else "feature"

    def feature_kinds(self) -> list[str]:
        """Return the kind of each of the P features."""
        found = ["column"] * len(self.columns) + ["event"] * self.history_length
        if self.grid is not None:
            found += ["patch" if "image" in self.inputs else "segment"] * len(self.grid.names)
        return found + ["word"] * (self.num_features - len(found))

    @property
    def num_fixed(self) -> int:
        """Number of features before the words."""
        return len(self.columns) + self.history_length + (len(self.grid.names) if self.grid else 0)

    @property
    def num_features(self) -> int:
        """P: the features of the row that has most."""
        return self.num_fixed + max((len(words) for words in self.words), default=0)

    @property
    def num_references(self) -> int:
        """Number of reference values that a masked feature takes in turn: one where there are no columns."""
        return len(next(iter(self.references.values()))) if self.columns else 1

    def references_per_feature(self) -> NDArray[np.int64]:
        """Count the references that each feature takes in turn when it alone is masked, (P,)."""
        found = np.ones(self.num_features, np.int64)
        found[: len(self.columns)] = self.num_references
        return found

    def present(self) -> NDArray[np.bool_]:
        """Return which features each row has, (N, P)."""
        found = np.zeros((len(self), self.num_features), bool)
        found[:, : self.num_fixed] = True
        if self.history_length:
            start = len(self.columns)
            mask = self.inputs["events_mask"][:, : self.history_length].cpu().numpy() > 0.5
            found[:, start : start + self.history_length] = mask
        for row, words in enumerate(self.words):
            found[row, self.num_fixed : self.num_fixed + len(words)] = True
        return found

    def feature_names(self, row: int) -> list[str]:
        """Return the names of a row's P features, "" where it has none. A word's name is itself, in lower case."""
        fixed = [*self.columns, *(history_name(self.history_length - e) for e in range(self.history_length))]
        fixed += self.grid.names if self.grid else ()
        words = [word.text.lower() for word in self.words[row]]
        return [*fixed, *words, *[""] * (self.num_features - len(fixed) - len(words))]

    def head(self, rows: int) -> Masker:
        """Return the first rows."""
        return replace(
            self,
            frame=self.frame.iloc[:rows],
            inputs={name: tensor[:rows] for name, tensor in self.inputs.items()},
            words=self.words[:rows],
        )

    def masked(
        self, rows: NDArray[np.int64], hidden: NDArray[np.bool_], reference: NDArray[np.int64]
    ) -> dict[str, Tensor]:
        """Return the inputs of M variants: the row of each (M,), its masked features (M, P), its reference (M,)."""
        index = torch.from_numpy(rows)
        inputs = {name: tensor[index] for name, tensor in self.inputs.items()}
        if self.texts:
            inputs |= self._without_words(rows, hidden)
        self._fill_columns(inputs, hidden, torch.from_numpy(reference))
        start = len(self.columns)
        if self.history_length:
            lost = torch.from_numpy(hidden[:, start : start + self.history_length])
            for name in ("events", "events_mask"):
                past = inputs[name][:, :-1]
                past[lost] = 0.0
            start += self.history_length
        if self.grid is not None:
            lost = torch.from_numpy(hidden[:, start : start + len(self.grid.names)])
            name = "image" if "image" in inputs else "signal"
            inputs[name] = torch.where(
                lost[:, torch.from_numpy(self.grid.feature_mask)].unsqueeze(1),
                channel_means(inputs[name]).to(inputs[name].dtype),
                inputs[name],
            )
        return inputs

    def _fill_columns(self, inputs: dict[str, Tensor], hidden: NDArray[np.bool_], reference: Tensor) -> None:
        """Replace columns by reference values, in the row's own event too."""
        for c, column in enumerate(self.columns):
            lost = torch.from_numpy(np.flatnonzero(hidden[:, c]))
            if not len(lost):
                continue
            values = {name: tensor[reference[lost]] for name, tensor in self.references.items()}
            for name, at in self.positions[column].items():
                assert at is not None, "a column's positions are numbered"
                where = torch.tensor(at)
                tensor = inputs[name]
                if name == "events":
                    own = own_event_values(values, list(at), self.positions[column], tensor)
                    tensor[lost[:, None], -1, where] = own
                else:
                    tensor[lost[:, None], where] = values[name][:, where].to(tensor.dtype)

    def _without_words(self, rows: NDArray[np.int64], hidden: NDArray[np.bool_]) -> dict[str, Tensor]:
        """Encode the texts without the masked words; variants with the same words share one encoding."""
        variants = np.column_stack([rows, hidden[:, self.num_fixed :]])
        distinct, which = np.unique(variants, axis=0, return_inverse=True)
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
        encoded = self.scorer.encode(altered, altered.iloc[:0])
        index = torch.from_numpy(which.reshape(-1))
        return {name: encoded[name][index] for name in TEXT_INPUTS if name in encoded}

    def perturbed(self, generator: np.random.Generator) -> tuple[Masker, NDArray[np.int64]] | None:
        """Perturb each row slightly: numbers, pixels and samples by Gaussian noise, a text by the loss of one word.

        Returns the rows and the feature that each lost, (N,), -1 for none; None where no input can be perturbed.
        """
        lost = np.full(len(self), -1, np.int64)
        inputs = dict(self.inputs)
        moved = False
        for name, deviation in (("numeric", 0.05), ("signal", 0.05), ("image", 2.0)):
            if name not in inputs or (name == "numeric" and not inputs[name].numel()):
                continue
            shift = torch.from_numpy(generator.normal(0.0, deviation, tuple(inputs[name].shape)))
            changed = inputs[name].double() + shift
            inputs[name] = (changed.round().clamp(0, 255) if name == "image" else changed).to(
                inputs[name].dtype
            )
            moved = True
        if "numeric" in inputs and moved:
            inputs["numeric"] = inputs["numeric"] * (1.0 - inputs["missing"])
        found = replace(self, inputs=inputs)
        if any(len(words) > 1 for words in self.words):
            for row, words in enumerate(self.words):
                if len(words) > 1:
                    lost[row] = self.num_fixed + generator.integers(len(words))
            frame = self._frame_without(lost)
            found = replace(
                found,
                frame=frame,
                inputs=inputs | {n: t for n, t in self.scorer.encode(frame).items() if n in TEXT_INPUTS},
                words=_words(frame, self.texts),
            )
            moved = True
        return (found, lost) if moved else None

    def _frame_without(self, lost: NDArray[np.int64]) -> pd.DataFrame:
        frame = self.frame.copy()
        for column in self.texts:
            texts = to_texts(frame[column])
            for row, feature in enumerate(lost):
                if feature >= 0 and (word := self.words[row][feature - self.num_fixed]).column == column:
                    texts[row] = delete_spans(texts[row], [(word.start, word.end)])
            frame[column] = pd.Series(texts, index=frame.index, dtype=object)
        return frame


def history_name(events: int) -> str:
    """Return the name of the event so many before the row's own.

    >>> history_name(2)
    '2 events earlier'
    """
    return f"{events} event{'s' if events > 1 else ''} earlier"


def channel_means(tensor: Tensor) -> Tensor:
    """Compute each channel's mean over an image (B, C, H, W) or signal (B, C, T), in a shape that broadcasts."""
    return tensor.float().mean(dim=tuple(range(2, tensor.ndim)), keepdim=True)


def _words(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[Word, ...], ...]:
    """Return the words of each row's texts; punctuation is no word."""
    found: list[list[Word]] = [[] for _ in range(len(frame))]
    for column in columns:
        for row, text in enumerate(to_texts(frame[column])):
            found[row] += [
                Word(column, a, b, text[a:b])
                for a, b in word_spans(text)
                if any(c.isalnum() for c in text[a:b])
            ]
    return tuple(tuple(words) for words in found)


def _patches(height: int, width: int, side: int) -> FeatureGrid:
    rows, columns = min(side, height), min(side, width)
    down = np.arange(height) * rows // height
    across = np.arange(width) * columns // width
    names = [f"patch {r + 1}/{c + 1}" for r in range(rows) for c in range(columns)]
    return FeatureGrid(down[:, None] * columns + across[None, :], tuple(names))


def _segments(samples: int, count: int) -> FeatureGrid:
    count = min(count, samples)
    feature_mask = np.arange(samples) * count // samples
    edges = [100 * int(np.flatnonzero(feature_mask == k)[0]) / samples for k in range(count)] + [100.0]
    return FeatureGrid(
        feature_mask, tuple(f"signal {edges[k]:.0f} to {edges[k + 1]:.0f} %" for k in range(count))
    )
