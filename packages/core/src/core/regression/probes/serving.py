"""A row gets the same prediction alone, in another order and in the run's own evaluation; and how long one takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.backbones.contexts import eval_mode
from core.regression.measurement import Check
from core.regression.probes.timing import ratios
from core.serving.load import LoadedRun, load

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from core.data.types import Dataset
    from core.report.run import Run
    from core.targets.types import Predictions

ALONE, TOGETHER, CALLS = 12, 60, 4
"""Rows predicted one by one, rows predicted in another order, predictions in one block of the clock."""
TOLERANCE = 1e-3
"""Largest difference of a score: float32 sums in another order give 1e-6."""


def serving_checks(
    run: Run, dataset: Dataset, limits: Mapping[str, float]
) -> tuple[list[Check], dict[str, float]]:
    """Return whether the saved run predicts as it was evaluated, and its latency over that of a bare forward pass."""
    loaded, kept = load(run.path), run.predictions("test")
    inputs = _Inputs(loaded, dataset)
    rng = np.random.default_rng(0)
    few = np.unique(np.linspace(0, len(kept) - 1, ALONE).astype(np.int64))
    many = rng.permutation(len(kept))[:TOGETHER]
    alone = np.concatenate([inputs.scores(kept.index[[row]]) for row in few])
    together = inputs.scores(kept.index[many])
    scale = _scale(kept)
    reason = "is served another score than it was evaluated with: an encoder, a scale or weights follow the rows around"
    differences = {
        "difference of a row predicted alone": _largest(alone, kept.scores[few], scale),
        "difference of rows in another order": _largest(together, kept.scores[many], scale),
    }
    checks = [
        Check(name, value, TOLERANCE, at_least=False, reason=f"a row {reason} it")
        for name, value in differences.items()
    ]
    return checks, latency_ratio(loaded, inputs.frame(kept.index[[0]]), limits)


class _Inputs:
    """Raw rows as a client would send them."""

    def __init__(self, loaded: LoadedRun, dataset: Dataset) -> None:
        self.loaded, self.source = loaded, dataset.frame
        self.columns, self.history = [*loaded.roles.inputs()], None
        if loaded.config["encoder"].get("max_events"):  # whose row it is and when is part of the input
            roles = loaded.roles
            self.columns += [c for c in (roles.unit, roles.time) if c is not None and c not in self.columns]
            self.history = self.source[self.columns]

    def frame(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        return self.source.iloc[rows][self.columns]

    def scores(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        frame = self.frame(rows)
        if self.loaded.target.dense:
            return self.loaded.scorer().decoded(frame).scores
        return self.loaded.scores(frame, history=self.history)


def _scale(predictions: Predictions) -> float:
    """Return what a difference is measured in: 1 for probabilities, the spread of the truth for numbers."""
    if predictions.type.estimates_numbers:
        return max(float(np.std(np.asarray(predictions.targets, np.float64))), 1e-12)
    return 1.0


def _largest(served: NDArray[np.float64], kept: NDArray[np.float64], scale: float) -> float:
    if served.shape != kept.shape:
        return float("inf")
    difference = np.abs(served - kept)
    return float("inf") if np.isnan(difference).any() else float(difference.max()) / scale


def latency_ratio(loaded: LoadedRun, row: pd.DataFrame, limits: Mapping[str, float]) -> dict[str, float]:
    """Return the processor time from an encoded row to its scores over that of the network's forward pass alone."""
    scorer = loaded.scorer()
    encoded: dict[str, Any] = scorer.encode(row)
    device = {name: tensor.to(loaded.device) for name, tensor in encoded.items()}

    def serve() -> None:
        for _ in range(CALLS):
            scorer.scores(encoded)

    def forward() -> None:
        with eval_mode(loaded.model), torch.inference_mode():
            for _ in range(CALLS):
                loaded.model(device)

    for piece in (serve, forward):
        piece()
    return ratios(serve, forward, {"latency over a bare forward pass": time.process_time}, limits)
