"""Attribution of scores to columns: each replaced by reference values, the score's change measured.

Occlusion with a reference distribution: interventional removal (Covert, Lundberg and Lee 2021, JMLR 22:209, section
4.2) of one column, or of several that belong together, at a time. It needs only the model's
scores, so it explains any encoder and network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.data.types import Layout
    from core.targets.scorer import Scorer
    from core.targets.types import Array

HISTORY = "history"
"""Name of the feature of all earlier events, where the model reads events."""
BATCH_ROWS = 4096
"""Altered rows that are scored at once."""
MIN_PROBABILITY = 1e-9
"""Probabilities are kept this far from 0 and 1, so that log odds are finite."""

ColumnPositions = Mapping[str, Mapping[str, Sequence[int] | None]]
"""Column -> input -> indices along its last dimension (None: all of it): see ``Encoder.column_positions``."""


@dataclass(frozen=True)
class Attribution:
    """How much each column or group of columns adds to each row's score. N rows, C names."""

    names: tuple[str, ...]
    effects: Array
    """(N, C): the score less its mean with the name replaced, in log odds (or in the target's unit for a value)."""

    def strongest(self, top: int, min_effect: float = 0.01) -> list[list[tuple[str, float]]]:
        """Return each row's names that raise its score by at least ``min_effect``: the ``top`` strongest, in order."""
        found = []
        for row in self.effects:
            order = np.argsort(-row, kind="stable")[:top]
            found.append([(self.names[c], float(row[c])) for c in order if row[c] >= min_effect])
        return found


def quantile_references(layout: Layout, levels: int = 8) -> dict[str, Tensor]:
    """Return reference inputs (R = ``levels`` rows) from what a fitted encoder keeps, without any training row.

    Numbers stand at evenly spaced quantiles of the training set, in an order of their own for each column;
    categories go through their codes; there is no history.
    """
    n = len(layout.numeric)
    share = (torch.arange(levels) + 0.5) / levels
    numeric = torch.zeros(levels, n)
    for i, edges in enumerate(layout.bin_edges[:n]):
        at = torch.linspace(0, 1, len(edges)).numpy()
        values = torch.from_numpy(np.interp(share.numpy(), at, np.asarray(edges))).float()
        numeric[:, i] = values.roll(i)  # columns are replaced one by one: no row of these is meant as a case
    references = {"numeric": numeric, "missing": torch.zeros(levels, n)}
    if layout.categorical:
        codes = [
            torch.arange(levels) % (size - 1) + 1 if size > 1 else torch.zeros(levels)
            for size in layout.cardinalities
        ]
        references["categorical"] = torch.stack([c.long() for c in codes], dim=1)
    if layout.events is not None:
        length, features = layout.events
        references["events"] = torch.zeros(levels, length, features)
        references["events_mask"] = torch.zeros(levels, length)
        references["events_mask"][:, -1] = 1.0
    return references


def occlude(
    scorer: Scorer,
    inputs: Mapping[str, Tensor],
    references: Mapping[str, Tensor],
    positions: ColumnPositions,
    groups: Mapping[str, Sequence[str]] | None = None,
    *,
    outputs: Sequence[int] | None = None,
    value: bool = False,
) -> Attribution:
    """Compute what each column, or group of columns, and the history add to the scores of encoded rows.

    ``inputs``: the rows (N), ``references``: rows (R) whose values replace them, both as the encoder returns them.
    ``groups``: name -> columns replaced together (each column by itself where not given); ``HISTORY`` is added where
    the rows have events. ``outputs``: the column of scores explained, one a row (1, the positive class, where not
    given). ``value``: scores are values of a regression, whose differences are taken as they are. Raises
    ``ValueError`` for a group with a column that is no input.
    """
    named = {column: (column,) for column in positions} if groups is None else groups
    unknown = sorted({c for columns in named.values() for c in columns} - set(positions))
    if unknown:
        raise ValueError(
            f"{', '.join(map(repr, unknown))}: no input columns; they are {', '.join(positions)}"
        )
    names = [*named, *([HISTORY] if "events" in inputs else [])]
    rows = len(next(iter(inputs.values())))
    count = len(next(iter(references.values())))
    column = np.asarray(np.full(rows, 0 if value else 1) if outputs is None else outputs, np.int64)

    def explained_value(scores: Array, explained: NDArray[np.int64]) -> Array:
        taken = np.take_along_axis(scores, explained[:, None], axis=1)[:, 0]
        if value:
            return taken
        kept = np.clip(taken, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        return np.asarray(np.log(kept / (1 - kept)), np.float64)

    full = explained_value(scorer.scores(dict(inputs)), column)
    effects = np.empty((rows, len(names)))
    for start, end in _pieces(rows, max(1, BATCH_ROWS // count)):
        piece = {name: tensor[start:end].repeat_interleave(count, 0) for name, tensor in inputs.items()}
        fill = {
            name: tensor.repeat(end - start, *[1] * (tensor.ndim - 1)) for name, tensor in references.items()
        }
        explained = column[start:end].repeat(count)
        for c, name in enumerate(names):
            if name == HISTORY and name not in named:
                altered = _with_other_history(piece, fill)
            else:
                altered = _with_columns_replaced(piece, fill, [positions[one] for one in named[name]])
            masked = explained_value(scorer.scores(altered), explained).reshape(end - start, count)
            effects[start:end, c] = full[start:end] - masked.mean(axis=1)
    return Attribution(tuple(names), effects)


def _pieces(rows: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, size):
        yield start, min(start + size, rows)


def _with_columns_replaced(
    inputs: Mapping[str, Tensor],
    references: Mapping[str, Tensor],
    columns: Sequence[Mapping[str, Sequence[int] | None]],
) -> dict[str, Tensor]:
    """Replace some columns' values; in events those of the row itself, which is the last."""
    altered = dict(inputs)
    for positions in columns:
        for name, at in positions.items():
            tensor = altered[name] = altered[name].clone()
            if at is None:
                tensor[...] = _padded(references[name], tensor)
            elif name == "events":
                tensor[:, -1, list(at)] = own_event_values(references, list(at), positions, tensor)
            else:
                tensor[..., list(at)] = references[name][..., list(at)].to(tensor.dtype)
    return altered


def own_event_values(
    references: Mapping[str, Tensor],
    at: list[int],
    positions: Mapping[str, Sequence[int] | None],
    tensor: Tensor,
) -> Tensor:
    """Return a reference's values of one column as an event holds them: number and missing flag, or one-hot."""
    if "numeric" in positions:
        numbers, flags = positions["numeric"], positions["missing"]
        assert numbers is not None
        assert flags is not None
        return torch.cat(
            [references["numeric"][:, list(numbers)], references["missing"][:, list(flags)]], dim=1
        ).to(tensor.dtype)
    codes = positions["categorical"]
    assert codes is not None
    category = references["categorical"][:, codes[0]].clamp(max=len(at) - 1)
    return torch.nn.functional.one_hot(category, len(at)).to(tensor.dtype)


def _with_other_history(inputs: Mapping[str, Tensor], references: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace the rows' earlier events by the references'."""
    altered = dict(inputs)
    for name in ("events", "events_mask"):
        altered[name] = torch.cat([references[name][:, :-1], inputs[name][:, -1:]], dim=1)
    return altered


def _padded(reference: Tensor, like: Tensor) -> Tensor:
    """Pad or cut the references' tokens to the length of the rows' own."""
    if reference.shape[1:] == like.shape[1:]:
        return reference.to(like.dtype)
    length = like.shape[1]
    padded = torch.nn.functional.pad(reference, (0, max(0, length - reference.shape[1])))
    return padded[:, :length].to(like.dtype)
