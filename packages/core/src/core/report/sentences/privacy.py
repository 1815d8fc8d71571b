"""Sentences about the record's ``privacy``: what is guaranteed of what, on which conditions, and how it was tested."""

from __future__ import annotations

import math

from core.privacy.section import AttackResult, DPSection, NoPrivacySection, Statistic
from core.report.formatting import format_count, join_words
from core.report.sentences.notices import NOT_PRIVATE

STATISTICS: dict[Statistic, str] = {
    "numeric_scales": "scales and quantiles of the numeric inputs",
    "categories": "the lists of categories",
    "vocabulary": "the vocabulary of the texts",
    "text_length": "the length of the longest text",
    "word_frequencies": "word frequencies in texts and references, and the latent directions they are compared in",
    "signal_scales": "scales of signals and events",
    "target_scale": "the target's classes or scale",
    "slot_names": "the names of the slots",
    "group_names": "the groups' names and bins",
    "data_checks": "what the checks of the data found",
    "baseline_metrics": "the test metrics of the classical baseline, which is trained without differential privacy",
}
"""Code of a statistic -> what it is."""
ACCOUNTING = {
    "prv": "privacy random variables, composed numerically (Gopi et al. 2021)",
    "gaussian": "the exact curve of Gaussian mechanisms, every unit being in every batch (Balle and Wang 2018)",
    "rdp": "Rényi differential privacy (Mironov et al. 2019)",
}
FALLBACK = {
    "full_batch": "every unit is in every batch; the looser Rényi bound holds",
    "grid_too_large": "the budget is too large for PRV's grid; the looser Rényi bound holds",
    "no_noise": "no noise is added, so nothing is guaranteed",
}
"""Code of an accountant's fallback -> why it gave the bound."""


def headline(section: NoPrivacySection | DPSection) -> str:
    """Return epsilon and what it is of, or that there is no formal guarantee.

    >>> headline(NoPrivacySection())
    'No formal guarantee'
    """
    if not isinstance(section, DPSection):
        return "No formal guarantee"
    return f"ε = {section.epsilon:.3g} of the weights, given the preprocessing"


def detail(section: NoPrivacySection | DPSection) -> str:
    """Return what epsilon is of, or what a run without a guarantee may reveal, and how an attack on it went."""
    if isinstance(section, DPSection):
        found = (
            f"Differential privacy per {section.unit}, δ = {section.delta:.1e}, of the trained weights, given the "
            "preprocessing."
        )
    else:
        found = NOT_PRIVATE
    return found if section.attack is None else f"{found} {attack(section.attack)}"


def attack(result: AttackResult) -> str:
    """Return how well a membership inference attack told training rows from test rows."""
    auc = result.auc
    assert auc.value is not None
    interval, verdict = "", "better than chance"
    if auc.low is not None and auc.high is not None:
        interval = f"{auc.low:.2f} to {auc.high:.2f}; "
        verdict = "no better than chance" if auc.low <= 0.5 else verdict
    return (
        f"A membership inference attack ({result.attack}) tells training rows from test rows with an AUC of "
        f"{auc.value:.2f} ({interval}0.5 is chance): {verdict}."
    )


def summary(section: NoPrivacySection | DPSection) -> list[str]:
    """Return what the guarantee means, for whom; nothing where there is none."""
    if not isinstance(section, DPSection):
        return []
    unit, factor = section.unit, math.exp(section.epsilon)
    odds = f"{factor:.2f}" if factor < 100 else f"{factor:.3g}"
    return [
        f"Whether or not one {unit}'s training data were used changes the probability of any outcome of the training "
        f"by a factor of at most {odds} (epsilon = {section.epsilon:.2f}), except with probability "
        f"{section.delta:.2g} (delta).",
        f"{section.units:,} {unit}s were protected in this way. The guarantee is about the {unit}s of the training "
        f"set; validation and test rows were read outside the mechanism to evaluate the model{_shared(section)}.",
    ]


def _shared(section: DPSection) -> str:
    if section.shared_units != "declare":
        return ""
    return f", and may be of the same {section.unit}s, whose later rows are then not protected (declared)"


def conditions(section: DPSection) -> dict[str, str]:
    """Return the conditions of the guarantee by name."""
    unit = section.unit
    found = {
        "Scope": "the trained weights, given the preprocessing and all else that was fitted without noise",
        "Neighboring relation": _neighboring_relation(section),
        "Unit": f"one {unit}; each contributes at most one clipped gradient to a step",
        "Mechanism": f"Gaussian noise of {section.noise_multiplier:.4g} clip norms on the clipped sum, "
        f"{_steps(section)}, clipping: {section.clipping}, engine: {section.engine}",
        "Sampling": f"Poisson: each {unit} is in a step's batch by an independent Bernoulli draw with probability "
        f"{section.sampling_rate:.5g}; this is the sampler the run really used, and the one that is accounted for",
        "Accounting": _accounting(section),
        "Random generator": _random_generator(section),
        "Pretraining": f"started from {section.initial_weights}, whose own training data are not protected by this "
        "statement"
        if section.initial_weights
        else "started from random initialization",
        "Fitted without noise": _fitted_without_noise(section),
        "Configurations tried": _trials(section),
        "Released": "no training loss, no metric of the training set, no realized batch size, no time of a single "
        f"step; the number of {unit}s is published",
    }
    if section.batch_norm.layers:
        layers = join_words(section.batch_norm.layers)
        done = {
            "group": "replaced by group normalization",
            "frozen": "frozen",
            "refuse": "changed",
        }[section.batch_norm.policy]
        found["Changed in the network"] = f"batch normalization was {done} in {layers}"
    return found


def _neighboring_relation(section: DPSection) -> str:
    found = f"adding or removing all training rows of one {section.unit}"
    if section.replace_one_epsilon is None:
        return found
    return (
        f"{found}; for replacing them by the rows of another {section.unit}, epsilon is at most "
        f"{section.replace_one_epsilon:.2f} at the same delta"
    )


def _steps(section: DPSection) -> str:
    planned = section.planned_steps
    if planned is None or planned == section.steps:
        return f"{section.steps:,} steps"
    return (
        f"{section.steps:,} of {planned:,} planned steps (epsilon is that of all planned steps: when training stops "
        "early depends on the data)"
    )


def _accounting(section: DPSection) -> str:
    method = ACCOUNTING[section.accountant]
    return (
        method
        if section.accountant_fallback is None
        else f"{method} ({FALLBACK[section.accountant_fallback]})"
    )


def _random_generator(section: DPSection) -> str:
    if section.noise_source == "configured_seed":
        return (
            "noise seeded by a number in the configuration: anyone who knows it can subtract the noise, so this run is "
            "for tests and must not be released"
        )
    return (
        "generators keyed with 128 bits of the operating system's randomness, which were destroyed after the run; the "
        "generators (Mersenne Twister; Philox on a GPU) and the floating-point noise are the usual ones, not "
        "cryptographic or discrete ones"
    )


def _fitted_without_noise(section: DPSection) -> str:
    names = "; ".join(STATISTICS[code] for code in section.non_private_statistics)
    if not names:
        return "nothing"
    return f"{names}: not covered by this statement; for a release, take them from public data"


def _trials(section: DPSection) -> str:
    trials = section.num_trials
    if trials == 1:
        return (
            "declared as the only configuration tried on these data (privacy.num_trials); runs started by other "
            "commands are not counted"
        )
    counted = "as declared (privacy.num_trials)"
    if section.sweep_size is not None and section.sweep_size > 1:
        counted = f"{format_count(section.sweep_size)} of them in this sweep, the others as declared"
        if section.sweep_size == trials:
            counted = "all in this sweep, none before being declared (privacy.num_trials)"
    return (
        f"{format_count(trials)} configurations were tried on these data, {counted}; publishing the best of them "
        f"reveals more than this one run: by sequential composition of equal runs at most epsilon "
        f"{trials * section.epsilon:.2f}, delta {trials * section.delta:.2g}"
    )
