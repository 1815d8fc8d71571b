"""Fill the tables of docs/results.md and README.md from results/*.json: python benchmarks/table.py [--check]."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.report.glossary import display_name

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "results.md"
README = HERE.parent / "README.md"
Row = dict[str, Any]


def with_interval(estimate: dict[str, float | None] | None) -> str:
    """Return a value with its interval."""
    if estimate is None:
        return ""
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def metric_name(metric: str) -> str:
    """Return the display name of a metric, or of ``study.metric``."""
    study, dot, name = metric.partition(".")
    return f"{display_name(name)} ({study.replace('_', ' ')})" if dot else display_name(metric)


def domain(rows: list[Row]) -> str:
    """Return a domain's table: one line a metric."""
    lines = ["| data, task | metric | Plinth | baseline | training |", "|---|---|---|---|---|"]
    for row in rows:
        for n, (metric, estimate) in enumerate(row["metrics"].items()):
            name = row["name"] if n == 0 else ""
            other = row["baseline_metrics"].get(metric)
            beside = f"{with_interval(other)} {row['baseline']}" if other else "—"
            seconds = (
                f"{row['train_seconds']:.0f} s, {row['repeats']} run{'s' * (row['repeats'] > 1)}"
                if n == 0
                else ""
            )
            lines.append(
                f"| {name} | {metric_name(metric)} | {with_interval(estimate)} | {beside} | {seconds} |"
            )
    return "\n".join(lines)


def step(rows: list[Row]) -> str:
    """Return time and memory of private steps."""
    lines = [
        "| model, batch | private / plain time | opacus / Plinth time | private / plain memory |",
        "|---|---|---|---|",
    ]
    for row in rows:
        peer = row["opacus_over_ours"]
        beside = (
            f"{peer:.2f}"
            if peer is not None
            else "opacus fails: " + row["opacus_error"].split(":")[1].strip()
        )
        ratios = f"{row['ours_over_plain']:.2f} | {beside} | {row['memory_over_plain']:.2f}"
        lines.append(f"| {row['name']} | {ratios} |")
    return "\n".join(lines)


def coverage(rows: list[Row]) -> str:
    """Return how many architectures each engine trains, and which it does not."""

    def trained(key: str) -> str:
        failing = [row["name"] for row in rows if not row[key]]
        names = f"; not {', '.join(failing)}" if failing else ""
        return f"{len(rows) - len(failing)} of {len(rows)}{names}"

    errors = [row["relative_error"] for row in rows if row["trains"]]
    return "\n".join(
        [
            "| engine | trains, exactly | largest relative error |",
            "|---|---|---|",
            f"| Plinth | {trained('trains')} | {max(errors):.1e} |",
            f"| opacus | {trained('opacus_trains')} | |",
        ]
    )


def audit(rows: list[Row]) -> str:
    """Return the lower bounds of the audit for correct runs and for faulty ones."""
    correct = [row for row in rows if row["planted_bug"] is None]
    bounds = [row["lower_bound"] for row in correct]
    passed = sum(not row["fails"] for row in correct)
    lines = [
        "| run | claimed ε | lower bound of the audit | verdict |",
        "|---|---|---|---|",
        f"| {len(correct)} correct runs | {correct[0]['claim']:.2f} | {min(bounds):.2f}–{max(bounds):.2f} "
        f"| {passed} of {len(correct)} pass |",
    ]
    for row in rows:
        if row["planted_bug"]:
            verdict = "run refused" if row["fails"] else "not detected"
            lines.append(
                f"| {row['planted_bug']} | {row['claim']:.2f} | {row['lower_bound']:.2f} | {verdict} |"
            )
    return "\n".join(lines)


def utility(rows: list[Row]) -> str:
    """Return the utility cost of a privacy budget: each seed, the mean, and the mean difference."""
    lines = ["| data, metric | ε | each seed | mean | cost |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        for epsilon in dict.fromkeys(row["epsilon"] for row in rows if row["name"] == name):
            same = [row for row in rows if (row["name"], row["epsilon"]) == (name, epsilon)]
            values = [row["value"] for row in same]
            differences = [row["difference"] for row in same if row["difference"] is not None]
            cost = "" if epsilon is None or not differences else f"{-sum(differences) / len(differences):.3f}"
            each = ", ".join(f"{value:.3f}" for value in values)
            budget = "none" if epsilon is None else f"{epsilon:g}"
            mean = sum(values) / len(values)
            metric = metric_name(same[0]["metric"])
            lines.append(f"| {name}, {metric} | {budget} | {each} | {mean:.3f} | {cost} |")
    return "\n".join(lines)


def bias(rows: list[Row]) -> str:
    """Return in how many seeds the audit detects a planted bias, and in how many it reports one without."""
    lines = ["| domain | planted against | detected | false alarms |", "|---|---|---|---|"]
    for row in rows:
        detected = f"{row['found']} of {row['seeds']} | {row['alarms']} of {row['seeds']}"
        lines.append(f"| {row['domain']} | {row['attribute']}: {row['against']} | {detected} |")
    return "\n".join(lines)


def mitigation(rows: list[Row]) -> str:
    """Return the disparity before and after each mitigation, and its utility cost."""
    lines = [
        "| data, groups | `fairness=` | disparity before | disparity after | AUROC | balanced accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        costs = [f"{row[key]['value']:+.3f}" for key in ("utility_cost", "balanced_accuracy")]
        disparities = [with_interval(row[key]) for key in ("disparity_before", "disparity_after")]
        lines.append(
            f"| {row['set']}, {row['attribute']} | {row['option']} | {' | '.join([*disparities, *costs])} |"
        )
    return "\n".join(lines)


def faithfulness(rows: list[Row]) -> str:
    """Return how much more the ranked features change a prediction than features in random order."""
    lines = [
        "| data | explained | deletion / random | insertion / random | above random | permuted weights |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        faith = row["faithfulness"]
        ratios = [with_interval(faith[way]["ratio_to_random"]) for way in ("deletion", "insertion")]
        above = "yes" if faith["above_random"] else "no"
        sanity = with_interval(row["sanity"]) if row["sanity"]["value"] is not None else ""
        kind = "patches" if row["feature_kind"] == "patch" else f"{row['feature_kind']}s"
        lines.append(
            f"| {row['name']} | {row['rows']} rows, {kind} | {' | '.join([*ratios, above, sanity])} |"
        )
    return "\n".join(lines)


def conformal(rows: list[Row]) -> str:
    """Return coverage of the prediction sets, and in how many runs and groups the guarantee of 90 % holds."""
    lines = [
        "| data | coverage (mean) | guarantee holds | groups in which it holds |",
        "|---|---|---|---|",
    ]
    for row in rows:
        runs = row["runs"]
        mean = sum(run["coverage"]["value"] for run in runs) / len(runs)
        none_made = any(run["too_few_units"] is not None for run in runs)
        holding = sum(bool(run["guarantee"]["holds"]) for run in runs)
        holds = "none: too few units" if none_made else f"{holding} of {len(runs)}"
        groups = [group for run in runs for group in run["groups"]]
        kept = sum(bool(group["holds"]) for group in groups)
        name = row["name"].replace("_evaluation.studies=false", "").replace("_data.", ", ")
        in_groups = f"{kept} of {len(groups)}" if groups else "–"
        lines.append(f"| {name} | {mean:.3f} | {holds} | {in_groups} |")
    return "\n".join(lines)


def meters(rows: list[Row]) -> str:
    """Return the joules of Plinth's meter and of CodeCarbon for the same work."""
    lines = [
        "| work | CPU time | Plinth | CodeCarbon, process | CodeCarbon, machine |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        joules = [f"{row[m]['total']:.0f} J" for m in ("ours", "codecarbon process", "codecarbon machine")]
        lines.append(f"| {row['name']} | {row['processor_seconds']:.1f} s | {' | '.join(joules)} |")
    return "\n".join(lines)


def metered(rows: list[Row]) -> str:
    """Return the overhead of the energy meter."""
    lines = ["| training | CPU time with / without the meter |", "|---|---|"]
    for row in rows:
        ratio = {
            "value": row["processor_with_over_without"],
            "low": row["processor_low"],
            "high": row["processor_high"],
        }
        lines.append(f"| {row['name']} | {with_interval(ratio)} |")
    return "\n".join(lines)


def assessment(rows: list[Row]) -> str:
    """Return the time of fairness, explanation and oversight beside that of training."""
    lines = [
        "| default run | training | fairness | explanation | oversight | of training |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = [f"{row[name]:.2f} s" for name in ("train", "fairness", "explanation", "oversight")]
        lines.append(f"| {row['domain']}, {row['task']} | {' | '.join(times)} | {row['fraction']:.0%} |")
    return "\n".join(lines)


def transfer(rows: list[Row]) -> str:
    """Return the gain of pretrained weights over random initialization, and of the linear probe."""
    lines = [
        "| data, metric | training rows | pretrained, LP-FT | random init., LP-FT | random init. "
        "| gain over the better random init. | pretrained, linear probe | pretrained on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        arms = [
            with_interval(row[arm]) if arm in row else "" for arm in ("lp_ft", "random_lp_ft", "random_init")
        ]
        gain = row["gain"]
        paired = f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
        name = f"{row['domain']}: {row['set']}, {metric_name(row['metric'])}"
        size = f"{row['rows']:,} ({row['train_fraction']:.0%})"
        overlap = "its training set" if row["pretrained_on"] else "none of it"
        probe = with_interval(row["linear_probe"]) if "linear_probe" in row else ""
        if probe and (runs := len(row["each"]["linear_probe"])) != row["seeds"]:
            probe += f", {runs} seeds"
        lines.append(f"| {name} | {' | '.join([size, *arms, paired, probe, overlap])} |")
    return "\n".join(lines)


NETWORKS = {
    "random_patches": "random patches, linear",
    "scattering": "scattering, linear",
    "linear_probe": "linear probe of a CNN of traffic signs",
    "small": "small CNN",
    "wide": "wide CNN",
}
"""``--size`` of dp_cifar10.py -> its name in the table."""


def dp_cifar10(rows: list[Row]) -> str:
    """Return CIFAR-10 under differential privacy beside the literature."""
    lines = [
        "| ε (spent, δ = 1e-5) | network | accuracy | training | from scratch in the literature |",
        "|---|---|---|---|---|",
    ]
    order = list(NETWORKS)
    for row in sorted(rows, key=lambda row: (order.index(row["network"]), row["epsilon"])):
        spent = f"{row['epsilon']:g} ({row['spent']:.3f})"
        seconds = sum(row["train_seconds"]) / len(row["train_seconds"])
        runs = f"{row['seeds']} run{'s' * (row['seeds'] > 1)}"
        lines.append(
            f"| {spent} | {NETWORKS[row['network']]} | {with_interval(row['accuracy'])} | {seconds:.0f} s, {runs} "
            f"| {row['anchor'] or ''} |"
        )
    return "\n".join(lines)


def cifar10(record: Row) -> str:
    """Return the course of a training on CIFAR-10, evaluated by epoch."""
    lines = ["| step | epoch | seconds of training | test loss | test accuracy |", "|---|---|---|---|---|"]
    steps_per_epoch = record["data"]["objects"]["trained_on"] / record["settings"]["batch_size"]
    lines += [
        f"| {point['step']:,} | {point['step'] / steps_per_epoch:.1f} | {found['seconds']:.0f} "
        f"| {found['test_loss']:.3f} | {found['test_accuracy']:.3f} |"
        for point in record["history"]
        if (found := point["validation"]) is not None
    ]
    return "\n".join(lines)


DOMAINS = ("healthcare", "finance", "education", "driving", "smarthome")
LAYOUTS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(DOMAINS, domain),
    "dp_step": step,
    "dp_coverage": coverage,
    "dp_audit": audit,
    "dp_utility": utility,
    "dp_cifar10": dp_cifar10,
    "fairness_bias": bias,
    "fairness_mitigation": mitigation,
    "explanation": faithfulness,
    "conformal_real": conformal,
    "energy_codecarbon": meters,
    "energy_overhead": metered,
    "assessment_overhead": assessment,
    "transfer": transfer,
    "cifar10": cifar10,
}
"""Name of a table, and of its file in results/, -> its layout."""
README_ROWS = {
    "healthcare": "ham10000, seven skin lesions",
    "finance": "fdh, one week, the handbook's protocol",
    "education": "Beetle, unseen answers, 3-way",
    "driving": "gtsrb, 43 traffic signs",
    "smarthome": "SNIPS, seven intents",
}
"""Domain -> the row of its first metric in README.md."""


def results(name: str) -> Any:
    """Return the content of a file of results, None where it is missing."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def readme_table() -> str:
    """Return one metric a field, for README.md."""
    lines = ["| data, task | metric | Plinth | baseline |", "|---|---|---|---|"]
    for name, chosen in README_ROWS.items():
        row = next(row for row in results(name) if row["name"] == chosen)
        metric, estimate = next(iter(row["metrics"].items()))
        other = row["baseline_metrics"].get(metric)
        beside = f"{with_interval(other)} {row['baseline']}" if other else "—"
        lines.append(f"| {name}: {chosen} | {metric_name(metric)} | {with_interval(estimate)} | {beside} |")
    return "\n".join(lines)


def filled(text: str, tables: dict[str, str], page: str) -> str:
    """Return a page with what stands between the markers of each table replaced."""
    for name, table in tables.items():
        pattern = rf"(<!-- table:{name} -->\n).*?(<!-- end:{name} -->)"
        text, count = re.subn(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            sys.exit(f"{page} has no place for the table {name}")
    return text


def main() -> None:
    """Write docs/results.md and README.md; with --check, exit 1 if a table of theirs is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a table is out of date"
    )
    check = parser.parse_args().check
    for name in DOMAINS:
        importlib.import_module(name)  # registers the names of its metrics
    tables = {name: layout(found) for name, layout in LAYOUTS.items() if (found := results(name)) is not None}
    pages = {RESULTS: tables, README: {"readme": readme_table()}}
    for path, own in pages.items():
        text = path.read_text()
        new = filled(text, own, path.name)
        if check and new != text:
            sys.exit(f"{path.name}: its tables differ from benchmarks/results; run benchmarks/table.py")
        if not check:
            path.write_text(new)


if __name__ == "__main__":
    main()
