"""The page of metrics and studies, from the targets and tasks that report them."""

from __future__ import annotations

import dataclasses
import importlib
import re

from core.domain import Task
from core.report.glossary import LOWER, UNDIRECTED, display_name, metric_gloss
from core.targets.types import _TYPES, MetricSettings, Target, target_type
from reference_pages.markdown_table import NOTE, cell, code, first_line, table
from reference_pages.options import PACKAGES, home, options

CLASS = "<class>"
"""Stands for the name of a class in a metric's key."""

STUDIES = {
    "agreement": "agreement of the machine's grades with human ones, beside two humans: QWK, exact, SMD, DSM, PRMSE",
    "alerts": "precision and caught amount among the cards that can be reviewed in a day",
    "costs": "expected cost of each threshold for the costs of a review, of friction and of a miss; the cheapest one",
    "drift": "population stability (PSI) of scores and inputs between splits",
    "false_activation": "how often an utterance would wrongly activate a lock, alarm or oven, before confirmation",
    "footprint": "milliseconds, memory and modeled joules of one command",
    "forecast": "error beside that of persistence: the last reading repeated",
    "gaming_detection": "share of shuffled, repeated, copied and off-topic answers that are flagged",
    "human_review": "which grades go to a person, so that the rest agree as asked",
    "languages": "exact match of each language or dialect, the worst one named",
    "latency": "median and 99th percentile of the time of one prediction",
    "length_bias": "how much of a grade is explained by length alone, for the machine and for humans",
    "occupancy": "missed and false presence, switches a day, beside a schedule without sensors",
    "ood_detection": "AUROC and FPR at 95 % TPR of separating unknown from known inputs, by probability and energy",
    "operational_design_domain": "test rows inside and outside the declared limits, and at the triggering conditions",
    "out_of_scope": "how well requests that are no command are refused, at a threshold from validation",
    "plans": "share of commands whose plan reaches the right devices in a simulated home",
    "predictive_equality": "false positive rate of each group, and whether it is within the task's bar",
    "reason_codes": "the features behind alerts, and how stable they are under small changes",
    "risk_coverage": "error rate of the most certain predictions over all coverages (AURC)",
    "robustness": "15 corruptions at 5 severities (Hendrycks and Dietterich 2019): relative degradation",
    "slices": "each group beside all other rows, the weakest first",
    "text_robustness": "exact match with typos and recognition errors",
    "thermal_preference": "how often a wish for warmer or cooler is answered by its opposite",
    "word_attribution": "whether the words said to have moved a grade move it more than random words",
}
"""Study of a task -> what it evaluates."""


@dataclasses.dataclass
class MetricRow:
    """A metric's key, what it means, which way is better, and the kinds of target or tasks that report it."""

    key: str
    meaning: str
    better: str
    where: list[str]


def kinds() -> list[type[Target]]:
    """Return the class of every kind of target, in the order of their names."""
    for path in sorted((PACKAGES / "core/src/core/targets").glob("*.py")):
        importlib.import_module(f"core.targets.{path.stem}")
    found = [target_type(kind) for kind in sorted(_TYPES)]
    return [kind for kind in found if kind.__module__.startswith("core.")]  # a test may have one of its own


def tasks() -> dict[str, Task]:
    """Return every task by its name and domain."""
    return {
        f"{name} ({home(option)})": option()
        for (group, name), option in options().items()
        if group == "task" and issubclass(option, Task)
    }


def example(kind: type[Target]) -> Target:
    """Return a target of a kind whose classes are placeholders, to be asked for its metrics."""
    needed = {
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    classes = ("no", "yes") if kind.kind == "binary" else (CLASS,)
    named = {"classes": classes, "slots": ("<slot>",), "columns": classes}
    return kind(**{name: named.get(name, "<column>") for name in needed | {"classes"}})


def words_of(function: object) -> str:
    """Return the first sentence on a metric: of its function, or of the one that returned it."""
    path, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    outer = getattr(importlib.import_module(module), path.split(".")[0], function) if module else function
    words = re.split(r"[.;] |\.$", first_line(function) or first_line(outer))[0]
    return re.sub(r"^(Return|Compute) (the )?(metric( of|:)? ?)?", "", words)


def direction(key: str) -> str:
    """Return which way a metric is better: higher, lower, or a value."""
    if key in UNDIRECTED:
        return f"{UNDIRECTED[key]:g}"
    return "lower" if key in LOWER else "higher"


def metric_rows() -> list[MetricRow]:
    """Return every metric of the kinds of target and of tasks, in the order of their keys."""
    found: dict[str, MetricRow] = {}

    def add(key: str, function: object | None, where: str) -> None:
        words = metric_gloss(key) or metric_gloss(key.removesuffix(f"_{CLASS}"))
        words = words or (words_of(function) if function is not None else "")
        row = found.setdefault(key, MetricRow(key, words, direction(key), []))
        row.where += [where] if where not in row.where else []

    for kind in kinds():
        target = example(kind)
        for key, metric in target.metrics().items():
            add(key, metric, kind.kind)
        for statistic in kind.statistics(target.classes, MetricSettings()):
            for key in statistic.names:
                add(key, None, kind.kind)
    for name, task in tasks().items():
        for kind in kinds():
            for key, metric in task.metrics(kind.kind).items():
                add(key, metric, name)
    return sorted(found.values(), key=lambda row: row.key)


def metrics_table() -> str:
    """Return the table of all metrics."""
    rows = [
        (
            code(row.key),
            cell(display_name(row.key)),
            row.better,
            cell(row.meaning),
            cell(", ".join(row.where)),
        )
        for row in metric_rows()
    ]
    return table(("metric", "name", "better", "meaning", "reported for"), rows)


def metrics_page() -> str:
    """Return the page of metrics and studies."""
    lines = [
        NOTE,
        "# Metrics\n",
        "Every metric is computed on the test set and has an interval (section `metrics` of the record). "
        f"`{CLASS}` stands for the name of a class.\n",
        metrics_table(),
        "\n## Studies\n",
        "What a task evaluates beyond metrics of its predictions (section `studies` of the record); "
        "`evaluation.studies=false` leaves them out.",
    ]
    for name, task in tasks().items():
        names = dict.fromkeys(study for kind in kinds() for study in task.studies(kind.kind))
        rows = [(code(study), cell(STUDIES.get(study, ""))) for study in names]
        lines += [f"\n### {name}\n", table(("study", "what"), rows)] if rows else []
    return "\n".join(lines).rstrip() + "\n"
