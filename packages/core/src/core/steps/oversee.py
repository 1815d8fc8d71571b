"""Part of step 5: how sure the answers are, and which of them a human decides."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from core.config import derive_seed
from core.evaluation.conformal import Calibration, PixelScores, calibrate, score_pixels
from core.evaluation.deferral import by_agreement, by_cost, by_share, error_unit, losses
from core.evaluation.uncertainty import Terms, measure, terms
from core.oversight.config import StandardOversight
from core.oversight.decision_rule import DEFER_ALL, Decisions, DecisionRule, missing_confirm_classes, count_decisions, rule_of_declaration, joined_texts
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.config import RunConfig
    from core.steps.evaluate import Judged
    from core.steps.prepare import Prepared
    from core.targets.types import Predictions

Json = Any


def oversee(
    config: RunConfig, prepared: Prepared, judged: Judged
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Give the record's ``uncertainty`` and ``oversight`` sections.

    Limits and threshold are chosen on validation and measured on test. With oversight=none nothing is measured and the
    declaration is kept, with the statement that nobody checks.
    """
    declared: Oversight = config.task.oversight
    options = config.oversight
    target = prepared.target
    test = judged.evaluation.parts["test"]
    texts = joined_texts(prepared.frames["test"], prepared.dataset.roles.text)
    if not isinstance(options, StandardOversight):
        rules = DecisionRule(target.kind, target.classes, declared.acts)
        decided = rules.decide(test.scores, test.labels, test.groups, texts, test.sure)
        return None, _oversight(declared, rules, decided, [])
    seed = derive_seed(config.seed, "oversight")
    rules = rule_of_declaration(declared, target.kind, target.classes, options.confirm, options.confirm_words)
    rules = replace(rules, method=options.method_of(target.kind), log=bool(getattr(target, "log", False)))
    validation = judged.evaluation.parts["validation"]
    pixels = _looked(prepared, judged, options.mask_rows, seed) if target.kind == "mask" else {}
    calibration = calibrate(
        rules,
        validation,
        options.alpha,
        options.mondrian_of(target.kind),
        options.mondrian_units,
        prepared.dataset.unit_name,
        seed,
        pixels.get("validation"),
    )
    unit = error_unit(validation)
    chosen_by, threshold = _threshold(calibration.rules, validation, options, declared, config, unit)
    rules = replace(calibration.rules, threshold=threshold)
    against = terms(calibration, options.alpha, options.cost_of_deferral, unit)
    measured = measure(rules, test, against, config.evaluation, seed, pixels.get("test"))
    decided = rules.decide(test.scores, test.labels, test.groups, texts, test.sure)
    uncertainty = _uncertainty(measured, rules, calibration, against, options, chosen_by, prepared)
    missing = missing_confirm_classes(declared, target.classes)
    notes = (
        [f"Declared to be confirmed, but no class of these data: {', '.join(missing)}."] if missing else []
    )
    return uncertainty, _oversight(declared, rules, decided, notes)


def _looked(prepared: Prepared, judged: Judged, rows: int, seed: int) -> dict[str, PixelScores]:
    parts = judged.evaluation.parts
    return {
        name: score_pixels(judged.scorer, prepared.frames[name], parts[name], rows, seed, name)
        for name in ("validation", "test")
    }


def _threshold(
    rules: DecisionRule,
    validation: Predictions,
    options: StandardOversight,
    declared: Oversight,
    config: RunConfig,
    unit: float,
) -> tuple[str, float]:
    """Choose the threshold on validation and say by what."""
    wanted = options.agreement
    chosen = options.defer
    if chosen == "auto":
        if rules.kind == "regression":
            chosen = "none"
        elif declared.agreement is not None and rules.kind in ("binary", "multiclass", "ordinal"):
            chosen, wanted = "agreement", float(getattr(config.task, declared.agreement))
        else:
            chosen = "cost"
    if chosen == "none":
        return "nothing is deferred", 0.0
    sure = rules.certainty(validation.scores, validation.labels, validation.sure)
    if chosen == "share":
        return f"a share of {options.share:g} is deferred", by_share(sure, options.share)
    loss = losses(validation, unit)
    if chosen == "agreement":
        told = f"at least {wanted:g} of the answers left to the model are right"
        return told, by_agreement(sure, loss == 0, wanted)
    told = f"least cost, a human's answer costing {options.cost_of_deferral:g} of a wrong one"
    return told, by_cost(sure, loss, options.cost_of_deferral)


def _uncertainty(
    measured: dict[str, Json],
    rules: DecisionRule,
    calibration: Calibration,
    against: Terms,
    options: StandardOversight,
    chosen_by: str,
    prepared: Prepared,
) -> dict[str, Json]:
    deferral = {
        "threshold": rules.threshold,
        "chosen_on": "validation",
        "chosen_by": chosen_by,
        "cost_of_deferral": against.cost,
        "error_unit": against.error_unit,
        **measured.pop("deferral"),
    }
    unit = prepared.dataset.unit_name
    counted = f"{calibration.units} {unit}s" if calibration.units is not None else f"{calibration.rows} rows"
    coverage, asked = measured["coverage"]["value"], 1 - against.alpha
    what = {"regression": "Intervals", "mask": "Sets of pixels"}.get(rules.kind, "Sets")
    size = measured["size"]["value"]
    if rules.kind == "regression":
        told = f"Half an interval is {size / 2:.3g} wide on average"
    elif rules.kind == "multilabel":
        told = f"A set holds {size:.2f} labels on average"
    else:
        one = measured["single"]["value"]
        told = f"A set holds {size:.2f} classes on average, {one:.0%} hold one"
    falls_short = "" if measured["promise"]["holds"] else " Less than promised, by more than chance explains."
    return {
        "headline": f"{what} of {asked:.0%} hold {coverage:.1%}",
        "detail": f"{told}; limits from {counted} of validation, measured on test.{falls_short}",
        "alpha": against.alpha,
        "method": rules.method,
        "mondrian": options.mondrian_of(rules.kind),
        "calibration": {
            "part": "validation",
            "rows": calibration.rows,
            "units": calibration.units,
            "unit": unit if calibration.units is not None else "row",
            "answers": calibration.answers,
            "noise": calibration.noise,
            "promised": _promised(rules.kind, calibration, unit),
            "used_before": "early stopping, recalibration and thresholds",
        },
        "quantiles": rules.limits.state(),
        **measured,
        "deferral": deferral,
        "notes": calibration.notes,
    }


def _promised(kind: str, calibration: Calibration, unit: str) -> str:
    answer = {
        "mask": "the class of a random pixel of",
        "multilabel": "a random label that applies to",
        "tokens": "the intent of",
        "regression": "the number of",
    }.get(kind, "the class of")
    if calibration.units is None:
        return f"{answer} a new {'picture' if kind == 'mask' else 'row'}"
    return f"{answer} a random {'picture' if kind == 'mask' else 'row'} of a new {unit}"


def _oversight(declared: Oversight, rules: DecisionRule, decided: Decisions, notes: list[str]) -> dict[str, Json]:
    counted = count_decisions(decided.decision)
    human = (counted["unsure"] + counted["confirm"]) / max(counted["rows"], 1)
    if rules.method == "none":
        detail = "Nobody checks before: no answer is deferred or confirmed (oversight=none)."
    else:
        unsure, waits = (counted[k] / max(counted["rows"], 1) for k in ("unsure", "confirm"))
        rest = "takes effect" if declared.acts else "only advises"
        detail = f"{unsure:.0%} of the test rows go to a human as unsure, {waits:.0%} to be confirmed; the rest {rest}."
        if rules.threshold >= DEFER_ALL:
            detail += " On validation no confidence reached what is asked of answers left to the model."
    role = f"{declared.responsible[:1].upper()}{declared.responsible[1:]}"
    return {
        "headline": f"{role}; {human:.0%} go to a human" if declared.acts else f"{role}, in every case",
        "detail": detail,
        "declaration": asdict(declared),
        "counts": {**counted, "part": "test"},
        "rule": rules.state(),
        "rule_in_words": rules.told(),
        "notes": notes,
    }
