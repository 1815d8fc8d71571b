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
    lines = ["| data, task | metric | Plinth | challenger | training |", "|---|---|---|---|---|"]
    for row in rows:
        for n, (metric, figure) in enumerate(row["metrics"].items()):
            name = row["name"] if n == 0 else ""
            other = row["challenger_metrics"].get(metric)
            beside = f"{shown(other)} {row['challenger']}" if other else "—"
            seconds = (
                f"{row['train_seconds']:.0f} s, {row['repeats']} run{'s' * (row['repeats'] > 1)}"
                if n == 0
                else ""
            )
            lines.append(f"| {name} | {metric} | {shown(figure)} | {beside} | {seconds} |")
    return "\n".join(lines)


LAYOUTS = dict.fromkeys(("healthcare", "finance", "education", "driving", "smarthome"), domain)


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
