"""The gate: every domain's embedded default clears the bars of conf/regression, on a real run of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from domains import DOMAINS, ROOT, tasks

BARS: dict[str, dict[str, dict[str, float]]] = {
    domain: yaml.safe_load((ROOT / f"conf/regression/{domain}.yaml").read_text()) for domain in DOMAINS
}


def found(record: dict[str, Any], path: str) -> float:
    value: Any = record
    for step in path.split("."):
        value = value[step]
    return float(value)


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "task"), [(d, t) for d in DOMAINS for t in BARS[d]])
def test_embedded_default_clears_its_bars(domain: str, task: str, tmp_path: Path) -> None:
    asked = [f"task={task}", "threads=1", f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", f"{domain}.train", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imulated" in done.stdout, "a run on simulated data must say so"
    assert done.stdout.strip().splitlines()[-1] == str(tmp_path / "run")
    record = json.loads((tmp_path / "run/record.json").read_text())
    for path, bar in BARS[domain][task].items():
        assert found(record, path) >= bar, f"{domain} {task}: {path}"


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_task_has_a_bar(domain: str) -> None:
    assert sorted(BARS[domain]) == tasks(domain)
    assert all(bars for bars in BARS[domain].values())
