"""The differentially private update: clip each unit's gradient, sum, add noise, step (Abadi et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.privacy.clipping import AdaptiveClip
from core.privacy.noise import draw_noise
from core.privacy.preflight import require_moved, snapshot
from core.privacy.rng_key import keyed_generator
from core.training.objective import MeanLoss
from core.training.types import StatefulObjective, StepEvent
from core.training.step import TrainStep, microbatches, to_device, strip_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch.optim import Optimizer

    from core.data.types import Batch
    from core.privacy.whitebox_audit import WhiteBoxAudit
    from core.privacy.clipping import PerExampleClipper
    from core.privacy.blackbox_audit import BlackBoxAudit
    from core.privacy.plan import PrivacyPlan
    from core.targets.types import Target
    from core.training.config import Schedule
    from core.training.parallel import ProcessGroup
    from core.training.types import Objective


class PrivateUpdate(TrainStep):
    """One optimizer step on the noisy mean of clipped per-unit gradients. Batches must come from PoissonBatches."""

    def __init__(
        self,
        model: nn.Module,
        target: Target,
        optimizers: Sequence[Optimizer],
        schedule: Schedule,
        plan: PrivacyPlan,
        clipper: PerExampleClipper,
        secret: int,
        *,
        precision: str,
        micro_batch: int,
        ema: float | None,
        channels_last: bool,
        parallel: ProcessGroup,
        objective: Objective | None = None,
        audit: WhiteBoxAudit | None = None,
        examples: BlackBoxAudit | None = None,
    ) -> None:
        """Take a clipper of the model's trainable weights and the secret that the noise is drawn from.

        ``objective`` weighs each example by itself; clipping comes after it, so it bounds weighted examples too.
        """
        assert not isinstance(objective, StatefulObjective), "it would couple examples"
        super().__init__(
            model,
            target,
            optimizers,
            schedule,
            objective=objective,
            precision=precision,
            micro_batch=micro_batch,
            max_grad_norm=0.0,
            ema=ema,
            channels_last=channels_last,
            parallel=parallel,
        )
        self.plan = plan
        self.clipper = clipper
        self.audit = audit
        self.examples = examples
        self._secret = secret
        assert clipper.scale == 1 / plan.batch, "the sums are to be means over the expected batch"

    def __call__(self, batch: Batch) -> StepEvent:
        """Take one step; what it gives names neither loss nor batch size, which are private."""
        factor = self.schedule(self.step)
        for group, peak in self._rates:
            group["lr"] = peak * factor
        before = snapshot(self.clipper.parameters) if self.step == 0 else None
        total = self.clipper.flat  # the noisy mean: the clipper's scale is 1 / batch
        self._start_with_noise(total)
        beyond_half = self._clip(batch, self.objective)
        if self.examples is not None:  # not counted: they would pull an adaptive clip norm to themselves
            made_up = self.examples.batch(self.step, self.parallel.rank, self.parallel.world)
            self._clip(made_up, MeanLoss())  # they are of no group
        if self.audit is not None:
            self.audit.contribute(self.step, total, self.parallel.rank, self.parallel.world)
        self.parallel.all_reduce_([total, beyond_half])
        if self.audit is not None:
            self.audit.observe(self.step, self.clipper.sums)
        for name, weight in self.clipper.parameters.items():
            weight.grad = self.clipper.sums[name].to(weight.dtype)
        self._apply()
        if before is not None:
            require_moved(self.clipper.parameters, before)
        self._adapt(beyond_half)
        self.step += 1
        return StepEvent(self.step, None, None, self._rates[0][0]["lr"])

    def _start_with_noise(self, total: torch.Tensor) -> None:
        """Overwrite the sum with the step's noise, to which the clipped gradients are then added."""
        if self.parallel.is_main:  # once in total: the processes' sums are added up
            deviation = self.plan.noise_multiplier * self.clipper.rule.clip_norm * self.clipper.scale
            draw_noise(total, deviation, self._secret, self.step)
        else:
            total.zero_()

    def _clip(self, batch: Batch, objective: Objective) -> torch.Tensor:
        """Add the clipped gradients to the clipper's sums; give the sum of (within the norm) - 1/2 over units."""
        beyond_half = torch.zeros((), device=self.device)
        for piece in microbatches(to_device(batch, self.device, self.channels_last), self.micro_batch):
            if len(piece) == 0:
                continue  # the noise alone is this process's step
            with self.clipper.watching(len(piece)):
                with self._autocast:
                    outputs = self._forward(piece.inputs)
                losses = self.target.losses(outputs.float(), piece.targets)
                losses = objective(losses, piece, outputs.float())
                found = self.clipper.clipped_gradients(losses)
            beyond_half += found.within - len(piece) / 2
        return beyond_half

    def _adapt(self, beyond_half: torch.Tensor) -> None:
        rule = self.clipper.rule
        if not isinstance(rule, AdaptiveClip):
            return
        generator = keyed_generator(self._secret, "count", self.step, device=self.device)
        noise = torch.randn((), generator=generator, device=self.device) * self.plan.adaptive_noise
        # Andrew et al. (2021), algorithm 1: each unit adds b - 1/2, so one unit moves the count by 1/2 at most.
        rule.update(float((beyond_half + noise) / self.plan.batch + 0.5))

    def spent(self) -> dict[str, float]:
        """Bound the epsilon of the steps so far."""
        return {"epsilon": self.plan.spend(self.step).epsilon, "delta": self.plan.delta}

    def state_dict(self) -> dict[str, Any]:
        """Give what PlainUpdate gives, and the clip norm where it moves."""
        state = {**super().state_dict(), "clip_norm": self.clipper.rule.clip_norm}
        if self.audit is not None:
            state |= {f"audit.{name}": value for name, value in self.audit.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        super().load_state_dict(state)
        if isinstance(self.clipper.rule, AdaptiveClip):
            self.clipper.rule.clip_norm = state["clip_norm"]
        if self.audit is not None:
            self.audit.load_state_dict(strip_prefix("audit", state))
