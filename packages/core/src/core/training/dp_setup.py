"""A private training put together: plan, secret, sampler, clipper, preflight, audit, and what the record says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from core.config import derive_seed
from core.privacy.whitebox_audit import WhiteBoxAudit
from core.privacy.blackbox_audit import BlackBoxAudit
from core.privacy.preflight import PreflightReport, preflight
from core.privacy.sampling import PoissonBatches, units_of
from core.privacy.rng_key import destroy_key, load_or_create_key
from core.privacy.statement import statement
from core.training.parallel import ALONE, ProcessGroup
from core.training.precision import PrecisionDecision
from core.training.dp_sgd import PrivateUpdate
from core.training.step import to_device

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from core.config import RunConfig
    from core.data.augmentation import Augmentation
    from core.data.encoded_split import EncodedSplit
    from core.privacy.clipping import PerExampleClipper
    from core.privacy.config import DifferentialPrivacy
    from core.privacy.plan import PrivacyPlan
    from core.targets.types import Target
    from core.training.types import Objective

PROBE = 6
"""Rows of the preflight; they are validation rows, so that its figures tell nothing of the training part."""


@dataclass
class PrivateTraining:
    """What ``privacy=dp`` adds to a run."""

    plan: PrivacyPlan
    batches: PoissonBatches
    update: PrivateUpdate
    precision: PrecisionDecision
    preflight: PreflightReport
    replaced: Sequence[str]
    """Layers whose normalisation was exchanged or frozen."""
    seed: int
    """For dropout: secret as well, or one unit's presence would visibly shift the draws of the others."""
    options: DifferentialPrivacy
    folder: Path

    @property
    def epoch_steps(self) -> int:
        """Count the steps in which as many units are drawn as there are."""
        return max(round(1 / self.plan.rate), 1)

    def section(self, steps: int, pretrained: str, unprotected: Sequence[str]) -> dict[str, Any]:
        """Give the record's ``privacy`` section for so many steps taken.

        Raises ValueError where an audit refutes the claim; the secret is then forgotten, as at any end of a run.
        """
        options, plan = self.options, self.plan
        spend = plan.spend(steps)
        return {
            "epsilon": spend.epsilon,
            "delta": plan.delta,
            "target_epsilon": plan.epsilon,
            "unit": plan.unit,
            "units": plan.units,
            "noise_multiplier": plan.noise_multiplier,
            "count_noise": plan.adaptive_noise or None,
            "clip_norm": plan.clip_norm,
            "clipping": options.clipping,
            "steps": steps,
            "expected_batch": plan.batch,
            "sampling_rate": plan.rate,
            "accountant": spend.accountant,
            "engine": options.engine,
            "normalisation": {"how": options.normalisation, "layers": list(self.replaced)},
            "preflight": asdict(self.preflight),
            "statement": statement(
                plan,
                steps,
                engine=options.engine,
                clipping=options.clipping,
                reproducible=options.noise_seed is not None,
                pretrained=pretrained,
                configurations_tried=options.configurations_tried,
                fitted_on_training=unprotected,
                replaced=self.replaced
                and [f"{options.normalisation} normalisation in {', '.join(self.replaced)}"],
            ),
            **self._audits(spend.epsilon),
        }

    def _audits(self, claim: float) -> dict[str, Any]:
        update = self.update
        found: dict[str, Any] = {"audit": None, "audit_examples": None}
        try:
            if update.audit is not None:
                found["audit"] = update.audit.verdict(claim)
            if update.examples is not None:
                found["audit_examples"] = update.examples.verdict(update.model, update.target, claim)
        except ValueError:
            destroy_key(self.folder)
            raise
        return found


def private_training(
    config: RunConfig,
    model: nn.Module,
    target: Target,
    part: EncodedSplit,
    validation: EncodedSplit,
    *,
    unit_name: str,
    augmentation: Augmentation | None,
    replaced: Sequence[str],
    folder: Path,
    objective: Objective | None = None,
    parallel: ProcessGroup = ALONE,
) -> PrivateTraining | None:
    """Make the private training that ``privacy=`` asks for; None where it promises nothing.

    ``model`` has its batch normalisation settled (``replaced`` names the layers). ``folder`` keeps the secret
    until the run ends. Raises ValueError for a budget that can't be kept and for what preflight finds.
    """
    options, settings = config.privacy, config.training
    plan = options.plan(units_of(part), unit_name, epochs=settings.epochs, steps=settings.steps)
    if plan is None:
        return None
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)
    clipper = options.clipper(model, plan)
    report = check(clipper, target, validation, settings.channels_last)
    clipper.scale = 1 / plan.batch
    secret = parallel.broadcast_from_main(lambda: load_or_create_key(folder, options.noise_seed))
    batches = PoissonBatches(
        part,
        plan,
        secret,
        augmentation,
        canaries=options.audit + options.audit_examples,
        rank=parallel.rank,
        world=parallel.world,
    )
    audit = WhiteBoxAudit(clipper, batches, plan, options.audit, secret) if options.audit else None
    examples = None
    if options.audit_examples:
        examples = BlackBoxAudit(validation, batches, plan, options.audit, options.audit_examples, secret)
    precision = settle(settings.precision)
    update = PrivateUpdate(
        model,
        target,
        config.optimizer.build(model),
        config.schedule.build(plan.steps),
        plan,
        clipper,
        secret,
        precision=precision.precision,
        micro_batch=settings.micro_batch,
        ema=settings.ema,
        channels_last=settings.channels_last,
        parallel=parallel,
        objective=objective,
        audit=audit,
        examples=examples,
    )
    seed = derive_seed(secret, "training", parallel.rank)
    return PrivateTraining(plan, batches, update, precision, report, replaced, seed, options, folder)


def settle(asked: str) -> PrecisionDecision:
    """Decide the precision without looking at rows: timing them, and their number, would be a release."""
    if asked == "auto":
        return PrecisionDecision(
            "fp32", "privacy=dp times no training rows to choose; training.precision=bf16 asks for it"
        )
    return PrecisionDecision(asked, f"training.precision={asked} was asked for")


def check(
    clipper: PerExampleClipper, target: Target, validation: EncodedSplit, channels_last: bool
) -> PreflightReport:
    """Prove on validation rows that clipping is exact and examples don't mix, raising ValueError where they do."""
    rows = torch.arange(min(PROBE, len(validation)))
    probe = to_device(validation.batch(rows), clipper.flat.device, channels_last)
    mode = clipper.model.training
    clipper.model.train()

    def losses(index: torch.Tensor) -> torch.Tensor:
        taken = {name: tensor[index] for name, tensor in probe.inputs.items()}
        return target.losses(clipper.model(taken).float(), probe.targets[index])

    try:
        return preflight(clipper, losses, len(rows))
    finally:
        clipper.model.train(mode)
