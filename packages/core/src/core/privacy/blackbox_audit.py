"""Black-box canaries: artificial examples, each in the training by a Bernoulli(1/2) draw, told apart by final loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from core.backbones.contexts import eval_mode
from core.data.types import Batch
from core.privacy.one_run_audit import GuessRule, audit_epsilon, require_not_refuted
from core.privacy.rng_key import keyed_generator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.data.encoded_split import EncodedSplit
    from core.privacy.plan import PrivacyPlan
    from core.privacy.sampling import PoissonBatches
    from core.privacy.section import AuditResult
    from core.targets.types import Target

SAME_ROW = {"missing": "numeric", "events_mask": "events"}
"""Inputs that only make sense beside another of the same row."""


class BlackBoxAudit:
    """Trains on examples that belong to nobody and guesses, at the end, which of them the model has seen.

    Each input of an example is that of another validation row, and its label that of yet another: what is learned
    of it can only be memorized. Nothing but the published model is used, so the bound is lower than the white-box
    one and tells what an outsider can do.
    """

    def __init__(
        self,
        split: EncodedSplit,
        batches: PoissonBatches,
        plan: PrivacyPlan,
        first: int,
        count: int,
        key: int,
    ) -> None:
        """``split`` is the validation set; the sampler's canaries from number ``first`` on are these examples."""
        generator = keyed_generator(key, "examples")
        self.included = torch.rand(count, generator=generator) < 0.5
        self.batches, self.plan, self.first, self.count = batches, plan, first, count

        def random_rows() -> Tensor:
            return torch.randint(len(split), (count,), generator=generator)

        names = list(split.batch(torch.arange(1)).inputs)
        rows = {name: random_rows() for name in names if name not in SAME_ROW}
        self.inputs = {name: split.batch(rows[SAME_ROW.get(name, name)]).inputs[name] for name in names}
        self.targets = split.targets[random_rows()]

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Return this process's share of the examples in a step: drawn by the sampler, and in the training."""
        drawn = self.batches.canaries(step) - self.first
        drawn = drawn[drawn >= 0]
        return self._take(drawn[self.included[drawn]][rank::world])

    def _take(self, rows: Tensor) -> Batch:
        return Batch({name: tensor[rows] for name, tensor in self.inputs.items()}, self.targets[rows], rows)

    @torch.no_grad()
    def measure(self, model: nn.Module, target: Target, claim: float) -> AuditResult:
        """Return the lower bound on epsilon from the model's losses, beside the claimed epsilon."""
        device = next(model.parameters()).device
        losses = []
        with eval_mode(model):
            for start in range(0, self.count, 256):
                chunk = self._take(torch.arange(start, min(start + 256, self.count))).to(device)
                losses.append(target.losses(model(chunk.inputs).float(), chunk.targets).cpu())
        scores = np.nan_to_num(-torch.cat(losses).double().numpy(), nan=0.0)
        rules = [GuessRule(f"1 in {n}", max(self.count // n, 1), max(self.count // n, 1)) for n in (3, 8, 20)]
        included = self.included.numpy()
        return audit_epsilon("black_box", rules, scores, included, delta=self.plan.delta, claim=claim)

    def result(self, model: nn.Module, target: Target, claim: float) -> AuditResult:
        """Return ``measure``'s, raising ValueError where the bound exceeds the claim: the guarantee is void."""
        result = self.measure(model, target, claim)
        require_not_refuted(result)
        return result
