"""Attribution methods: occlusion, integrated gradients and attention rollout, chosen by the number of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.explanation.aggregate import TextAlignment
from core.explanation.integrated_gradients import IntegratedGradientsResult, integrated_gradients
from core.explanation.rollout import rollout

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.explanation.config import StandardExplanation
    from core.explanation.explained_output import ExplainedOutput
    from core.explanation.masker import Masker
    from core.targets.scorer import Scorer
    from core.targets.types import Array


@dataclass(frozen=True)
class ModelUnderTest:
    """What is explained: a model, its scorer, and how its texts become tokens."""

    model: Model
    scorer: Scorer
    scorer_of: Callable[[Model], Scorer]
    """Returns the scorer of another model of the same run."""
    alignment: TextAlignment


@dataclass(frozen=True)
class Attributions:
    """Effects of features on the explained output."""

    effects: Array
    """(N, P); NaN where a row has no such feature."""
    gradients: IntegratedGradientsResult | None = None
    """Of integrated gradients, how well they add up."""


def select_method(settings: StandardExplanation, masker: Masker) -> tuple[str, str]:
    """Choose the attribution method; return it with the code of the reason: requested, few_features, many_features."""
    if settings.method != "auto":
        return settings.method, "requested"
    if features_per_row(masker) <= settings.max_occluded_features:
        return "occlusion", "few_features"
    return "integrated_gradients", "many_features"


def features_per_row(masker: Masker) -> float:
    """Return the mean number of features of a row."""
    return float(masker.present().sum(axis=1).mean())


def attribute(
    subject: ModelUnderTest,
    masker: Masker,
    explained: ExplainedOutput,
    method: str,
    settings: StandardExplanation,
) -> Attributions:
    """Compute effects (N, P) by a method; raises ``MethodUnavailable`` where the network has no rollout."""
    if method == "occlusion":
        return Attributions(occlusion(subject.scorer, masker, explained))
    if method == "rollout":
        return Attributions(rollout(subject.model, masker, subject.alignment))
    found = integrated_gradients(subject.model, masker, explained, subject.alignment, settings.steps)
    return Attributions(found.effects, found)


def occlusion(scorer: Scorer, masker: Masker, explained: ExplainedOutput) -> Array:
    """Compute each feature's effect, (N, P): the output less its mean with the feature masked; NaN without the feature.

    Feature ablation over references (Zeiler and Fergus 2014, arXiv:1311.2901; Covert, Lundberg and Lee 2021, JMLR
    22:209, section 4.2): one forward pass for each feature and reference.
    """
    present, references = masker.present(), masker.references_per_feature()
    rows, features = np.nonzero(present)
    variants = np.repeat(np.arange(len(rows)), references[features])
    first = np.cumsum(references[features]) - references[features]
    hidden = np.zeros((len(variants), masker.num_features), bool)
    hidden[np.arange(len(variants)), features[variants]] = True
    n = len(masker)
    nothing = np.zeros((n, masker.num_features), bool)
    full = explained.evaluate(scorer, masker, np.arange(n), nothing, np.zeros(n, np.int64))
    reference = np.arange(len(variants)) - first[variants]
    masked = explained.evaluate(scorer, masker, rows[variants], hidden, reference)
    means = np.add.reduceat(masked, first) / references[features] if len(rows) else np.zeros(0)
    effects = np.full(present.shape, np.nan)
    effects[rows, features] = full[rows] - means
    return effects
