"""White-box canaries: units whose gradients are known directions inside real layers, much longer than the clip norm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor
from torch.nn import functional

from core.config import config_error
from core.privacy.one_run_audit import audit_epsilon, choose_rules, log_odds, require_not_refuted
from core.privacy.rng_key import keyed_generator
from core.privacy.rules.trace import mark_batched

if TYPE_CHECKING:
    from core.privacy.clipping import ClipResult, PerExampleClipper
    from core.privacy.plan import PrivacyPlan
    from core.privacy.sampling import PoissonBatches
    from core.privacy.section import AuditResult

BLOCK = 32
"""Coordinates of a canary's direction, a power of two; up to BLOCK orthogonal directions share them."""
RAW_NORM = 100.0
"""Length of a canary's gradient before clipping, in clip norms."""
QUARTER = 0.3186
"""The quarter quantile of |z| for a standard normal z."""
AT_ONCE = 4096


class Canaries:
    """m directions (rows of randomly signed Hadamard matrices) spread evenly over the network's weights.

    A direction lies within one weight tensor, so that a layer forgotten in the norm leaves its canaries
    unclipped. All directions are orthonormal.
    """

    def __init__(self, parameters: Mapping[str, Tensor], count: int, key: int) -> None:
        """Place the canaries, raising ValueError where the weights have no room for so many."""
        room = {name: p.numel() // BLOCK * BLOCK for name, p in parameters.items()}
        if sum(room.values()) < count:
            raise config_error(
                "privacy.audit_canaries",
                count,
                f"the trainable weights have room for at most {sum(room.values())} canaries",
            )
        self.count = count
        self.shares = _evenly(room, count)
        generator = keyed_generator(key, "canaries")
        self.included = torch.rand(count, generator=generator) < 0.5
        self._hadamard = torch.from_numpy(hadamard(BLOCK, dtype=np.float32))
        self._place: dict[str, Tensor] = {}
        self._sign: dict[str, Tensor] = {}
        self._chosen: dict[str, Tensor] = {}
        for name, share in self.shares.items():
            order = torch.randperm(parameters[name].numel(), generator=generator)[: room[name]]
            signs = (torch.randint(0, 2, (room[name],), generator=generator) * 2 - 1).float()
            self._place[name] = order.view(-1, BLOCK)
            self._sign[name] = signs.view(-1, BLOCK)
            self._chosen[name] = torch.randperm(room[name], generator=generator)[:share]
        self.owner = [name for name, share in self.shares.items() for _ in range(share)]
        starts = np.cumsum([0, *self.shares.values()])
        self.range = {
            name: (int(a), int(b)) for name, a, b in zip(self.shares, starts, starts[1:], strict=False)
        }

    def projections(self, sums: Mapping[str, Tensor]) -> Tensor:
        """Return the inner product of a gradient with every direction, (m,) float32 on the CPU."""
        found = []
        for name, chosen in self._chosen.items():
            blocks = sums[name].reshape(-1).cpu()[self._place[name]].float() * self._sign[name]
            found.append((blocks @ self._hadamard).reshape(-1)[chosen] / math.sqrt(BLOCK))
        return torch.cat(found)

    def losses(self, name: str, weight: Tensor, canaries: Tensor, length: float) -> Tensor:
        """Return losses (b,) of canaries in one tensor, whose gradients are their directions times ``length``."""
        chosen = self._chosen[name][canaries - self.range[name][0]]
        block, row = chosen // BLOCK, chosen % BLOCK
        signs_bK = self._sign[name][block] * self._hadamard[row] * (length / math.sqrt(BLOCK))
        place_bK = self._place[name][block].to(weight.device)
        mark_batched(place_bK)
        picked_bK1 = functional.embedding(place_bK, weight.reshape(-1, 1))
        return (picked_bK1.squeeze(2).float() * signs_bK.to(weight.device)).sum(1)


def _evenly(room: Mapping[str, int], count: int) -> dict[str, int]:
    """Return a count divided as evenly as the rooms allow, smallest first; names without a share are left out."""
    shares: dict[str, int] = {}
    left = count
    for number, name in enumerate(sorted(room, key=lambda n: room[n])):
        shares[name] = min(room[name], left // (len(room) - number))
        left -= shares[name]
    return {name: share for name, share in shares.items() if share}


class WhiteBoxAudit:
    """Adds canaries to the steps of a private training and scores them by the noisy gradients it publishes."""

    def __init__(
        self, clipper: PerExampleClipper, batches: PoissonBatches, plan: PrivacyPlan, count: int, key: int
    ) -> None:
        """``clipper`` is the run's; canaries pass through another of its class and rule, with buffers of its own."""
        # The run's clipper learns from each pass which tensors carry a batch; canaries would confuse it.
        self.clipper = type(clipper)(clipper.model, rule=clipper.rule, scale=clipper.scale)
        self.canaries = Canaries(clipper.parameters, count, key)
        self.batches = batches
        self.plan = plan
        groups = len(self.clipper.layer_names) if clipper.rule.per_layer else 1
        self.norm = 1 / math.sqrt(groups)
        """Norm of a canary's clipped gradient, in clip norms: a canary lies within one layer."""
        self.rules = choose_rules(plan, count, self.norm)
        self.scores = np.zeros(count)

    def contribute(self, step: int, into: Tensor, rank: int = 0, world: int = 1) -> None:
        """Add to a sum the clipped gradients of a step's canaries: those drawn by the sampler and in the training."""
        drawn = self.batches.canaries(step)
        drawn = drawn[drawn < self.canaries.count]
        drawn = drawn[self.canaries.included[drawn]][rank::world]
        self.clipper.zero()
        for name, numbers in self._chunks(drawn):
            self._backward(name, numbers)
        into += self.clipper.flat

    def _chunks(self, drawn: Tensor) -> Iterator[tuple[str, Tensor]]:
        for name, (start, end) in self.canaries.range.items():
            own = drawn[(drawn >= start) & (drawn < end)]
            for first in range(0, len(own), AT_ONCE):
                yield name, own[first : first + AT_ONCE]

    def _backward(self, name: str, numbers: Tensor) -> ClipResult:
        with self.clipper.trace(len(numbers)):
            owner, _, attribute = name.rpartition(".")
            # The weight as the traced model has it: the clipper follows what is computed from it.
            weight = getattr(self.clipper.model.get_submodule(owner), attribute)
            length = RAW_NORM * self.clipper.rule.clip_norm
            return self.clipper.clipped_gradients(self.canaries.losses(name, weight, numbers, length))

    def observe(self, step: int, noisy: Mapping[str, Tensor]) -> None:
        """Score the canaries on the noisy sum (times the clipper's scale) that a step takes its direction from."""
        unit = self.clipper.rule.clip_norm * self.clipper.scale
        x_m = self.canaries.projections(noisy).double().numpy() / unit
        known = self.batches.known_canaries(step)
        for start, end in self.canaries.range.values():
            x = x_m[start:end]
            # In a quarter of the scores nearest to zero few are canaries', even if these were not clipped.
            spread = max(float(np.quantile(np.abs(x), 0.25)) / QUARTER, 0.05)
            if known is None:
                self.scores[start:end] += log_odds(x, spread**2, self.plan.sampling_rate, self.norm)
            else:
                own = known[(known >= start) & (known < end)].numpy()
                self.scores[own] += log_odds(x[own - start], spread**2, 1.0, self.norm)

    def measure(self, claim: float) -> AuditResult:
        """Return the lower bound on epsilon and the guesses that prove it, beside the claimed epsilon."""
        included = self.canaries.included.numpy()
        result = audit_epsilon(
            "white_box", self.rules, self.scores, included, delta=self.plan.delta, claim=claim
        )
        return result.model_copy(update={"weights": dict(self.canaries.shares)})

    def result(self, claim: float) -> AuditResult:
        """Return ``measure``'s, raising ValueError where the bound exceeds the claim: the guarantee is void."""
        result = self.measure(claim)
        require_not_refuted(result)
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the scores so far; all else follows from plan and key."""
        return {"scores": torch.from_numpy(self.scores.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load saved scores."""
        self.scores = state["scores"].numpy().copy()
