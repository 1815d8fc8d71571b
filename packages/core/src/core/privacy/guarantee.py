"""What a run guarantees about privacy: its audits, the section of the record, the end of its key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.privacy.rng_key import destroy_key
from core.privacy.section import (
    AttackResult,
    AuditResult,
    BatchNormSection,
    DPSection,
    NoPrivacySection,
    PreflightSection,
    Statistic,
)

if TYPE_CHECKING:
    from torch import nn

    from core.data.types import ColumnRoles, Layout
    from core.privacy.blackbox_audit import BlackBoxAudit
    from core.privacy.config import DifferentialPrivacy
    from core.privacy.plan import PrivacyPlan
    from core.privacy.whitebox_audit import WhiteBoxAudit
    from core.targets.types import Target


@dataclass(frozen=True)
class Release:
    """What the finished run publishes beside its weights, and where these started, as far as privacy is concerned."""

    initial_weights: str = ""
    """Where the first weights come from; empty for random initialization."""
    non_private_statistics: Sequence[Statistic] = ()
    attack: AttackResult | None = None
    shared_units: bool = False
    """Some protected units have rows in the validation or test set too."""


class Guarantee(Protocol):
    """What a training guarantees about its rows, if anything."""

    def fingerprint(self) -> dict[str, Any] | None:
        """Return what a resumed run must share with the one it continues."""

    def run_audits(self, model: nn.Module, target: Target) -> None:
        """Audit the trained model, raising ValueError where an audit refutes the guarantee; the key is destroyed."""

    def destroy_key(self) -> None:
        """Destroy the key that noise and sampling were drawn with, so that nobody can draw them again."""

    def section(self, steps: int, release: Release) -> NoPrivacySection | DPSection:
        """Return the record's section for so many steps taken."""


class NoGuarantee:
    """Training without differential privacy."""

    def fingerprint(self) -> None:
        """Return None: nothing depends on a plan."""

    def run_audits(self, model: nn.Module, target: Target) -> None:
        """Audit nothing: nothing is claimed."""

    def destroy_key(self) -> None:
        """Do nothing: there is no key."""

    def section(self, steps: int, release: Release) -> NoPrivacySection:
        """Return the section of a run without a guarantee, with the attack on it."""
        return NoPrivacySection(attack=release.attack)


class DPGuarantee:
    """(epsilon, delta)-differential privacy of the trained weights, and the evidence for it."""

    def __init__(
        self,
        config: DifferentialPrivacy,
        plan: PrivacyPlan,
        preflight: PreflightSection,
        *,
        converted_layers: Sequence[str],
        key_folder: Path,
        whitebox: WhiteBoxAudit | None = None,
        blackbox: BlackBoxAudit | None = None,
        sweep_size: int | None = None,
    ) -> None:
        """``converted_layers`` are those whose batch normalization was replaced or frozen.

        ``sweep_size``: runs that one command started, this one among them.
        """
        self.config = config
        self.plan = plan
        self.preflight = preflight
        self.converted_layers = list(converted_layers)
        self.key_folder = key_folder
        self.whitebox = whitebox
        self.blackbox = blackbox
        self.sweep_size = sweep_size
        self._audits: dict[str, AuditResult] = {}

    def fingerprint(self) -> dict[str, Any]:
        """Return the plan's."""
        return self.plan.fingerprint()

    def run_audits(self, model: nn.Module, target: Target) -> None:
        """Run the audits that were prepared, for ``section``; nobody may resume a run whose claim they refute."""
        claim = self.plan.privacy_spent(self.plan.steps).epsilon
        try:
            if self.whitebox is not None:
                self._audits["audit"] = self.whitebox.result(claim)
            if self.blackbox is not None:
                self._audits["blackbox_audit"] = self.blackbox.result(model, target, claim)
        except ValueError:
            self.destroy_key()
            raise

    def destroy_key(self) -> None:
        """Remove the key from the folder of checkpoints."""
        destroy_key(self.key_folder)

    def section(self, steps: int, release: Release) -> DPSection:
        """Return the section for so many steps taken of the plan's, with the results of the audits run before."""
        config, plan = self.config, self.plan
        # When a training stops early depends on the data (a metric, a time that grows with the batches): the epsilon of
        # the steps taken would not bound what the number of steps gives away; that of the plan does.
        spent = plan.privacy_spent(plan.steps)
        replaced = plan.replace_one_epsilon()
        return DPSection.model_validate(
            {
                "epsilon": spent.epsilon,
                "delta": plan.delta,
                "target_epsilon": plan.epsilon,
                "unit": plan.unit,
                "units": plan.units,
                "shared_units": "declare" if release.shared_units else "refuse",
                "replace_one_epsilon": replaced if math.isfinite(replaced) else None,
                "noise_multiplier": plan.noise_multiplier,
                "count_noise_multiplier": plan.count_noise_multiplier or None,
                "noise_source": "system_key" if config.noise_seed is None else "configured_seed",
                "l2_clip_norm": plan.l2_clip_norm,
                "clipping": config.clipping,
                "engine": config.engine,
                "steps": steps,
                "planned_steps": plan.steps,
                "sampling_rate": plan.sampling_rate,
                "expected_batch_size": plan.batch_size,
                "accountant": spent.accountant,
                "accountant_fallback": spent.fallback,
                "num_trials": config.num_trials + (self.sweep_size or 1) - 1,
                "sweep_size": self.sweep_size,
                "initial_weights": release.initial_weights or None,
                "non_private_statistics": list(release.non_private_statistics),
                "batch_norm": BatchNormSection.model_validate(
                    {"policy": config.batch_norm, "layers": self.converted_layers}
                ),
                "preflight": self.preflight,
                **self._audits,
                "attack": release.attack,
            }
        )


def non_private_statistics(
    layout: Layout, roles: ColumnRoles, *, has_baseline: bool, trained_tokenizer: bool
) -> list[Statistic]:
    """Return what a run learns from training rows outside the mechanism: it is published beside the weights.

    ``trained_tokenizer``: the tokenizer was trained on these texts, not published before.
    """
    found: dict[Statistic, bool] = {
        "numeric_scales": bool(layout.numeric),
        "categories": bool(layout.categorical),
        "vocabulary": bool((layout.vocab_size and trained_tokenizer) or layout.tfidf_size or layout.words),
        "text_length": bool(layout.vocab_size),
        "word_frequencies": bool(roles.references),
        "signal_scales": bool(layout.signal or layout.events),
        "target_scale": True,
        "slot_names": bool(roles.slots),
        "group_names": bool(roles.sensitive),
        "data_checks": True,
        "baseline_metrics": has_baseline,
    }
    return [name for name, present in found.items() if present]
