"""Every domain's embedded default clears the bars of its gate.yaml, on a real run of the command.

And what else the gate (``python -m core.regression``) has to hold: every task, with its seeds and its baseline.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from domains import DOMAINS, tasks

from core.regression.config import HELP_TASK, GateConfig, installed_domains, read_gate
from core.regression.measure import bars
from core.regression.store import FILE, FOLDER, read_baseline
from core.report.run import Run

MEBIBYTE = 1 << 20


def gate_of(domain: str) -> GateConfig:
    return read_gate(importlib.import_module(domain).DOMAIN)


def test_every_domain_is_found_by_its_entry_point() -> None:
    assert sorted(installed_domains()) == sorted(DOMAINS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_task_has_a_bar(domain: str) -> None:
    gate = gate_of(domain)
    assert set(tasks(domain)) <= set(gate.defined)
    for name in tasks(domain):
        spec = gate.spec(name)
        assert spec.bars, f"{name} has no bar"
        assert not spec.needs, f"{name}: the embedded default needs no data"
        assert f"task={name}" in spec.overrides
        assert spec.seeds[0] == 0


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_gates_a_private_and_a_real_run(domain: str) -> None:
    specs = gate_of(domain).tasks
    assert [s for s in specs if "privacy=dp" in s.overrides and any("noise_seed" in o for o in s.overrides)]
    assert [s for s in specs if s.needs]


def baselines() -> list[str]:
    """Return the domains that ship a baseline: all of them, or none before the first ``--renew``."""
    return [domain for domain in DOMAINS if (gate_of(domain).folder / FILE).is_file()]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_baseline_is_whole(domain: str) -> None:
    if not baselines():
        pytest.skip(
            "no domain has a baseline yet: python -m core.regression --renew --reason 'first baseline'"
        )
    gate = gate_of(domain)
    baseline = read_baseline(gate.folder)
    assert baseline.reason
    assert {name: [run.seed for run in runs] for name, runs in baseline.tasks.items()} == {
        HELP_TASK: [0],
        **{spec.name: sorted(spec.seeds) for spec in gate.tasks},
    }


def test_the_baselines_are_small() -> None:
    files = [path for d in baselines() for path in (gate_of(d).folder / FOLDER).glob("*.parquet")]
    assert sum(path.stat().st_size for path in files) < 2 * MEBIBYTE


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "task"), [(d, t) for d in DOMAINS for t in tasks(d)])
def test_each_default_says_that_it_is_simulated_and_clears_its_bars(
    domain: str, task: str, tmp_path: Path
) -> None:
    asked = [f"task={task}", "threads=1", f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", f"{domain}.train", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imulated" in done.stdout, "a run on simulated data must say so"
    assert done.stdout.strip().splitlines()[-1] == str(tmp_path / "run")
    for check in bars(Run(tmp_path / "run").record, gate_of(domain).spec(task).bars):
        assert check.short_by <= 0, f"{domain} {task}: {check.name} is {check.value:.3f}, below {check.bound}"
