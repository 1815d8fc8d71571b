"""The classical baseline of segmentation: boosting of what is seen around each place of a grid."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from core.config import derive_seed
from core.targets.types import Decoded, FittedBaseline, Predictions, Target

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.data.types import Encoder
    from core.targets.types import BaselineSettings

CELL = 4
"""Pixels a side of one place of the grid."""
PLACES = 60_000
"""Training places, drawn at random from all training images."""
TREES = 60
"""Rounds of boosting at most: each has a tree for each class, and every place of every image is predicted."""
AT_ONCE = 32


class BoostingSettings(Protocol):
    """What is read of the option ``baseline=boosting``."""

    max_iter: int
    max_leaf_nodes: int


def fit_pixel_classifier(
    settings: BaselineSettings,
    frames: Mapping[str, pd.DataFrame],
    encoder: Encoder,
    target: Target,
    seed: int,
) -> FittedBaseline:
    """Fit on random places of ``frames["train"]``, stop by validation, predict masks of ``validation`` and ``test``."""
    config = cast("BoostingSettings", settings)
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    started = time.monotonic()
    rng = np.random.default_rng(derive_seed(seed, "challenger places"))
    x, y = _drawn(frames["train"], encoder, target, PLACES, rng)
    x_held, y_held = _drawn(frames["validation"], encoder, target, PLACES // 4, rng)
    known = np.isin(y_held, y)
    model = HistGradientBoostingClassifier(
        learning_rate=0.15,
        max_iter=min(config.max_iter, TREES),
        max_leaf_nodes=config.max_leaf_nodes,
        early_stopping=bool(known.any()),
        n_iter_no_change=10,
        random_state=derive_seed(seed, "challenger") % 2**32,
    )
    with threadpool_limits(torch.get_num_threads()):  # as many threads as the run was given, no more
        model.fit(x, y, X_val=x_held[known], y_val=y_held[known])
        validation, test = (_masks(model, frames[name], encoder, target) for name in ("validation", "test"))
    return FittedBaseline(
        "boosting",
        validation,
        test,
        {
            "estimator": "HistGradientBoostingClassifier",
            "features": {"place, colors at three scales, edges": int(x.shape[1])},
            "iterations": int(model.n_iter_),
            "rows": len(frames["train"]),
            "rows_available": len(frames["train"]),
            "places": len(y),
            "seconds": time.monotonic() - started,
        },
    )


def pixel_features(image_BCHW: Tensor) -> Tensor:
    """Describe each place, (B, D, H / 4, W / 4): where it is, its colors, of 3 x 3 and of 7 x 7 places, edges."""
    image = image_BCHW.float() / 255
    gray = image.mean(dim=1, keepdim=True)
    down = functional.pad((gray[:, :, 1:] - gray[:, :, :-1]).abs(), (0, 0, 0, 1))
    across = functional.pad((gray[..., 1:] - gray[..., :-1]).abs(), (0, 1))
    own = functional.avg_pool2d(torch.cat([image, down, across, gray**2], dim=1), CELL)
    near, far = (functional.avg_pool2d(own, k, 1, k // 2, count_include_pad=False) for k in (3, 7))
    batch, _, height, width = own.shape
    row = torch.linspace(0, 1, height).view(1, 1, height, 1).expand(batch, 1, height, width)
    column = (torch.linspace(-1, 1, width).view(1, 1, 1, width)).expand(batch, 1, height, width)
    return torch.cat([row, column, column.abs(), own, near, far], dim=1)


def _features(frame: pd.DataFrame, encoder: Encoder) -> NDArray[np.float32]:
    """Return features (n, h, w, D) of a few rows."""
    return pixel_features(encoder.transform(frame)["image"]).permute(0, 2, 3, 1).numpy()


def _drawn(
    frame: pd.DataFrame, encoder: Encoder, target: Target, places: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    xs, ys = [], []
    each = max(1, places // len(frame))
    for start in range(0, len(frame), AT_ONCE):
        piece = frame.iloc[start : start + AT_ONCE]
        features, truth = _features(piece, encoder), target.encode(piece).numpy()
        n, height, width, _ = features.shape
        rows = rng.integers(height, size=(n, each))
        columns = rng.integers(width, size=(n, each))
        which = np.arange(n)[:, None]
        down = ((rows + 0.5) * truth.shape[1] / height).astype(np.int64)
        across = ((columns + 0.5) * truth.shape[2] / width).astype(np.int64)
        codes = truth[which, down, across].ravel()
        known = codes < len(target.classes)
        xs.append(features[which, rows, columns].reshape(n * each, -1)[known])
        ys.append(codes[known].astype(np.int64))
    return np.concatenate(xs), np.concatenate(ys)


def _masks(model: Any, frame: pd.DataFrame, encoder: Encoder, target: Target) -> Predictions:
    decoded, truths = [], []
    for start in range(0, len(frame), AT_ONCE):
        piece = frame.iloc[start : start + AT_ONCE]
        features = _features(piece, encoder)
        n, height, width, depth = features.shape
        found = np.zeros((n * height * width, len(target.classes)))
        found[:, model.classes_] = model.predict_proba(features.reshape(-1, depth))
        maps = found.reshape(n, height, width, -1).transpose(0, 3, 1, 2)
        decoded.append(target.decode(maps))
        truths.append(target.truth(target.encode(piece)))
    whole = Decoded.joined(decoded)
    return target.predictions(whole.scores, whole.labels, np.concatenate(truths), sure=whole.sure)
