"""Fill the tables of README.md from results/*.json: python benchmarks/table.py [--check]."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"


def shown(figure: dict[str, float | None] | None) -> str:
    """Write a figure with its interval."""
    if figure is None:
        return ""
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def domain(rows: list[dict[str, Any]]) -> str:
    """Lay out a domain's rows: one line a metric."""
    lines = ["| data, task | metric | Plinth | baseline | training |", "|---|---|---|---|---|"]
    for row in rows:
        for n, (metric, figure) in enumerate(row["metrics"].items()):
            name = row["name"] if n == 0 else ""
            other = row["baseline_metrics"].get(metric)
            beside = f"{shown(other)} {row['baseline']}" if other else "—"
            seconds = (
                f"{row['train_seconds']:.0f} s, {row['repeats']} run{'s' * (row['repeats'] > 1)}"
                if n == 0
                else ""
            )
            lines.append(f"| {name} | {metric} | {shown(figure)} | {beside} | {seconds} |")
    return "\n".join(lines)


def step(rows: list[dict[str, Any]]) -> str:
    """Lay out the time and memory of private steps."""
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
        figures = f"{row['ours_over_plain']:.2f} | {beside} | {row['memory_over_plain']:.2f}"
        lines.append(f"| {row['name']} | {figures} |")
    return "\n".join(lines)


def coverage(rows: list[dict[str, Any]]) -> str:
    """Count the architectures that each engine trains, and name those that fail."""

    def told(key: str) -> str:
        failing = [row["name"] for row in rows if not row[key]]
        names = f"; not {', '.join(failing)}" if failing else ""
        return f"{len(rows) - len(failing)} of {len(rows)}{names}"

    errors = [row["relative_error"] for row in rows if row["trains"]]
    return "\n".join(
        [
            "| engine | trains, exactly | largest relative error |",
            "|---|---|---|",
            f"| Plinth | {told('trains')} | {max(errors):.1e} |",
            f"| opacus | {told('opacus_trains')} | |",
        ]
    )


def audit(rows: list[dict[str, Any]]) -> str:
    """Lay out what the audit proves of honest runs and of faulty ones."""
    honest = [row for row in rows if row["planted_bug"] is None]
    bounds = [row["lower_bound"] for row in honest]
    passed = sum(not row["fails"] for row in honest)
    lines = [
        "| run | promised ε | proved lower bound | verdict |",
        "|---|---|---|---|",
        f"| {len(honest)} honest runs | {honest[0]['claim']:.2f} | {min(bounds):.2f}–{max(bounds):.2f} "
        f"| {passed} of {len(honest)} pass |",
    ]
    for row in rows:
        if row["planted_bug"]:
            verdict = "run refused" if row["fails"] else "not seen"
            lines.append(
                f"| {row['planted_bug']} | {row['claim']:.2f} | {row['lower_bound']:.2f} | {verdict} |"
            )
    return "\n".join(lines)


def utility(rows: list[dict[str, Any]]) -> str:
    """Lay out what a privacy budget costs: each seed, the mean, and how much less than without on average."""
    lines = ["| data, figure | ε | each seed | mean | less than without |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        for epsilon in dict.fromkeys(row["epsilon"] for row in rows if row["name"] == name):
            same = [row for row in rows if (row["name"], row["epsilon"]) == (name, epsilon)]
            values = [row["value"] for row in same]
            apart = [row["difference"] for row in same if row["difference"] is not None]
            less = "" if epsilon is None or not apart else f"{-sum(apart) / len(apart):.3f}"
            each = ", ".join(f"{value:.3f}" for value in values)
            budget = "none" if epsilon is None else f"{epsilon:g}"
            mean = sum(values) / len(values)
            lines.append(f"| {name}, {same[0]['metric']} | {budget} | {each} | {mean:.3f} | {less} |")
    return "\n".join(lines)


def bias(rows: list[dict[str, Any]]) -> str:
    """Count the seeds in which the audit finds what was planted, and those in which it alarms without."""
    lines = ["| domain | planted against | found | alarms without |", "|---|---|---|---|"]
    for row in rows:
        found = f"{row['found']} of {row['seeds']} | {row['alarms']} of {row['seeds']}"
        lines.append(f"| {row['domain']} | {row['attribute']}: {row['against']} | {found} |")
    return "\n".join(lines)


def mitigation(rows: list[dict[str, Any]]) -> str:
    """Lay out the gap before and after each option, and what it cost."""
    lines = [
        "| data, groups | `fairness=` | gap before | gap after | AUROC | balanced accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        price = [f"{row[key]['value']:+.3f}" for key in ("price", "balanced_accuracy")]
        gaps = [shown(row[key]) for key in ("gap_before", "gap_after")]
        lines.append(
            f"| {row['set']}, {row['attribute']} | {row['option']} | {' | '.join([*gaps, *price])} |"
        )
    return "\n".join(lines)


def faithfulness(rows: list[dict[str, Any]]) -> str:
    """Lay out how much more the named parts move an answer than parts at random."""
    lines = [
        "| data | explained | deletion over random | insertion over random | above random | permuted weights |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        faith = row["faithfulness"]
        times = [shown(faith[way]["times"]) for way in ("deletion", "insertion")]
        above = "yes" if faith["above_random"] else "no"
        sanity = shown(row["sanity"]) if row["sanity"]["value"] is not None else ""
        units = "patches" if row["unit"] == "patch" else f"{row['unit']}s"
        figures = " | ".join([*times, above, sanity])
        lines.append(f"| {row['name']} | {row['rows']} rows, {units} | {figures} |")
    return "\n".join(lines)


def conformal(rows: list[dict[str, Any]]) -> str:
    """Lay out how often sets cover the label, and in how many runs and groups the guarantee of 90 % holds."""
    lines = [
        "| data | coverage (mean) | guarantee holds | groups in which it holds |",
        "|---|---|---|---|",
    ]
    for row in rows:
        runs = row["runs"]
        mean = sum(run["coverage"]["value"] for run in runs) / len(runs)
        too_few = any(run["too_few_units"] is not None for run in runs)
        kept_runs = sum(bool(run["guarantee"]["holds"]) for run in runs)
        holds = "none made: too few units" if too_few else f"{kept_runs} of {len(runs)}"
        groups = [group for run in runs for group in run["groups"]]
        kept = sum(bool(group["holds"]) for group in groups)
        name = row["name"].replace("_evaluation.studies=false", "").replace("_data.", ", ")
        told = f"{kept} of {len(groups)}" if groups else "–"
        lines.append(f"| {name} | {mean:.3f} | {holds} | {told} |")
    return "\n".join(lines)


def meters(rows: list[dict[str, Any]]) -> str:
    """Lay out the joules of Plinth's meter and of CodeCarbon on the same work."""
    lines = [
        "| work | processor time | Plinth | CodeCarbon, process | CodeCarbon, machine |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        joules = [f"{row[m]['total']:.0f} J" for m in ("ours", "codecarbon process", "codecarbon machine")]
        lines.append(f"| {row['name']} | {row['processor_seconds']:.1f} s | {' | '.join(joules)} |")
    return "\n".join(lines)


def metered(rows: list[dict[str, Any]]) -> str:
    """Lay out what the energy meter costs a training."""
    lines = ["| training | with the meter over without, processor time |", "|---|---|"]
    for row in rows:
        found = {
            "value": row["processor_with_over_without"],
            "low": row["processor_low"],
            "high": row["processor_high"],
        }
        lines.append(f"| {row['name']} | {shown(found)} |")
    return "\n".join(lines)


def probes(rows: list[dict[str, Any]]) -> str:
    """Lay out what audit, explanation and oversight cost beside training."""
    lines = [
        "| default run | training | audit | explanation | oversight | share |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        parts = [f"{row[name]:.2f} s" for name in ("train", "audit", "explain", "oversee")]
        lines.append(f"| {row['domain']}, {row['task']} | {' | '.join(parts)} | {row['share']:.0%} |")
    return "\n".join(lines)


def transfer(rows: list[dict[str, Any]]) -> str:
    """Lay out what shipped weights bring over noise and over the head alone."""
    lines = [
        "| data, figure | training rows | shipped, head first | noise, head first | noise | gain over the better noise "
        "| shipped, head alone | pretraining read |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        arms = [
            shown(row[arm]) if arm in row else "" for arm in ("head_first", "noise_head_first", "scratch")
        ]
        gain = row["gain"]
        paired = f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
        name = f"{row['domain']}: {row['set']}, {row['metric']}"
        part = f"{row['rows']:,} ({row['share']:.0%})"
        saw = "its training part" if row["saw"] else "nothing of it"
        probe = shown(row["probe"]) if "probe" in row else ""
        if probe and (runs := len(row["each"]["probe"])) != row["seeds"]:
            probe += f", {runs} seeds"
        lines.append(f"| {name} | {' | '.join([part, *arms, paired, probe, saw])} |")
    return "\n".join(lines)


NETWORKS = {
    "patches": "random patches, linear",
    "scatter": "scattering, linear",
    "head": "CNN of traffic signs, its head alone",
    "small": "small CNN",
    "wide": "wide CNN",
}
"""What ``--size`` of dp_cifar10.py is called."""


def dp_cifar10(rows: list[dict[str, Any]]) -> str:
    """Lay out CIFAR-10 under differential privacy beside what the literature has."""
    lines = [
        "| ε (spent, δ = 1e-5) | network | accuracy | training | from scratch elsewhere |",
        "|---|---|---|---|---|",
    ]
    order = list(NETWORKS)
    for row in sorted(rows, key=lambda row: (order.index(row["network"]), row["epsilon"])):
        spent = f"{row['epsilon']:g} ({row['spent']:.3f})"
        seconds = sum(row["train_seconds"]) / len(row["train_seconds"])
        runs = f"{row['seeds']} run{'s' * (row['seeds'] > 1)}"
        lines.append(
            f"| {spent} | {NETWORKS[row['network']]} | {shown(row['accuracy'])} | {seconds:.0f} s, {runs} "
            f"| {row['anchor'] or ''} |"
        )
    return "\n".join(lines)


def cifar10(record: dict[str, Any]) -> str:
    """Lay out the course of a training on CIFAR-10, judged by epoch."""
    lines = ["| step | epoch | seconds of training | test loss | test accuracy |", "|---|---|---|---|---|"]
    pictures = record["data"]["objects"]["trained_on"] / record["settings"]["batch_size"]
    lines += [
        f"| {look['step']:,} | {look['step'] / pictures:.1f} | {look['seconds']:.0f} | {look['test_loss']:.3f} "
        f"| {look['test_accuracy']:.3f} |"
        for look in record["looks"]
    ]
    return "\n".join(lines)


LAYOUTS = {"dp_step": step, "dp_coverage": coverage, "dp_audit": audit, "dp_utility": utility}
LAYOUTS |= {"fairness_bias": bias, "fairness_mitigation": mitigation, "explanation": faithfulness}
LAYOUTS |= {"conformal_real": conformal, "energy_codecarbon": meters, "energy_overhead": metered}
LAYOUTS |= {"probe_overhead": probes, "transfer": transfer}
LAYOUTS |= {"dp_cifar10": dp_cifar10, "cifar10": cifar10}
LAYOUTS |= dict.fromkeys(("healthcare", "finance", "education", "driving", "smarthome"), domain)


def filled(text: str) -> str:
    """Replace what stands between the markers of each table."""
    for name, layout in LAYOUTS.items():
        path = HERE / "results" / f"{name}.json"
        if not path.exists():
            continue
        table = layout(json.loads(path.read_text()))
        pattern = rf"(<!-- table:{name} -->\n).*?(<!-- end:{name} -->)"
        text, count = re.subn(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            sys.exit(f"README.md has no place for the table {name}")
    return text


def main() -> None:
    """Write README.md, or with --check say whether it is up to date."""
    text = README.read_text()
    made = filled(text)
    if "--check" in sys.argv:
        sys.exit(
            0
            if made == text
            else "README.md: its tables differ from benchmarks/results; run benchmarks/table.py"
        )
    README.write_text(made)


if __name__ == "__main__":
    main()
