"""Upgrade the schema-1 sections fairness, explanation, uncertainty, oversight, energy and performance to schema 2.

Schema 1 held sentences; what today's are computed from is read back from them where no number says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.targets.types import current_kind

Content = dict[str, Any]

FAIRNESS_METRICS = {
    "forecast less outcome": "calibration gap",
    "labels found": "true positive rate of labels",
    "labels wrongly given": "false positive rate of labels",
    "labels given": "labels per row",
    "all labels right": "exact match",
    "slots found": "slot recall",
    "given slots that are wrong": "false discovery rate of slots",
    "mean step given": "mean predicted step",
}
CLASS_METRICS = {"false calls of ": "false positive rate of ", "share called ": "selection rate of "}
"""Beginnings of the names of fairness metrics of single classes."""
FEATURE_KINDS = {"part": "feature", "stretch": "segment"}
EXPLAINED_OUTPUTS = {
    "log odds of the decided answer": "class_log_odds",
    "log odds of the decided class": "class_log_odds",
    "log odds of the likeliest label": "label_log_odds",
    "log odds of the decided intent (slots are not explained)": "intent_log_odds",
    "expected grade, in steps from the lowest": "expected_grade",
    "predicted value": "value",
    "share of the picture given to one class, that which varies most over the rows": "class_area",
}
UNAVAILABLE = {
    "no attention": "no_attention",
    "windows": "windowed_attention",
    "no grid of patches": "no_patch_grid",
    "tokens are not the row's parts": "tokens_are_not_features",
    "fewer than two rows": "too_few_rows",
}
CHOSEN_AS = {"right and sure": "confident_correct", "wrong": "wrong", "least sure": "least_confident"}
ITEMS = {
    "the class of a random pixel of": "pixel",
    "a random label": "label",
    "the intent of": "intent",
    "the number of": "number",
}
SETTINGS = {"strength": "weight", "notion": "constraint", "rate": "step_size", "minimum": "min_group_rows"}
PHASES = {"audit": "fairness", "oversee": "deferral"}


def fairness_metric(name: str) -> str:
    """Return today's name of a fairness metric.

    >>> fairness_metric("false calls of cat"), fairness_metric("selection rate")
    ('false positive rate of cat', 'selection rate')
    """
    for old, new in CLASS_METRICS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return FAIRNESS_METRICS.get(name, name)


def upgrade_fairness(old: Content) -> Content:
    """Return the record's ``fairness`` in the form of schema 2."""
    unit = re.search(r"others, (.+?)s resampled", old.get("method", ""))
    other = old.get("reference_run") or old.get("baseline")
    mitigation = old.get("mitigation")
    return {
        "confidence": old["confidence"],
        "unit": unit[1] if unit else "row",
        "min_group_rows": old["minimum"],
        "metrics": {fairness_metric(name): text for name, text in old["notions"].items()},
        "by_group": {
            attribute: {fairness_metric(name): _group_rates(rates) for name, rates in metrics.items()}
            for attribute, metrics in old["by_group"].items()
        },
        "suppressed": old["suppressed"],
        "worst_off": {
            attribute: {
                "group": worst["group"],
                "metric": fairness_metric(worst["notion"]),
                "rate": worst["rate"],
            }
            for attribute, worst in old.get("worst", {}).items()
        },
        "equalized_odds": old.get("equalised_odds", []),
        "comparisons": [_comparison(line) for line in old["comparisons"]],
        "mitigation": None if mitigation is None else _mitigation(mitigation),
        "reference_run": None if other is None else _reference_run(other),
    }


def upgrade_group_thresholds(old: Content) -> Content:
    """Return ``thresholds.by_group`` in the form of schema 2."""
    return {
        "attributes": old["attributes"],
        "constraint": old["notion"],
        "weight": old["strength"],
        "values": old["values"],
        "common": old["common"],
        "disparity_common": old["gap_common"],
        "disparity": old["gap"],
        "chosen_on": old["chosen_on"],
    }


def upgrade_explanation(old: Content) -> Content:
    """Return the record's ``explanation`` in the form of schema 2."""
    if not old.get("rows"):
        detail = old.get("detail", "")
        code = next((code for text, code in UNAVAILABLE.items() if text in detail), "no_attention")
        method = re.search(r"explanation\.method=(\w+)", detail)
        return {"unavailable": code, "method": method[1] if method else None}
    reason, notes = old["reason"], old.get("notes", [])
    chosen = (
        "few_features" if "at most" in reason else "many_features" if "more than" in reason else "requested"
    )
    numbers = re.search(r"has ([\d.]+) .*?(?:at most|more than) (\d+)", reason)
    rows = _first(r"(\d+) of (\d+) rows were explained: more would take over ([\d.]+)%", notes)
    unassigned = _first(r"([\d.]+)% of what integrated gradients found", notes)
    incomplete = _first(r"Integrated gradients miss ([\d.]+)%", notes)
    shown = " ".join(notes)
    return {
        "method": old["method"],
        "method_reason": chosen,
        "features_per_row": float(numbers[1]) if numbers else None,
        "max_occluded_features": int(numbers[2]) if numbers else None,
        "rows": old["rows"],
        "rows_requested": int(rows[2]) if rows else old["rows"],
        "compute_fraction": float(rows[3]) / 100 if rows else None,
        "stratified": "of every decision alike" in shown,
        "feature_kind": FEATURE_KINDS.get(old["unit"], old["unit"]),
        "explained_output": EXPLAINED_OUTPUTS.get(old["explains"], old["explains"]),
        "confidence": old["confidence"],
        "importance": [
            {**line, "kind": FEATURE_KINDS.get(line["kind"], line["kind"]), "mean_abs": line["mean_abs"] or 0.0}
            for line in old["importance"]
        ],
        "concentration": old.get("concentration"),
        "min_word_rows": 5,
        "faithfulness": {
            **{name: _faithfulness(old["faithfulness"][name]) for name in ("deletion", "insertion")},
            "above_random": old["faithfulness"]["above_random"],
        },
        "sanity": old["sanity"],
        "stability": old["stability"],
        "by_group": {
            attribute: {"groups": t["groups"], "suppressed": t["suppressed"], "disparity": t["gap"]}
            for attribute, t in old["by_group"].items()
        },
        "comparison": {
            name: {"unavailable": next((c for t, c in UNAVAILABLE.items() if t in found["reason"]), "no_attention")}
            if "reason" in found
            else found
            for name, found in old["comparison"].items()
        },
        "unassigned": float(unassigned[1]) / 100 if unassigned else None,
        "completeness_error": float(incomplete[1]) / 100 if incomplete else None,
        "examples_reason": "simulated" if "The data are simulated" in shown
        else "requested" if "was asked for" in shown
        else "withheld",
        "examples": [_example(case) for case in old.get("examples", [])],
        "seconds": old.get("seconds"),
    }  # fmt: skip


def upgrade_uncertainty(old: Content) -> Content:
    """Return the record's ``uncertainty`` in the form of schema 2."""
    calibration, deferral, notes = old["calibration"], old["deferral"], old.get("notes", [])
    criterion = deferral["chosen_by"]
    number = re.search(r"[\d.]+", criterion)
    names = {"a share": "fraction", "at least": "accuracy", "least cost": "cost"}
    code = next((code for text, code in names.items() if criterion.startswith(text)), "none")
    few = _first(r"^(\d+) \S+ of validation are too few", notes)
    common = _first(r"Under (\d+) calibration units, so the common limit: (.*)\.$", notes)
    promised = calibration["promised"]
    estimates = ("coverage", "deferred", "risk_decided", "risk_deferred", "cost_without", "cost", "saved")
    return {
        "item": next((item for text, item in ITEMS.items() if promised.startswith(text)), "class"),
        "alpha": old["alpha"],
        "method": _method(old["method"]),
        "mondrian": old["mondrian"],
        "calibration": {
            "rows": calibration["rows"],
            "units": calibration["units"],
            "unit": calibration["unit"],
            "labels": calibration["answers"],
            "standard_error": calibration["noise"],
            "residual_scale_split": _method(old["method"]) == "normalized",
            "too_few_units": int(few[1]) if few else None,
            "common_quantile": common[2].split(", ") if common else [],
            "min_group_units": int(common[1]) if common else None,
        },
        "quantiles": old["quantiles"],
        "threshold": {
            "value": deferral["threshold"],
            "criterion": code,
            "target": float(number[0]) if number and code in ("fraction", "accuracy") else None,
            "cost_of_deferral": deferral["cost_of_deferral"],
            "error_unit": deferral["error_unit"],
        },
        "rows": old["rows"],
        **_set_quality(old),
        "by_class": {
            name: {"labels": found["answers"], "coverage": found["coverage"]}
            for name, found in old["by_class"].items()
        },
        "by_group": {
            attribute: {
                name: {"rows": found["rows"], **_set_quality(found)} for name, found in groups.items()
            }
            for attribute, groups in old["by_group"].items()
        },
        "deferral": {
            **{name: deferral[name] for name in estimates},
            "by_group": deferral.get("by_group", {}),
        },
        "risk_coverage": old.get("risk_coverage"),
    }


def upgrade_oversight(old: Content) -> Content:
    """Return the record's ``oversight`` in the form of schema 2."""
    declaration = dict(old["declaration"])
    declaration["accuracy_key"] = declaration.pop("agreement", None)
    missing = _first(r"no class of these data: (.*)\.$", old.get("notes", []))
    return {
        "declaration": declaration,
        "counts": {name: old["counts"][name] for name in ("rows", "model", "unsure", "confirm")},
        "rule": upgrade_rule(old["rule"]),
        "missing_confirm_classes": missing[1].split(", ") if missing else [],
    }


def upgrade_rule(old: Content) -> Content:
    """Return ``oversight.rule`` in the form of schema 2."""
    return {
        "kind": current_kind(old["kind"]),
        "classes": old["classes"],
        "acts": old["acts"],
        "confirm": old["confirm"],
        "confirm_words": old["words"],
        "method": _method(old["method"]),
        "quantiles": old["limits"],
        "threshold": old["threshold"],
        "residual_scale": old["spread"],
        "log": old["log"],
    }


def upgrade_energy(old: Content) -> Content:
    """Return the record's ``energy`` in the form of schema 2."""
    kept = ("joules", "low", "high", "measured_share", "per_prediction", "carbon", "forecast", "budget_wh")
    return {
        **{name: old.get(name) for name in kept},
        "phases": upgrade_phases(old["phases"]),
        "sources": [
            {
                "component": source["component"],
                "method": "other",
                "parameters": {"description": source["method"]},
                "measured": source["measured"],
                "relative_uncertainty": source["band"],
                "joules": source["joules"],
            }
            for source in old["sources"]
        ],
    }


def upgrade_phases(old: Content) -> Content:
    """Return phases under today's names."""
    return {PHASES.get(name, name): used for name, used in old.items()}


def upgrade_performance(old: Content) -> Content:
    """Return the record's ``performance`` in the form of schema 2."""
    new = {name: value for name, value in old.items() if name not in ("headline", "detail", "method")}
    new["flops_per_row"] = new.pop("operations_per_row", None)
    return new


def _group_rates(rates: Mapping[str, Any]) -> Content:
    extremes = ("widest difference", "smallest ratio")
    return {
        "groups": {name: rate for name, rate in rates.items() if name not in extremes},
        "largest_difference": rates.get("widest difference"),
        "smallest_ratio": rates.get("smallest ratio"),
    }


def _comparison(line: Mapping[str, Any]) -> Content:
    ratio = line.get("ratio")
    return {
        **{name: line[name] for name in ("attribute", "group", "against", "rate", "others", "found")},
        "metric": fairness_metric(line["notion"]),
        "difference": {"value": line["difference"], "low": line["low"], "high": line["high"]},
        "ratio": None
        if ratio is None
        else {"value": ratio, "low": line["ratio_low"], "high": line["ratio_high"]},
    }


def _mitigation(done: Mapping[str, Any]) -> Content:
    return {
        "option": done["kind"],
        "attributes": done["attributes"],
        "needed_to_predict": done["needed_to_predict"],
        "settings": {SETTINGS.get(name, name): value for name, value in done["settings"].items()},
    }


def _reference_run(other: Mapping[str, Any]) -> Content:
    return {
        "run": other["run"],
        "record": other["record"],
        "epsilon_here": other["epsilon_here"],
        "epsilon_there": other["epsilon_there"],
        "utility_costs": [
            {
                name: cost[name]
                for name in ("metric", "here", "there", "lower_is_better", "value", "low", "high")
            }
            for cost in [other["price"], *other.get("further_prices", [])]
        ],
        "comparisons": [
            {
                **{name: line[name] for name in ("attribute", "group", "against", "wider", "found")},
                "metric": fairness_metric(line["notion"]),
                "rate_here": line["rate_here"],
                "rate_there": line["rate_there"],
                "difference_here": line["gap_here"],
                "difference_there": line["gap_there"],
                "change": {"value": line["change"], "low": line["low"], "high": line["high"]},
            }
            for line in other["comparisons"]
        ],
    }


def _faithfulness(test: Mapping[str, Any]) -> Content:
    return {("ratio_to_random" if name == "times" else name): value for name, value in test.items()}


def _example(case: Mapping[str, Any]) -> Content:
    signal = case.get("signal")
    strongest = str(case.get("strongest", "")).replace("centre", "center").split()
    return {
        "row": case["row"],
        "chosen_as": CHOSEN_AS.get(case["why"], ""),
        "predicted": case["decided"],
        "label": case["truth"],
        "explained_class": case["explains"],
        "score": case["score"],
        "shows_labels": case["decided"] != "a picture",
        "reasons": [{**reason, "has_value": "value" in reason} for reason in case["reasons"]],
        "texts": case.get("texts", []),
        "image": case.get("picture"),
        "strongest_patch": strongest or None,
        "signal": None
        if signal is None
        else {"points": signal["points"], "effects": signal["effects"], "segments": signal["stretches"]},
    }


def _set_quality(found: Mapping[str, Any]) -> Content:
    promise = dict(found["promise"])
    return {
        "coverage": found["coverage"],
        "size": found["size"],
        "single": found.get("single"),
        "guarantee": {"nominal": promise.pop("asked"), **promise},
    }


def _method(name: str) -> str:
    return "normalized" if name == "normalised" else name


def _first(pattern: str, notes: list[str]) -> re.Match[str] | None:
    return next((found for note in notes if (found := re.search(pattern, note))), None)
