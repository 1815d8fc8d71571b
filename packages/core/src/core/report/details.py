"""The sentences and lists of the page that are put together from several fields of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.report.summary import baseline_name
from core.report.html_filters import general, with_field, number, percent, whole
from core.report.json_pointer import to_pointer
from core.report.record import Json, Record
from core.report.formatting import format_duration, display_name

if TYPE_CHECKING:
    from markupsafe import Markup

RULES = {
    "youden": "Youden's index: sensitivity and specificity together",
    "cost": "Least cost",
    "sensitivity": "Sensitivity floor",
    "specificity": "Specificity floor",
    "f1": "Largest F1",
    "0.5": "One half",
}


def _said(text: str, *parts: Any) -> Markup:
    """Fill a sentence with figures; what is not marked already is escaped."""
    from markupsafe import Markup

    return Markup(text).format(*parts)


def method(content: Json) -> Markup:
    """Say on which rows the figures were made and how their intervals."""
    made = content["intervals"]
    if not made.get("confidence"):
        return _said(
            "Figures of the test part, which neither training nor the choice of thresholds has seen."
        )
    unit = f"{content['data']['unit_name']}s" if made["resampled"] == "units" else "rows"
    rest = (
        " Model and baseline were trained on the same rows and compared on the same resamples."
        if content["baseline"]
        else ""
    )
    return _said(
        "Ranges are {} intervals from {} bootstrap resamples of the test part's {}.{}",
        percent(made["confidence"]),
        whole(made["resamples"]),
        unit,
        rest,
    )


def undefined(content: Json) -> Markup:
    """Name the figures that some resamples could not make."""
    counts = {m: f.get("undefined", 0) for m, f in content["metrics"].items()}
    told = [_said("{} {}", display_name(m), whole(n)) for m, n in counts.items() if n]
    if not told:
        return _said("")
    listed = _said(", ").join(told[:12])
    return _said("Resamples in which a figure is undefined and left out: {}.", listed)


def points(content: Json) -> list[dict[str, Any]]:
    """List the thresholds that the rules would choose."""
    found, used = content["thresholds"].get("points", {}), content["thresholds"].get("rule")
    return [
        {
            "rule": RULES.get(rule, rule),
            "chosen": rule == used,
            "threshold": p["threshold"],
            "test": p["test"],
        }
        for rule, p in found.items()
    ]


def threshold_text(content: Json) -> Markup:
    """Say what the costs were and at which prevalence predictive values are stated."""
    t = content["thresholds"]
    if "cost_threshold" not in t:
        return _said("")
    return _said(
        "A miss is taken to cost {}, a false alarm {}, which makes acting worth it from a probability of {}. PPV and "
        "NPV in the table above are stated at a prevalence of {}.",
        general(t["cost_false_negative"]),
        general(t["cost_false_positive"]),
        number(t["cost_threshold"]),
        number(t["prevalence"]),
    )


def scaling(content: Json) -> Markup:
    """Say whether and how the probabilities were corrected."""
    made = content["calibration"].get("scaling")
    if not made or "residuals" in content["curves"]:
        return _said("")
    names = {
        "none": "The probabilities are the model's own",
        "platt": "The probabilities were corrected by a logistic curve fitted on validation (Platt scaling)",
        "temperature": "The probabilities were corrected by a temperature fitted on validation",
    }
    reason = with_field(made["reason"], "/calibration/scaling/reason")
    return _said("{}: {}.", names.get(made["method"], made["method"]), reason)


def model(record: Record, content: Json) -> list[tuple[str, Markup]]:
    """List what was trained and how."""
    m, t, run = content["model"], content["training"], content["run"]
    told: list[tuple[str, Markup | None]] = [
        ("Backbone", with_field(m["backbone"], "/model/backbone")),
        ("Adapter", _text(m["adapter"], "/model/adapter")),
        ("Parameters", whole(m["parameters"]) if m["parameters"] is not None else None),
        ("Trained", whole(m["trainable"]) if m["trainable"] is not None else None),
        ("Epochs", general(t["epochs"]) if t["epochs"] is not None else None),
        ("Steps", whole(t["steps"]) if t["steps"] is not None else None),
        ("Ended because", _text(t.get("reason"), "/training/reason")),
        ("Weights kept", _text(t.get("weights"), "/training/weights")),
        (
            "Stopped early",
            _text({True: "yes", False: "no", None: None}[t["stopped_early"]], "/training/stopped_early"),
        ),
        ("Precision", _text(t["precision"], "/training/precision")),
        (
            "Training time",
            with_field(format_duration(t["seconds"]), "/training/seconds") if t["seconds"] is not None else None,
        ),
        *(
            ("Beside the steps", with_field(told, f"/training/messages/{n}"))
            for n, told in enumerate(t.get("messages", []))
        ),
        ("Seed", with_field(str(run["seed"]), "/run/seed") if run["seed"] is not None else None),
        ("Baseline", _baseline(record, content)),
        ("Command", _text(run["command"], "/run/command")),
    ]
    return [(name, value) for name, value in told if value is not None]


def _text(value: str | None, where: str) -> Markup | None:
    return None if value is None else with_field(value, where)


def _baseline(record: Record, content: Json) -> Markup | None:
    if record.baseline is None:
        return None
    name = baseline_name(record.baseline.name)
    details = content["baseline"].get("details", {})
    if "rows" not in details:
        return _said("{}", name)
    rows, available = whole(details["rows"]), whole(details["rows_available"])
    return _said("{} ({}), fitted on {} of {} training rows", name, details["estimator"], rows, available)


def environment(record: Record) -> list[tuple[str, Markup]]:
    """List where the run was carried out."""
    found = record.environment.model_dump().items()
    return [(k.capitalize(), with_field(str(v), to_pointer("environment", k))) for k, v in found if v is not None]


def files(record: Record) -> list[tuple[str, Markup]]:
    """List the files that went in and came out, with their sha256."""
    read = [(name, with_field(v, to_pointer("data", "files", name))) for name, v in record.data.files.items()]
    return sorted([*read, *((name, with_field(v, to_pointer("files", name))) for name, v in record.files.items())])
