"""The classical model beside ours: the same training rows, the same validation, the same test."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.evaluation.config import Boosting, LinearProbe, Logistic, Tfidf
from core.evaluation.features import Matrix, dense_features, sparse_features
from core.targets.bootstrap_metrics import log_losses
from core.targets.pixel_classifier import boosted_pixels
from core.targets.perceptron_tagger import read_utterances
from core.evaluation.types import Array, BaselineResult, Json
from core.targets.segmentation import SegmentationTarget
from core.targets.intent_slots import IntentSlotsTarget
from core.targets.types import Predictions

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Encoder, ColumnRoles
    from core.targets.types import Target

MOST_STEPS = 500
"""Steps of the solver of a logistic regression."""

Scorer = Callable[[Matrix], Array]
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


def suited(roles: ColumnRoles) -> str:
    """Name the baseline: images a linear probe, texts with references logistic, texts TF-IDF, all else boosting."""
    if roles.references:
        return "logistic"
    if roles.mask_classes:
        return "boosting"
    if roles.image is not None:
        return "linear_probe"
    if roles.text and not (roles.numeric or roles.categorical or roles.signal):
        return "tfidf"
    return "boosting"


def challenge(
    config: Boosting | Logistic,
    frames: Mapping[str, pd.DataFrame],
    encoder: Encoder,
    roles: ColumnRoles,
    target: Target,
    seed: int,
) -> BaselineResult:
    """Fit on ``frames["train"]``, tune on ``validation``, predict ``validation`` and ``test``.

    Images and signals are read through the model's own encoder, so that both see the same samples. Raises
    ``ValueError`` where the baseline has no input it can read.
    """
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if isinstance(target, SegmentationTarget):
        if not isinstance(config, Boosting):
            raise ValueError("target=mask has one baseline, baseline=boosting; use it or baseline=auto")
        return boosted_pixels(config, frames, encoder, target, seed)
    if isinstance(target, IntentSlotsTarget):
        if isinstance(config, Boosting) or type(config) not in (Tfidf, Logistic):
            raise ValueError("target=tokens has one baseline, baseline=tfidf; use baseline=auto")
        return read_utterances(frames, target, derive_seed(seed, "challenger") % 2**32)
    started = time.monotonic()
    name, used = _inputs(config, roles)
    n = len(frames["train"])
    kept = np.arange(n)
    if n > config.rows:
        kept = np.sort(
            np.random.default_rng(derive_seed(seed, "challenger rows")).permutation(n)[: config.rows]
        )
    train = frames["train"].iloc[kept]
    random = derive_seed(seed, "challenger") % 2**32
    if isinstance(config, Boosting):
        features = dense_features(used, encoder, config.topics, random, train)
    else:
        features = sparse_features(used, encoder, config.vocabulary)
    fitted_truth = target.truth(target.encode(train))
    x = features.fit(train, _columns(fitted_truth, target))
    held = {part: features.transform(frames[part]) for part in ("validation", "test")}
    truth = {part: target.truth(target.encode(frames[part])) for part in held}
    rows = _Rows(x, fitted_truth, held["validation"], truth["validation"], target, random)
    with threadpool_limits(torch.get_num_threads()):  # as many threads as the run was given, no more
        score, details = _boosted(config, rows) if isinstance(config, Boosting) else _penalised(config, rows)
    return BaselineResult(
        name,
        _predictions(score(held["validation"]), truth["validation"], target),
        _predictions(score(held["test"]), truth["test"], target),
        {
            **details,
            "features": features.blocks,
            "rows": len(kept),
            "rows_available": n,
            "seconds": time.monotonic() - started,
        },
    )


def _columns(truth: NDArray[Any], target: Target) -> Array:
    """Give the truth as (N, K) numbers whose means say something of a category."""
    if target.kind == "multiclass":
        return np.asarray(truth[:, None] == np.arange(len(target.classes)), np.float64)
    return np.asarray(truth, np.float64).reshape(len(truth), -1)


def _inputs(config: Boosting | Logistic, roles: ColumnRoles) -> tuple[str, ColumnRoles]:
    """Name the baseline and leave it the fields it reads."""
    if isinstance(config, Boosting):
        return "boosting", roles
    if isinstance(config, Tfidf):
        if not roles.text:
            raise ValueError("baseline=tfidf needs a text column, this data has none; use baseline=auto")
        return "tfidf", replace(roles, numeric=(), categorical=(), references=(), image=None, signal=None)
    if isinstance(config, LinearProbe):
        if roles.image is None and roles.signal is None:
            raise ValueError("baseline=linear_probe needs images or signals; use baseline=auto")
        return "linear_probe", replace(roles, numeric=(), categorical=(), text=(), references=())
    return "logistic", roles


def _boosted(config: Boosting, rows: _Rows) -> tuple[Scorer, dict[str, Json]]:
    """Gradient boosting that stops when the validation loss does."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    values = rows.target.kind == "regression"
    kind = HistGradientBoostingRegressor if values else HistGradientBoostingClassifier

    def fitted(y: NDArray[Any], y_validation: NDArray[Any]) -> Any:
        # Validation rows of a class that training never saw can't be scored by the model.
        known = np.ones(len(y_validation), bool) if values else np.isin(y_validation, y)
        model = kind(
            learning_rate=config.learning_rate,
            max_iter=config.iterations,
            max_leaf_nodes=config.leaves,
            min_samples_leaf=int(np.clip(len(y) // 100, 5, 50)),
            l2_regularization=1.0,
            max_features=0.5,
            early_stopping=bool(known.any()),
            n_iter_no_change=20,
            random_state=rows.random,
            categorical_features=rows.x.categorical,
        )
        return model.fit(rows.x.values, y, X_val=rows.x_validation.values[known], y_val=y_validation[known])

    models = _per_label(fitted, rows)
    details = {
        "estimator": kind.__name__,
        "iterations": [int(m.n_iter_) for m in models if not isinstance(m, float)],
        "learning_rate": config.learning_rate,
        "leaves": config.leaves,
    }
    return lambda x: _scores(models, x, rows.target), details


def _penalised(config: Logistic, rows: _Rows) -> tuple[Scorer, dict[str, Json]]:
    """Linear model whose penalty validation chooses: strongest first, then finer about the best."""
    tried: dict[float, tuple[float, list[Any]]] = {}
    stopped = 0

    def loss_of(strength: float) -> float:
        nonlocal stopped
        models, unconverged = _linear(strength, rows)
        stopped += unconverged
        scores = _scores(models, rows.x_validation, rows.target)
        tried[strength] = _loss(_predictions(scores, rows.truth_validation, rows.target)), models
        return tried[strength][0]

    least = float("inf")
    for strength in sorted(config.strengths):
        loss = loss_of(strength)
        if loss >= least:
            break  # losses fall and then rise with the strength: the rest would be worse still
        least = loss
    middle = min(tried, key=lambda s: tried[s][0])
    for strength in (middle / 3, middle * 3):
        loss_of(strength)
    best = min(tried, key=lambda s: tried[s][0])
    details = {
        "estimator": "Ridge" if rows.target.kind == "regression" else "LogisticRegression",
        "strength": best,
        "validation_losses": {f"{s:.4g}": tried[s][0] for s in sorted(tried)},
        "fits_stopped_unconverged": stopped,
    }
    return lambda x: _scores(tried[best][1], x, rows.target), details


def _linear(strength: float, rows: _Rows) -> tuple[list[Any], int]:
    """Fit with one penalty; give the models and how many were stopped before they converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    def fitted(y: NDArray[Any], _: NDArray[Any]) -> Any:
        if rows.target.kind == "regression":
            return Ridge(alpha=1 / strength, random_state=rows.random).fit(rows.x.values, y)
        return LogisticRegression(C=strength, max_iter=MOST_STEPS, random_state=rows.random).fit(
            rows.x.values, y
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted, and said in the record
        models = _per_label(fitted, rows)
    classifiers = [m for m in models if isinstance(m, LogisticRegression)]
    return models, sum(int(np.max(m.n_iter_)) >= MOST_STEPS for m in classifiers)


def _predictions(scores: Array, truth: NDArray[Any], target: Target) -> Predictions:
    return Predictions(scores, target.labels(scores), truth, target.classes, target.kind)


def _loss(p: Predictions) -> float:
    if p.kind == "regression":
        return float(np.mean((p.scores[:, 0] - p.targets) ** 2))
    return float(log_losses(p).mean())


def _per_label(fitted: Callable[[NDArray[Any], NDArray[Any]], Any], rows: _Rows) -> list[Any]:
    """Fit one model, or one a label; a label with one answer in training is that share, no model."""
    if rows.target.kind != "multilabel":
        return [fitted(rows.truth, rows.truth_validation)]
    models: list[Any] = []
    for k in range(rows.truth.shape[1]):
        share = float(rows.truth[:, k].mean())
        constant = share in (0.0, 1.0)
        models.append(share if constant else fitted(rows.truth[:, k], rows.truth_validation[:, k]))
    return models


def _scores(models: list[Any], x: Matrix, target: Target) -> Array:
    if target.kind == "regression":
        return np.asarray(models[0].predict(x.values), np.float64).reshape(-1, 1)
    n = x.values.shape[0]
    if target.kind == "multilabel":
        return np.column_stack(
            [np.full(n, m) if isinstance(m, float) else m.predict_proba(x.values)[:, 1] for m in models]
        )
    scores = np.zeros((n, len(target.classes)))
    scores[:, np.asarray(models[0].classes_, np.int64)] = models[0].predict_proba(x.values)
    return scores
