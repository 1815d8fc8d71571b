"""Every file of conf/ composes with every domain, every experiment of a domain composes, --help needs no torch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from domains import DOMAINS, ROOT, tasks

from core.config import OPTIONS, to_dict

SPANNING = sorted(
    (path.parent.name, path.stem)
    for path in (ROOT / "conf").glob("*/*.yaml")
    if path.parent.name != "regression"
)


def composed(domain: str, *overrides: str) -> Any:
    return importlib.import_module(domain).train.configure(
        f"hydra.searchpath=[file://{ROOT / 'conf'}]", *overrides
    )


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(("group", "option"), SPANNING)
def test_conf_composes(domain: str, group: str, option: str) -> None:
    override = f"+{group}={option}" if group == "site" else f"{group}={option}"
    config = composed(domain, override)
    expected = {"site": "device", "privacy": "privacy", "experiment": "training"}[group]
    assert hasattr(config, expected)
    if group == "privacy":
        assert config.privacy.epsilon == {"strict": 1.0, "usual": 3.0}[option]
    if group == "experiment":
        assert config.training.epochs == 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_experiment_wins_over_task_and_command_line_over_both(domain: str) -> None:
    for task in tasks(domain):
        config = composed(domain, f"task={task}", "experiment=smoke", "training.epochs=7")
        assert config.task.name == task
        assert config.data.rows == 300
        assert config.training.epochs == 7


@pytest.mark.parametrize("domain", DOMAINS)
def test_own_experiments_compose(domain: str) -> None:
    names = sorted(p.stem for p in (ROOT / f"packages/{domain}/src/{domain}/conf/experiment").glob("*.yaml"))
    assert names, f"{domain} ships no experiment"
    for name in names:
        assert composed(domain, f"experiment={name}").task.name in tasks(domain)
        bare = composed(domain, f"experiment={name}", "baseline=none", "fairness=none", "explanation=none")
        assert bare.task.name in tasks(domain), f"{name} can't do without its judges"


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "serve", "card", "compare"])
def test_help_imports_nothing_heavy(domain: str, verb: str) -> None:
    heavy = ("torch", "pandas", "sklearn", "transformers", "timm", "matplotlib")
    code = (
        f"import sys; sys.argv = ['x', '--help']; from {domain}.{verb} import main\n"
        "try: main()\nexcept SystemExit as e: assert e.code == 0, e.code\n"
        f"print('HEAVY', [m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []"), done.stdout[-200:]
    assert f"python -m {domain}.{verb}" in done.stdout


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_task_takes_every_backbone_and_adapter(domain: str) -> None:
    networks = sorted(name for group, name in OPTIONS if group == "backbone")
    adapters = sorted(name for group, name in OPTIONS if group == "adapter")
    assert "vision" in networks
    for task in tasks(domain):
        for network in networks:  # a task may not set a key that only its own network has
            assert composed(domain, f"task={task}", f"backbone={network}").task.name == task
        for adapter in adapters:
            assert composed(domain, f"task={task}", f"adapter={adapter}").task.name == task


def test_domains_in_one_process_keep_tasks_of_the_same_name_apart() -> None:
    for _ in range(2):
        for domain in ("driving", "smarthome"):
            config = importlib.import_module(domain).train.configure("task=scene")
            assert type(config.task).__module__ == f"{domain}.scene"
            assert to_dict(config)["task"]["option"] == "scene"


def test_a_sweep_forecasts_all_its_runs(tmp_path: Path) -> None:
    small = ["data.rows=400", "training.epochs=12", "baseline=none", "evaluation.resamples=50"]
    done = subprocess.run(
        [sys.executable, "-m", "healthcare.train", "-m", "seed=0,1", *small, f"hydra.sweep.dir={tmp_path}"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if "will take about" in line]
    assert ["run 1 of 2" in line for line in lines] == [False, True, False]
    assert (tmp_path / "0" / "record.json").exists()
    assert (tmp_path / "1" / "record.json").exists()
