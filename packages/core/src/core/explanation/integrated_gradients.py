"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365, eq. 1) by captum, summed to parts."""

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
    from core.explanation.masker import Masker
    from core.explanation.explained_output import ExplainedOutput
    from core.targets.types import Array

PASSES = 3
"""What a step of the path costs, in forward passes: a backward pass takes about two."""
AT_ONCE = 512
"""Rows times steps that are computed at once."""


@dataclass(frozen=True)
class Integrated:
    """Effects of parts, and how well the sum kept to the path's ends."""

    effects: Array
    """(N, P); NaN where a row has no such part."""
    completeness: Array
    """(N,) sum of all effects, those of no part too, less the number's difference between row and baseline."""
    unassigned: float
    """Share of the absolute effects that belongs to no part (numbers made by comparing texts, n-grams of no word)."""

    def notes(self) -> list[str]:
        """Say what does not add up, where it matters."""
        found = []
        if self.unassigned > 0.01:
            found.append(
                f"{self.unassigned:.0%} of what integrated gradients found belongs to none of the parts (numbers made "
                "by comparing texts, n-grams of no word)."
            )
        size = float(np.nanmean(np.nansum(np.abs(self.effects), axis=1)))
        apart = float(np.abs(self.completeness).mean())
        if size and apart > 0.05 * size:
            found.append(
                f"Integrated gradients miss {apart / size:.0%} of what they should add up to; raise explanation.steps."
            )
        return found


def integrated_gradients(
    model: nn.Module, cases: Masker, question: ExplainedOutput, reading: TextAlignment, steps: int
) -> Integrated:
    """Attribute the number of each row to its parts along the straight path from a baseline.

    Baseline: columns at the mean of their references, no earlier events, the image's or signal's own mean, zero in
    the place of words (signs and special tokens stay). Discrete inputs are followed from their embeddings on. Costs
    ``steps`` forward and backward passes a row.
    """
    from captum.attr import IntegratedGradients  # takes half a second to import

    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in cases.inputs.items()}
    answer = torch.from_numpy(question.answer[: len(cases)]).to(device)
    with eval_mode(model):
        entries = DifferentiableInputs(model, inputs)
        values = entries.values(inputs)
        baselines = _baselines(entries, values, cases, reading, device)
        names = list(inputs)

        def number(*given: Tensor) -> Tensor:
            count = len(entries.entries)
            others = dict(zip(names, given[count:-1], strict=True))
            unread = sum(
                value.flatten(1).sum(dim=1) * 0.0 for value in given[:count]
            )  # has no effect, not none
            return question.number(entries.outputs(given[:count], others).float(), given[-1]) + unread

        found, apart = IntegratedGradients(number).attribute(
            tuple(values),
            tuple(baselines),
            additional_forward_args=(*inputs.values(), answer),
            n_steps=steps,
            internal_batch_size=max(AT_ONCE, len(cases)),
            return_convergence_delta=True,
        )
    effects = np.where(cases.exists(), 0.0, np.nan)
    lost = whole = 0.0
    for entry, effect in zip(entries.entries, found, strict=True):
        numbers = effect.detach().double().cpu().numpy()
        if entry.module is not None and not entry.flags:
            numbers = numbers.sum(axis=-1)  # an embedding's width
        shared = aggregate_to_features(entry.source, entry.flags, numbers, cases, reading, effects)
        whole += float(np.abs(numbers).sum())
        lost += shared
    return Integrated(effects, apart.detach().double().cpu().numpy(), lost / whole if whole else 0.0)


def _baselines(
    entries: DifferentiableInputs, values: Sequence[Tensor], cases: Masker, reading: TextAlignment, device: torch.device
) -> list[Tensor]:
    """Give each entry's numbers where nothing is known of the row; what is no word of a text stays."""
    n, r = len(cases), cases.alternatives
    gone = np.zeros((n, cases.count), bool)
    gone[:, : cases.fixed] = True
    sums: list[Tensor] = []
    for reference in range(r):
        removed = cases.removed(np.arange(n), gone, np.full(n, reference))
        found = entries.values({name: tensor.to(device) for name, tensor in removed.items()})
        sums = [v / r for v in found] if not sums else [s + v / r for s, v in zip(sums, found, strict=True)]
    made = []
    for entry, own, mean in zip(entries.entries, values, sums, strict=True):
        if entry.source in ("tokens", "words"):
            words_BT = torch.from_numpy(word_of_token(entry.source, own.shape[1], cases, reading)).to(device)
            made.append(own.where((words_BT < 0).reshape(*words_BT.shape, *[1] * (own.ndim - 2)), 0.0))
        else:
            made.append(torch.zeros_like(own) if entry.source == "tfidf" else mean)
    return made
