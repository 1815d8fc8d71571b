"""The promise in words that a privacy officer reads, and the conditions under which it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.backbones.types import PretrainingProvenance
from core.privacy.plan import PrivacyPlan

if TYPE_CHECKING:
    from core.data.types import ColumnRoles, Layout

ACCOUNTING = {
    "prv": "privacy random variables, composed numerically (Gopi et al. 2021)",
    "rdp": "Rényi differential privacy (Mironov et al. 2019)",
}


def statement(
    plan: PrivacyPlan,
    steps: int,
    *,
    engine: str,
    clipping: str,
    reproducible: bool,
    pretrained: str,
    configurations_tried: int,
    fitted_on_training: Sequence[str],
    replaced: Sequence[str],
) -> dict[str, Any]:
    """State what ``steps`` steps of a plan promise, with every condition.

    ``pretrained`` names the weights the run started from ("" for none), ``fitted_on_training`` what was
    learnt from training rows without noise (scales, vocabularies), ``replaced`` what was exchanged in the
    network. Gives ``epsilon``, ``delta``, ``summary`` (sentences) and ``conditions`` (name -> sentence).
    """
    spend = plan.spend(steps)
    factor = math.exp(spend.epsilon)
    odds = f"{factor:.2f}" if factor < 100 else f"{factor:.3g}"
    unit = plan.unit
    summary = [
        f"Whether or not one {unit}'s training data were used changes the probability of any outcome of the "
        f"training by a factor of at most {odds} (epsilon = {spend.epsilon:.2f}), except with probability "
        f"{plan.delta:.2g} (delta).",
        f"{plan.units:,} {unit}s were protected in this way. The promise is about the {unit}s of the training "
        "part; validation and test rows were read without noise to judge the model.",
    ]
    conditions = {
        "neighbouring relation": f"adding or removing all training rows of one {unit}",
        "unit": f"one {unit}; each contributes at most one clipped gradient to a step",
        "mechanism": f"Gaussian noise of {plan.noise_multiplier:.4g} clip norms on the clipped sum, "
        f"{steps:,} steps, clipping: {clipping}, engine: {engine}",
        "sampling": f"Poisson: each {unit} is in a step's batch independently with probability {plan.rate:.5g}; "
        "this is the sampler the run really used, and the one that is accounted for",
        "accounting": ACCOUNTING[spend.accountant] + (f" ({spend.note})" if spend.note else ""),
        "random generator": "noise seeded by a number in the configuration: anyone who knows it can subtract the "
        "noise, so this run is for tests and must not be released"
        if reproducible
        else "streams expanded from 128 bits of the operating system's randomness, which were forgotten after the "
        "run; the generators (Mersenne Twister; Philox on a GPU) and the floating-point noise are the usual ones, "
        "not cryptographic or discrete ones",
        "pretraining": f"started from {pretrained}, whose own training data are not protected by this statement"
        if pretrained
        else "started from random weights",
        "what was fitted without noise": "; ".join(fitted_on_training)
        + ": not covered by this statement; for a release, take them from public data"
        if fitted_on_training
        else "nothing",
        "settings tried": "this is the only configuration tried on these data"
        if configurations_tried == 1
        else f"{configurations_tried} configurations were tried on these data; publishing the best of them reveals "
        f"more than this one run: by sequential composition of equal runs at most epsilon "
        f"{configurations_tried * spend.epsilon:.2f}, delta {configurations_tried * plan.delta:.2g}",
        "what leaves the run": "no training loss, no figure of the training part, no realised batch size, no time "
        f"of a single step; the number of {unit}s is published",
    }
    if replaced:
        conditions["changed in the network"] = "; ".join(replaced)
    return {"epsilon": spend.epsilon, "delta": plan.delta, "summary": summary, "conditions": conditions}


def non_private_statement(attack: dict[str, Any] | None) -> dict[str, Any]:
    """Say what holds without differential privacy: nothing is promised, and what an ``attack`` made of that."""
    section: dict[str, Any] = {
        "epsilon": None,
        "delta": None,
        "mechanism": "none",
        "headline": "No promise",
        "detail": "Trained without differential privacy: the weights may reveal who was in the training data.",
    }
    if attack is None:
        return section
    area = attack["auc"]
    told = "chance explains it" if area["low"] <= 0.5 else "better than chance"
    section["attack"] = attack
    section["detail"] += (
        f" An attack ({attack['attack']}) tells training rows from test rows with an AUC of {area['value']:.2f} "
        f"({area['low']:.2f} to {area['high']:.2f}; 0.5 is chance): {told}."
    )
    return section


def non_private_statistics(layout: Layout, roles: ColumnRoles, challenged: bool, own_tokens: bool = True) -> list[str]:
    """Name what a run learns from training rows without noise: it is published beside the private weights.

    ``own_tokens``: the tokenizer was made from training texts, not published before.
    """
    found = []
    if layout.numeric:
        found.append("scales and quantiles of the numeric inputs")
    if layout.categorical:
        found.append("the lists of categories")
    if (layout.vocab_size and own_tokens) or layout.tfidf_size or layout.words:
        found.append("the vocabulary of the texts")
    if layout.vocab_size:
        found.append("the length of the longest text")
    if roles.references:
        found.append(
            "how frequent words are in texts and references, and the directions they are compared in"
        )
    if layout.signal or layout.events:
        found.append("scales of signals and events")
    found.append("the target's classes or scale")
    if roles.slots:
        found.append("the names of the slots")
    if roles.sensitive:
        found.append("the groups' names and bands")
    found.append("what the checks of the data found")
    if challenged:
        found.append("the held-out figures of the classical baseline, which is trained without noise")
    return found


def pretrained_from(backbone: object) -> str:
    """Name the published weights that a backbone starts from; empty where it starts from random ones."""
    if isinstance(backbone, PretrainingProvenance):
        return backbone.started_from()
    local: str | None = getattr(backbone, "weights", None)
    if local:
        return f"the weights in {local}"
    if getattr(backbone, "pretrained", False):
        return f"the published weights of {getattr(backbone, 'name', type(backbone).__name__)}"
    return ""
