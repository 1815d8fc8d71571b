"""Sentences about the record's ``training``: how the network was optimized."""

from __future__ import annotations

from core.report.formatting import format_count, format_duration
from core.report.glossary import display_name
from core.training.config import BF16_MIN_SPEEDUP, BF16_MIN_STEPS
from core.training.section import FeatureCache, TrainingSection


def headline(training: TrainingSection) -> str:
    """Return how many optimizer steps were taken; empty where none were recorded."""
    return "" if training.steps is None else f"{training.steps:,} steps"


def detail(training: TrainingSection) -> str:
    """Return the precision, the time and why training ended."""
    reason = stop_reason(training)
    facts = [
        f"precision {training.precision}" if training.precision else "",
        f"took {format_duration(training.seconds)}" if training.seconds is not None else "",
        f"ended because {reason}" if reason else "",
    ]
    text = "; ".join(fact for fact in facts if fact)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def stop_reason(training: TrainingSection) -> str:
    """Return why training ended; empty where that was not recorded.

    >>> stop_reason(TrainingSection(stop_reason="all_steps", steps=120))
    'all 120 steps were taken'
    """
    best = training.best
    match training.stop_reason:
        case "all_steps":
            return (
                "all steps were taken"
                if training.steps is None
                else f"all {training.steps:,} steps were taken"
            )
        case "patience" if best is not None:
            return (
                f"validation {display_name(best.monitor)} was best after step {best.step} and not better "
                f"{best.without_improvement} times since"
            )
        case "patience":
            return "the validation metric no longer improved"
        case "time_limit" if training.time_limit_minutes:
            return f"the time limit of {training.time_limit_minutes:g} minutes (training.max_minutes) was reached"
        case "time_limit":
            return "the time limit was reached"
        case "energy_budget":
            return "the energy budget (energy.budget_wh) was used up"
    return ""


def weights(training: TrainingSection) -> str:
    """Return which weights were kept; empty where that was not recorded."""
    match training.weights:
        case "best" if training.best is not None:
            return (
                f"best on validation ({display_name(training.best.monitor)}, after step {training.best.step})"
            )
        case "best":
            return "best on validation"
        case "average":
            return "the exponential moving average of the last steps"
        case "last":
            return "those of the last step"
    return ""


def precision(training: TrainingSection) -> str:
    """Return the number format of the forward pass, and why it was chosen."""
    if training.precision is None:
        return ""
    speedup = training.bf16_speedup
    ratio = (
        ""
        if speedup is None
        else f": bf16 is {speedup:.2f} times as fast as fp32, {BF16_MIN_SPEEDUP} is required"
    )
    why = {
        None: "",
        "other": "",
        "requested": f"training.precision={training.precision} was requested",
        "private": "under differential privacy no training rows are timed; training.precision=bf16 requests it",
        "no_native_bf16": "this device has no native bf16",
        "short_run": f"not measured: the run has fewer than {BF16_MIN_STEPS} steps",
        "measured": f"measured on this model and batch{ratio}",
        "measured_before": f"measured by an earlier run of the same model, shapes and machine{ratio}",
    }[training.precision_reason]
    return f"{training.precision} ({why})" if why else training.precision


def feature_cache(training: TrainingSection) -> str:
    """Return whether the features of frozen layers were cached, and why not; empty where every layer was trained."""
    return "" if training.feature_cache is None else _feature_cache(training.feature_cache)


def linear_probe(training: TrainingSection) -> str:
    """Return how the linear probe was trained first (LP-FT); empty where it was not."""
    probe = training.linear_probe
    if probe is None:
        return ""
    text = f"before fine-tuning, a linear probe was trained for {format_count(probe.steps)} steps (LP-FT)"
    return text if probe.feature_cache is None else f"{text}; {_feature_cache(probe.feature_cache)}"


def notes(training: TrainingSection) -> list[str]:
    """Return what a reader must know besides: several processes, and what a resume warned of."""
    found = []
    if training.unsynchronized_batch_norm:
        found.append(
            f"batch normalization took each of {training.processes} processes' share of a batch by itself, and its "
            "running statistics are the main process's: not the same as one process with whole batches"
        )
    return [*found, *training.warnings]


def _feature_cache(cache: FeatureCache) -> str:
    if cache.status == "cached":
        return f"the features of frozen layers were computed once ({_size(cache.mib)}), not in each step"
    why = {
        "augmentation": "since an augmentation changes the rows (augmentation=none caches them)",
        "disabled": "as training.feature_cache_mib=0 asks",
        "too_large": f"since those of all rows take {_size(cache.mib)} and "
        f"training.feature_cache_mib={cache.limit_mib or 0:g} allows less",
    }[cache.status]
    return f"the features of frozen layers are computed in each step, {why}"


def _size(mib: float | None) -> str:
    return "an unknown size" if mib is None else f"{mib:.3g} MiB"
