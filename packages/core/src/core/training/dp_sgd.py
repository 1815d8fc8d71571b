"""The differentially private gradient: clip each unit's, sum, add noise (DP-SGD, Abadi et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.privacy.clipping import AdaptiveClip
from core.privacy.preflight import require_moved, snapshot
from core.training.parallel import ALONE
from core.training.step import BatchSummary, MeanLoss, strip_prefix
from core.training.types import StatefulObjective

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch
    from core.privacy.blackbox_audit import BlackBoxAudit
    from core.privacy.mechanism import GaussianMechanism
    from core.privacy.whitebox_audit import WhiteBoxAudit
    from core.training.parallel import ProcessGroup
    from core.training.step import ExampleLosses
    from core.training.types import Objective


class DPGradient:
    """The noisy mean of clipped per-unit gradients. Batches must come from ``PoissonBatches``."""

    scaler = None

    def __init__(
        self,
        losses: ExampleLosses,
        mechanism: GaussianMechanism,
        *,
        whitebox: WhiteBoxAudit | None = None,
        blackbox: BlackBoxAudit | None = None,
        parallel: ProcessGroup = ALONE,
    ) -> None:
        """``mechanism`` clips the weights of the model in ``losses``; the audits' canaries join the batches.

        The objective of ``losses`` weighs each example by itself; clipping comes after it, so it bounds weighted
        examples too.
        """
        assert not isinstance(losses.objective, StatefulObjective), "it would couple examples"
        self.losses = losses
        self.mechanism = mechanism
        self.clipper = mechanism.clipper
        self.whitebox = whitebox
        self.blackbox = blackbox
        self.parallel = parallel
        self._before: dict[str, Tensor] | None = None

    def compute(self, batch: Batch, step: int) -> BatchSummary:
        """Write the noisy gradient; neither loss nor batch size is reported, both are private."""
        self._before = snapshot(self.clipper.parameters) if step == 0 else None
        mechanism, group = self.mechanism, self.parallel
        mechanism.begin(step, add_noise=group.is_main)
        self._clip(batch, None)
        if self.blackbox is not None:  # not counted: they would pull an adaptive clip norm to themselves
            canaries = self.blackbox.batch(step, group.rank, group.world)
            self._clip(canaries, MeanLoss(), counted=False)  # they are of no group
        if self.whitebox is not None:
            self.whitebox.contribute(step, mechanism.total, group.rank, group.world)
        group.all_reduce_([mechanism.total, mechanism.count])
        if self.whitebox is not None:
            self.whitebox.observe(step, self.clipper.sums)
        mechanism.write_gradients()
        return BatchSummary()

    def _clip(self, batch: Batch, objective: Objective | None, *, counted: bool = True) -> None:
        for micro_batch in self.losses.microbatches(batch):
            if len(micro_batch) == 0:
                continue  # the noise alone is this process's gradient
            with self.clipper.trace(len(micro_batch)):
                self.mechanism.clip(self.losses(micro_batch, objective), counted=counted)

    def after_update(self, step: int) -> None:
        """Raise ValueError if the first step left a weight untouched; move an adaptive clip norm."""
        if self._before is not None:
            require_moved(self.clipper.parameters, self._before)
            self._before = None
        self.mechanism.adapt(step)

    def state_dict(self) -> dict[str, Any]:
        """Return the clip norm and the scores of the white-box audit."""
        state: dict[str, Any] = {"clip_norm": self.clipper.rule.clip_norm}
        if self.whitebox is not None:
            state |= {f"audit.{name}": value for name, value in self.whitebox.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        if isinstance(self.clipper.rule, AdaptiveClip):
            self.clipper.rule.clip_norm = state["clip_norm"]
        if self.whitebox is not None:
            self.whitebox.load_state_dict(strip_prefix("audit", state))
