"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365, eq. 1) by captum, summed to features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from core.backbones.contexts import eval_mode
from core.explanation.aggregate import TextAlignment, aggregate_to_features, word_of_token
from core.explanation.differentiable_inputs import DifferentiableInputs

if TYPE_CHECKING:
    from core.explanation.explained_output import ExplainedOutput
    from core.explanation.masker import Masker
    from core.targets.types import Array

FORWARD_PASSES_PER_STEP = 3
"""Cost of a step of the path, in forward passes: a backward pass takes about two."""
BATCH_ROWS = 512
"""Rows times steps that are computed at once."""


@dataclass(frozen=True)
class IntegratedGradientsResult:
    """Attributions of features, and how well they add up (completeness)."""

    effects: Array
    """(N, P); NaN where a row has no such feature."""
    convergence_delta: Array
    """(N,) sum of all attributions, those of no feature too, less the output's difference between row and baseline."""
    unassigned: float
    """Share of the absolute attributions of no feature (numbers computed from texts, n-grams of no word)."""

    @property
    def completeness_error(self) -> float:
        """Mean absolute convergence delta over the mean absolute sum of attributions; 0 where all are 0."""
        size = float(np.nanmean(np.nansum(np.abs(self.effects), axis=1)))
        return float(np.abs(self.convergence_delta).mean()) / size if size else 0.0


def integrated_gradients(
    model: nn.Module, masker: Masker, explained: ExplainedOutput, alignment: TextAlignment, steps: int
) -> IntegratedGradientsResult:
    """Attribute the output of each row to its features along the straight path from a baseline.

    Baseline: columns at the mean of their references, no earlier events, the image's or signal's own mean, zero for
    words (punctuation and special tokens stay). Discrete inputs are followed from their embeddings on. Costs ``steps``
    forward and backward passes a row.
    """
    from captum.attr import IntegratedGradients  # takes half a second to import

    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in masker.inputs.items()}
    class_index = torch.from_numpy(explained.class_index[: len(masker)]).to(device)
    with eval_mode(model):
        differentiable = DifferentiableInputs(model, inputs)
        values = differentiable.values(inputs)
        baselines = _baselines(differentiable, values, masker, alignment, device)
        names = list(inputs)

        def output(*given: Tensor) -> Tensor:
            count = len(differentiable.all)
            others = dict(zip(names, given[count:-1], strict=True))
            # An input that the network does not read has attribution 0; captum would refuse it.
            unread = sum(value.flatten(1).sum(dim=1) * 0.0 for value in given[:count])
            return explained.value(differentiable.outputs(given[:count], others).float(), given[-1]) + unread

        attributions, delta = IntegratedGradients(output).attribute(
            tuple(values),
            tuple(baselines),
            additional_forward_args=(*inputs.values(), class_index),
            n_steps=steps,
            internal_batch_size=max(BATCH_ROWS, len(masker)),
            return_convergence_delta=True,
        )
    effects = np.where(masker.present(), 0.0, np.nan)
    unassigned = total = 0.0
    for entry, attribution in zip(differentiable.all, attributions, strict=True):
        numbers = attribution.detach().double().cpu().numpy()
        if entry.module is not None and not entry.one_hot:
            numbers = numbers.sum(axis=-1)  # an embedding's width
        unassigned += aggregate_to_features(entry.source, entry.one_hot, numbers, masker, alignment, effects)
        total += float(np.abs(numbers).sum())
    return IntegratedGradientsResult(
        effects, delta.detach().double().cpu().numpy(), unassigned / total if total else 0.0
    )


def _baselines(
    differentiable: DifferentiableInputs,
    values: Sequence[Tensor],
    masker: Masker,
    alignment: TextAlignment,
    device: torch.device,
) -> list[Tensor]:
    """Compute each differentiable input's numbers with all features masked; what is no word of a text stays."""
    n, r = len(masker), masker.num_references
    hidden = np.zeros((n, masker.num_features), bool)
    hidden[:, : masker.num_fixed] = True
    means: list[Tensor] = []
    for reference in range(r):
        masked = masker.masked(np.arange(n), hidden, np.full(n, reference))
        found = differentiable.values({name: tensor.to(device) for name, tensor in masked.items()})
        means = (
            [v / r for v in found] if not means else [s + v / r for s, v in zip(means, found, strict=True)]
        )
    baselines = []
    for entry, own, mean in zip(differentiable.all, values, means, strict=True):
        if entry.source in ("tokens", "words"):
            words = word_of_token(entry.source, own.shape[1], masker, alignment)
            words_BT = torch.from_numpy(words).to(device)
            no_word = (words_BT < 0).reshape(*words_BT.shape, *[1] * (own.ndim - 2))
            baselines.append(own.where(no_word, 0.0))
        else:
            baselines.append(torch.zeros_like(own) if entry.source == "tfidf" else mean)
    return baselines
