"""The command: ``python -m core.regression [--domain finance] [--renew --reason "..."]``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m core.regression",
        description="Run every installed domain's small tasks and compare them with kept baselines: utility, "
        "calibration, groups, decisions, prediction sets, privacy, compute, serving.",
        epilog="Exit status: 0 all clear, 1 a regression, 2 a mistake in the call. Real data sets are used where "
        "PLINTH_DATA names their folder.",
    )
    made.add_argument("--domain", action="append", default=[], help="only this domain (may be repeated)")
    made.add_argument(
        "--task", action="append", default=[], help="only this task of gate.yaml (may be repeated)"
    )
    made.add_argument(
        "--baseline", type=Path, metavar="DIR", help="baselines in DIR/DOMAIN, not the packages' own"
    )
    made.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write a Markdown summary")
    made.add_argument("--all", action="store_true", help="list what is unchanged, too")
    made.add_argument("--renew", action="store_true", help="keep what is measured as the new baseline")
    made.add_argument("--reason", default="", help="why the baseline is renewed; it is kept in baseline.json")
    made.add_argument(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, 4),
        help="processes, by default one a core (4 at most)",
    )
    made.add_argument("--threads", type=int, default=1, help="threads of each run's training, by default 1")
    return made


def work(given: argparse.Namespace) -> int:
    """Carry out the call and return 0 or 1; raises ValueError for what the user can mend."""
    from core.regression.config import chosen_gates

    if given.renew and not given.reason.strip():
        raise ValueError(
            "--renew: say why with --reason '...'; whoever reviews the new baseline reads it there"
        )
    if given.reason and not given.renew:
        raise ValueError("--reason: it is the reason of a --renew")
    for name in ("workers", "threads"):
        if getattr(given, name) < 1:
            raise ValueError(f"--{name}={getattr(given, name)}: a whole number of at least 1")
    gates = chosen_gates(given.domain, given.task)
    from core.regression.gate import renew, run_gate, stale
    from core.regression.output import junit, markdown, table

    options = {
        "baselines": given.baseline,
        "help_too": not given.task or "help" in given.task,
        "workers": given.workers,
        "threads": given.threads,
        "say": lambda line: print(line, flush=True),
    }
    if given.renew:
        result = renew(gates, given.reason.strip(), **options)
    else:
        result = run_gate(gates, **options)
    print()
    for line in result.left_out:
        print(f"left out: {line}")
    for gate in gates:
        for task in stale(gate, given.baseline):
            print(
                f"the baseline of {gate.domain.name} has {task}, which gate.yaml has not: --renew removes it"
            )
    print(table(result.comparisons, everything=given.all))
    print(f"{result.seconds:.0f} s")
    if given.junit:
        given.junit.parent.mkdir(parents=True, exist_ok=True)
        given.junit.write_text(junit(result.comparisons, result.seconds), encoding="utf-8")
    if given.markdown:
        given.markdown.parent.mkdir(parents=True, exist_ok=True)
        given.markdown.write_text(markdown(result.comparisons, result.left_out), encoding="utf-8")
    return 1 if result.failed else 0


def main(arguments: list[str] | None = None) -> None:
    """Run as a command: one message and exit status 2 for a user's mistake."""
    given = parser().parse_args(arguments)
    from core.cli.errors import run_cli

    found: list[int] = []
    status = run_cli(lambda: found.append(work(given)))
    sys.exit(status or found[0])


if __name__ == "__main__":
    main()
