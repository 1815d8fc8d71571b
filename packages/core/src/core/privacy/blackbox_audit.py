"""Black-box canaries: made-up examples, in the training by the toss of a coin, told apart by their final loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.data.types import Batch
from core.privacy.one_run_audit import Guessing, refuted, verdict
from core.privacy.rng_key import keyed_generator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.data.encoded_split import EncodedSplit
    from core.privacy.plan import PrivacyPlan
    from core.privacy.sampling import PoissonBatches
    from core.targets.types import Target

TOGETHER = {"missing": "numeric", "events_mask": "events"}
"""Inputs that only make sense beside another of the same row."""


class BlackBoxAudit:
    """Trains on examples that belong to nobody and asks, at the end, which of them the model knows.

    Each input of an example is that of another validation row, and its label that of yet another: what is learnt
    of it can only be remembered. Nothing but the published model is looked at, so the bound is lower than the
    white-box one and says what an outsider can do.
    """

    def __init__(
        self, part: EncodedSplit, batches: PoissonBatches, plan: PrivacyPlan, first: int, count: int, secret: int
    ) -> None:
        """``part`` is the validation part; the sampler's canaries from number ``first`` on are these examples."""
        generator = keyed_generator(secret, "examples")
        self.included = torch.rand(count, generator=generator) < 0.5
        self.batches, self.plan, self.first, self.count = batches, plan, first, count

        def anyone() -> Tensor:
            return torch.randint(len(part), (count,), generator=generator)

        names = list(part.batch(torch.arange(1)).inputs)
        whose = {name: anyone() for name in names if name not in TOGETHER}
        self.inputs = {name: part.batch(whose[TOGETHER.get(name, name)]).inputs[name] for name in names}
        self.targets = part.targets[anyone()]

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Give this process's share of the examples in a step: drawn by the sampler, and in by their coin."""
        drawn = self.batches.canaries(step) - self.first
        drawn = drawn[drawn >= 0]
        return self._taken(drawn[self.included[drawn]][rank::world])

    def _taken(self, rows: Tensor) -> Batch:
        return Batch({name: tensor[rows] for name, tensor in self.inputs.items()}, self.targets[rows], rows)

    @torch.no_grad()
    def verdict(self, model: nn.Module, target: Target, claim: float) -> dict[str, Any]:
        """Give the lower bound on epsilon from the model's losses, raising ValueError where it exceeds the claim."""
        device = next(model.parameters()).device
        mode = model.training
        model.eval()
        losses = []
        for start in range(0, self.count, 256):
            piece = self._taken(torch.arange(start, min(start + 256, self.count))).to(device)
            losses.append(target.losses(model(piece.inputs).float(), piece.targets).cpu())
        model.train(mode)
        scores = -torch.cat(losses).double().numpy()
        tests = [Guessing(f"1 in {n}", max(self.count // n, 1), max(self.count // n, 1)) for n in (3, 8, 20)]
        found = verdict(tests, np.nan_to_num(scores, nan=0.0), self.included.numpy(), self.plan.delta)
        if found["lower_bound"] > claim:
            raise refuted(found, claim)
        return {"kind": "black box, one run", "claim": claim, **found}
