"""The classical baseline: the same training rows, the same validation, the same test."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from core.config import OPTIONS, derive_seed, option_name
from core.evaluation.config import AutoBaseline, Boosting, LinearProbe, Logistic, NoBaseline, Tfidf
from core.evaluation.features import Matrix, dense_features, sparse_features
from core.targets.types import Array, FittedBaseline, Predictions, Target

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import ColumnRoles, Encoder

MAX_ITERATIONS = 500
"""Steps of the solver of a logistic regression."""

Frames = Mapping[str, "pd.DataFrame"]
ScoreRows = Callable[[Matrix], Array]
"""Features of rows -> (N, K) probabilities or (N, 1) values."""


@dataclass(frozen=True)
class _Rows:
    """Training and validation rows as a classical model sees them."""

    x: Matrix
    truth: NDArray[Any]
    x_validation: Matrix
    truth_validation: NDArray[Any]
    target: Target
    random: int


def no_baseline(
    config: NoBaseline, frames: Frames, encoder: Encoder, roles: ColumnRoles, target: Target, seed: int
) -> FittedBaseline | None:
    """Return None."""
    return None


def fit_suited(
    config: AutoBaseline, frames: Frames, encoder: Encoder, roles: ColumnRoles, target: Target, seed: int
) -> FittedBaseline:
    """Choose the baseline by the kind of target and of input, and fit it."""
    option = OPTIONS["baseline", suited(roles, target)]
    return fit_baseline(option(max_rows=config.max_rows), frames, encoder, roles, target, seed)


def suited(roles: ColumnRoles, target: Target) -> str:
    """Return the baseline that suits: images a linear probe, texts TF-IDF, with references logistic, else boosting."""
    if target.own_baselines:
        return target.own_baselines[0]
    if roles.references:
        return "logistic"
    if roles.image is not None:
        return "linear_probe"
    if roles.text and not (roles.numeric or roles.categorical or roles.signal):
        return "tfidf"
    return "boosting"


def fit_baseline(
    config: Boosting | Logistic,
    frames: Frames,
    encoder: Encoder,
    roles: ColumnRoles,
    target: Target,
    seed: int,
) -> FittedBaseline:
    """Fit on ``frames["train"]``, tune on ``validation``, predict ``validation`` and ``test``.

    Images and signals are read through the model's own encoder, so that both see the same samples. Raises
    ``ValueError`` where the baseline has no input it can read, or does not suit the target.
    """
    name = option_name(config)
    if target.own_baselines:
        if name not in target.own_baselines:
            only = " or ".join(target.own_baselines)
            raise ValueError(f"baseline={name}: target={target.kind} takes {only}; use baseline=auto")
        return target.fit_baseline(config, frames, encoder, seed)
    started = time.monotonic()
    used = _inputs(config, roles)
    n = len(frames["train"])
    kept = np.arange(n)
    if n > config.max_rows:
        kept = np.sort(
            np.random.default_rng(derive_seed(seed, "challenger rows")).permutation(n)[: config.max_rows]
        )
    train = frames["train"].iloc[kept]
    random = derive_seed(seed, "challenger") % 2**32
    if isinstance(config, Boosting):
        features = dense_features(used, encoder, config.svd_components, random, train)
    else:
        features = sparse_features(used, encoder, config.max_features)
    fitted_truth = target.truth(target.encode(train))
    x = features.fit(train, target.mean_columns(fitted_truth, len(target.classes)))
    held_out = {part: features.transform(frames[part]) for part in ("validation", "test")}
    truth = {part: target.truth(target.encode(frames[part])) for part in held_out}
    rows = _Rows(x, fitted_truth, held_out["validation"], truth["validation"], target, random)
    with threadpool_limits(torch.get_num_threads()):  # as many threads as the run was given, no more
        score, details = _boosted(config, rows) if isinstance(config, Boosting) else _penalized(config, rows)
    return FittedBaseline(
        name,
        _predictions(score(held_out["validation"]), truth["validation"], target),
        _predictions(score(held_out["test"]), truth["test"], target),
        {
            **details,
            "features": features.blocks,
            "rows": len(kept),
            "rows_available": n,
            "seconds": time.monotonic() - started,
        },
    )


def _inputs(config: Boosting | Logistic, roles: ColumnRoles) -> ColumnRoles:
    """Return the roles of the columns that the baseline reads."""
    if isinstance(config, Tfidf):
        if not roles.text:
            raise ValueError("baseline=tfidf needs a text column, this data has none; use baseline=auto")
        return replace(roles, numeric=(), categorical=(), references=(), image=None, signal=None)
    if isinstance(config, LinearProbe):
        if roles.image is None and roles.signal is None:
            raise ValueError("baseline=linear_probe needs images or signals; use baseline=auto")
        return replace(roles, numeric=(), categorical=(), text=(), references=())
    return roles


def _boosted(config: Boosting, rows: _Rows) -> tuple[ScoreRows, dict[str, Any]]:
    """Fit gradient boosting that stops when the validation loss does."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    numbers = rows.target.estimates_numbers
    estimator = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier

    def fitted(y: NDArray[Any], y_validation: NDArray[Any]) -> Any:
        # Validation rows of a class that training never saw can't be scored by the model.
        known = np.ones(len(y_validation), bool) if numbers else np.isin(y_validation, y)
        model = estimator(
            learning_rate=config.learning_rate,
            max_iter=config.max_iter,
            max_leaf_nodes=config.max_leaf_nodes,
            min_samples_leaf=int(np.clip(len(y) // 100, 5, 50)),
            l2_regularization=1.0,
            max_features=0.5,
            early_stopping=bool(known.any()),
            n_iter_no_change=20,
            random_state=rows.random,
            categorical_features=rows.x.categorical,
        )
        return model.fit(rows.x.values, y, X_val=rows.x_validation.values[known], y_val=y_validation[known])

    models = _estimators(fitted, rows)
    details = {
        "estimator": estimator.__name__,
        "iterations": [int(m.n_iter_) for m in models if not isinstance(m, _Constant)],
        "learning_rate": config.learning_rate,
        "max_leaf_nodes": config.max_leaf_nodes,
    }
    return lambda x: _scores(models, x, rows.target), details


def _penalized(config: Logistic, rows: _Rows) -> tuple[ScoreRows, dict[str, Any]]:
    """Fit a linear model whose penalty validation chooses: strongest first, then finer about the best."""
    tried: dict[float, tuple[float, list[Any]]] = {}
    stopped = 0

    def loss_of(c: float) -> float:
        nonlocal stopped
        models, unconverged = _linear(c, rows)
        stopped += unconverged
        scores = _scores(models, rows.x_validation, rows.target)
        predictions = _predictions(scores, rows.truth_validation, rows.target)
        tried[c] = rows.target.estimator_loss(predictions), models
        return tried[c][0]

    least = float("inf")
    for c in sorted(config.C_grid):
        loss = loss_of(c)
        if loss >= least:
            break  # losses fall and then rise with C: the rest would be worse still
        least = loss
    middle = min(tried, key=lambda c: tried[c][0])
    for c in (middle / 3, middle * 3):
        loss_of(c)
    best = min(tried, key=lambda c: tried[c][0])
    details = {
        "estimator": "Ridge" if rows.target.estimates_numbers else "LogisticRegression",
        "C": best,
        "validation_losses": {f"{c:.4g}": tried[c][0] for c in sorted(tried)},
        "fits_stopped_unconverged": stopped,
    }
    return lambda x: _scores(tried[best][1], x, rows.target), details


def _linear(c: float, rows: _Rows) -> tuple[list[Any], int]:
    """Fit with one inverse penalty; return the models and how many were stopped before they converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    def fitted(y: NDArray[Any], _: NDArray[Any]) -> Any:
        if rows.target.estimates_numbers:
            return Ridge(alpha=1 / c, random_state=rows.random).fit(rows.x.values, y)
        return LogisticRegression(C=c, max_iter=MAX_ITERATIONS, random_state=rows.random).fit(
            rows.x.values, y
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted, and reported in the record
        models = _estimators(fitted, rows)
    classifiers = [m for m in models if isinstance(m, LogisticRegression)]
    return models, sum(int(np.max(m.n_iter_)) >= MAX_ITERATIONS for m in classifiers)


def _predictions(scores: Array, truth: NDArray[Any], target: Target) -> Predictions:
    return target.predictions(scores, target.labels(scores), truth)


class _Constant:
    """A label with one value in training: no model is fitted, it is always predicted."""

    def __init__(self, value: object) -> None:
        self.classes_ = np.array([value])

    def predict_proba(self, x: Any) -> Array:
        return np.ones((x.shape[0], 1))


def _estimators(fitted: Callable[[NDArray[Any], NDArray[Any]], Any], rows: _Rows) -> list[Any]:
    """Fit one model for each column that the target has estimated."""
    target = rows.target
    columns = list(
        zip(
            target.estimated_columns(rows.truth),
            target.estimated_columns(rows.truth_validation),
            strict=True,
        )
    )
    several = len(columns) > 1
    return [
        _Constant(y[0]) if several and len(set(y.tolist())) == 1 else fitted(y, held) for y, held in columns
    ]


def _scores(models: list[Any], x: Matrix, target: Target) -> Array:
    if target.estimates_numbers:
        return target.estimated_scores([np.asarray(m.predict(x.values), np.float64) for m in models], [])
    return target.estimated_scores([m.predict_proba(x.values) for m in models], [m.classes_ for m in models])
