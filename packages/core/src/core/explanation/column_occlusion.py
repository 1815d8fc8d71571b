"""Which columns made a score what it is: each replaced by reference values, the score's change measured.

Occlusion with a reference distribution: interventional removal (Covert, Lundberg and Lee 2021, JMLR 22:209, section
4.2) of one column, or of several that belong together, at a time. It asks the model only for scores, so it explains
any encoder and network.
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
"""The name of what came before the row, where the model reads events."""
AT_ONCE = 4096
"""Altered rows that are scored at once."""
LEAST = 1e-9
"""Probabilities are kept this far from 0 and 1, so that log odds are finite."""

Places = Mapping[str, Mapping[str, Sequence[int] | None]]
"""Column -> input -> places along its last dimension (None: all of it), as ``FieldsEncoder.places`` gives them."""


@dataclass(frozen=True)
class Attribution:
    """How much each name adds to each row's score. N rows, C names."""

    names: tuple[str, ...]
    effects: Array
    """(N, C): the score less its mean with the name replaced, in log odds (or in the answer's unit for a value)."""

    def strongest(self, most: int, least: float = 0.01) -> list[list[tuple[str, float]]]:
        """Give each row's names that raise its score by ``least`` or more, the strongest first, at most so many."""
        found = []
        for row in self.effects:
            order = np.argsort(-row, kind="stable")[:most]
            found.append([(self.names[c], float(row[c])) for c in order if row[c] >= least])
        return found


def quantile_references(layout: Layout, levels: int = 8) -> dict[str, Tensor]:
    """Make reference inputs (R = ``levels`` rows) from what a fitted encoder keeps, without any training row.

    Numbers stand at evenly spaced quantiles of the training part, in an order of their own for each column;
    categories go through their codes; there is no history.
    """
    n = len(layout.numeric)
    share = (torch.arange(levels) + 0.5) / levels
    numeric = torch.zeros(levels, n)
    for i, edges in enumerate(layout.bin_edges[:n]):
        at = torch.linspace(0, 1, len(edges)).numpy()
        values = torch.from_numpy(np.interp(share.numpy(), at, np.asarray(edges))).float()
        numeric[:, i] = values.roll(i)  # columns are replaced one by one: no row of these is meant as a case
    made = {"numeric": numeric, "missing": torch.zeros(levels, n)}
    if layout.categorical:
        codes = [
            torch.arange(levels) % (size - 1) + 1 if size > 1 else torch.zeros(levels)
            for size in layout.cardinalities
        ]
        made["categorical"] = torch.stack([c.long() for c in codes], dim=1)
    if layout.events is not None:
        length, features = layout.events
        made["events"] = torch.zeros(levels, length, features)
        made["events_mask"] = torch.zeros(levels, length)
        made["events_mask"][:, -1] = 1.0
    return made


def occlude(
    scorer: Scorer,
    inputs: Mapping[str, Tensor],
    references: Mapping[str, Tensor],
    places: Places,
    groups: Mapping[str, Sequence[str]] | None = None,
    *,
    outputs: Sequence[int] | None = None,
    value: bool = False,
) -> Attribution:
    """Measure what each column, or group of columns, and the history add to the scores of encoded rows.

    ``inputs``: the rows (N), ``references``: rows (R) whose values replace them, both as the encoder gives them.
    ``groups``: name -> columns replaced together (each column by itself where not given); ``HISTORY`` is added where
    the rows have events. ``outputs``: the column of scores explained, one a row (1, the positive class, where not
    given). ``value``: scores are values of a regression, whose differences are taken as they are. Raises
    ``ValueError`` for a group with a column that is no input.
    """
    named = {column: (column,) for column in places} if groups is None else groups
    unknown = sorted({c for columns in named.values() for c in columns} - set(places))
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: no input columns; they are {', '.join(places)}")
    names = [*named, *([HISTORY] if "events" in inputs else [])]
    rows = len(next(iter(inputs.values())))
    count = len(next(iter(references.values())))
    column = np.asarray(np.full(rows, 0 if value else 1) if outputs is None else outputs, np.int64)

    def answered(scores: Array, explained: NDArray[np.int64]) -> Array:
        taken = np.take_along_axis(scores, explained[:, None], axis=1)[:, 0]
        if value:
            return taken
        kept = np.clip(taken, LEAST, 1 - LEAST)
        return np.asarray(np.log(kept / (1 - kept)), np.float64)

    whole = answered(scorer.scores(dict(inputs)), column)
    effects = np.empty((rows, len(names)))
    for start, end in _pieces(rows, max(1, AT_ONCE // count)):
        piece = {name: tensor[start:end].repeat_interleave(count, 0) for name, tensor in inputs.items()}
        filling = {
            name: tensor.repeat(end - start, *[1] * (tensor.ndim - 1)) for name, tensor in references.items()
        }
        explained = column[start:end].repeat(count)
        for c, name in enumerate(names):
            if name == HISTORY and name not in named:
                altered = _other_history(piece, filling)
            else:
                altered = _replaced(piece, filling, [places[one] for one in named[name]])
            without = answered(scorer.scores(altered), explained).reshape(end - start, count)
            effects[start:end, c] = whole[start:end] - without.mean(axis=1)
    return Attribution(tuple(names), effects)


def _pieces(rows: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, size):
        yield start, min(start + size, rows)


def _replaced(
    inputs: Mapping[str, Tensor],
    references: Mapping[str, Tensor],
    columns: Sequence[Mapping[str, Sequence[int] | None]],
) -> dict[str, Tensor]:
    """Exchange some columns' values, in an event those of the row itself, which is the last."""
    altered = dict(inputs)
    for places in columns:
        for name, at in places.items():
            tensor = altered[name] = altered[name].clone()
            if at is None:
                tensor[...] = _fitted(references[name], tensor)
            elif name == "events":
                tensor[:, -1, list(at)] = own_values(references, list(at), places, tensor)
            else:
                tensor[..., list(at)] = references[name][..., list(at)].to(tensor.dtype)
    return altered


def own_values(
    references: Mapping[str, Tensor],
    at: list[int],
    places: Mapping[str, Sequence[int] | None],
    tensor: Tensor,
) -> Tensor:
    """Give the reference's values of one column as the row's own event has them: number and missing flag, or flags."""
    if "numeric" in places:
        numbers, gone = places["numeric"], places["missing"]
        assert numbers is not None
        assert gone is not None
        return torch.cat(
            [references["numeric"][:, list(numbers)], references["missing"][:, list(gone)]], dim=1
        ).to(tensor.dtype)
    codes = places["categorical"]
    assert codes is not None
    flags = references["categorical"][:, codes[0]].clamp(max=len(at) - 1)
    return torch.nn.functional.one_hot(flags, len(at)).to(tensor.dtype)


def _other_history(inputs: Mapping[str, Tensor], references: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the references' earlier events in the place of the rows' own."""
    altered = dict(inputs)
    for name in ("events", "events_mask"):
        altered[name] = torch.cat([references[name][:, :-1], inputs[name][:, -1:]], dim=1)
    return altered


def _fitted(reference: Tensor, like: Tensor) -> Tensor:
    """Bring the references' tokens to the length of the rows' own."""
    if reference.shape[1:] == like.shape[1:]:
        return reference.to(like.dtype)
    length = like.shape[1]
    padded = torch.nn.functional.pad(reference, (0, max(0, length - reference.shape[1])))
    return padded[:, :length].to(like.dtype)
