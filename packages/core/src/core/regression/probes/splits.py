"""Nothing of a test row is known in training: no row, no unit, no input in two sets, no encoder fitted on others."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import build
from core.data.row_hash import input_keys
from core.fairness.mitigation import NoMitigation
from core.regression.measurement import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.config import RunConfig
    from core.run.state import PreparedData
    from core.targets.types import Predictions


def in_two_sets(sets: Sequence[NDArray[Any]]) -> int:
    """Count the values that are in more than one of some sets.

    >>> in_two_sets([np.array([1, 2, 3]), np.array([3, 4]), np.array([1, 5])])
    2
    """
    shared = [np.intersect1d(a, b) for a, b in combinations(sets, 2)]
    return len(np.unique(np.concatenate(shared))) if shared else 0


def measure_splits(data: PreparedData) -> dict[str, float]:
    """Return how many rows, units and inputs are in more than one of the three sets.

    Rows never may be. Units may where the task splits by time, and equal inputs where people say the same sentence: of
    these the baseline says how many there are.
    """
    splits = list(data.splits.values())
    units = [split.units for split in splits if split.units is not None]
    keys = [input_keys(frame, data.dataset.roles) for frame in data.frames.values()]
    return {
        "rows in two sets": float(in_two_sets([split.rows for split in splits])),
        "units in two sets": float(in_two_sets(units)),
        "inputs in two sets": float(in_two_sets(keys)),
        "training rows": float(len(data.splits["train"])),
        "test rows": float(len(data.splits["test"])),
    }


def check_splits(config: RunConfig, data: PreparedData, test: Predictions) -> list[Check]:
    """Check that no row is in two sets, that the run predicted the test set, and what its encoder was fitted on."""
    rows = in_two_sets([split.rows for split in data.splits.values()])
    sources = [
        len(np.setdiff1d(split.frame.index, data.dataset.frame.index[split.rows]))
        for split in data.splits.values()
    ]
    others = len(np.setxor1d(data.splits["test"].rows, test.index))
    return [
        Check("row in two sets", float(rows), 0.0, False, "a test row must not be trained on"),
        Check(
            "row of another set",
            float(sum(sources)),
            0.0,
            False,
            "a set holds rows that the split did not give it",
        ),
        Check(
            "row predicted beside the test set",
            float(others),
            0.0,
            False,
            "metrics must be of test rows alone",
        ),
        Check(
            "encoder fitted on other rows",
            float(encoder_state(config, data) != data.encoder.state()),
            0.0,
            False,
            "an encoder fitted on anything but the training rows knows test rows, or differs from run to run",
        ),
    ]


def encoder_state(config: RunConfig, data: PreparedData) -> dict[str, Any]:
    """Return the state of the run's encoder fitted once more, on the rows of the training set by their numbers."""
    frame = data.dataset.frame.iloc[data.splits["train"].rows]
    mitigation: NoMitigation = build(config.fairness)
    encoder = mitigation.wrap_encoder(
        build(config.encoder, data.dataset.roles), frame, data.dataset.roles, data.groups
    )
    encoder.fit(frame)
    state: dict[str, Any] = encoder.state()
    return state
