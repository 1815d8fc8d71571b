"""Every file of conf/ composes with every domain, every experiment of a domain composes, --help needs no torch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from domains import DOMAINS, ROOT, tasks

from core.config import OPTIONS, TaskConfig, option_name, register
from core.config.deprecated import RENAMED_KEYS, RENAMED_OPTIONS

SPANNING = sorted((path.parent.name, path.stem) for path in (ROOT / "conf").glob("*/*.yaml"))


VERB_KEYS = ("recipe",)
"""What is not a group of a run: the recipes of pretraining."""


def paths(cls: type, prefix: str = "") -> list[str]:
    """Return the keys of an option, nested ones by their path."""
    found = []
    for part in fields(cls):  # type: ignore[arg-type]
        inner = part.default_factory if isinstance(part.default_factory, type) else None
        if inner is not None and is_dataclass(inner):
            found += paths(inner, f"{prefix}{part.name}.")
        else:
            found.append(prefix + part.name)
    return found


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
        f"import sys; sys.argv = ['x', '--help']; import {domain}\n"
        f"try: {domain}.{verb}.main()\nexcept SystemExit as e: assert e.code == 0, e.code\n"
        f"print('HEAVY', [m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []"), done.stdout[-200:]
    assert f"python -m {domain}.{verb}" in done.stdout


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_task_takes_every_backbone_and_adapter(domain: str) -> None:
    composed(domain)  # registers all options
    networks = sorted(name for group, name in OPTIONS if group == "backbone")
    adapters = sorted(name for group, name in OPTIONS if group == "adapter")
    assert "timm" in networks
    for task in tasks(domain):
        for network in networks:  # a task may not set a key that only its own network has
            assert composed(domain, f"task={task}", f"backbone={network}").task.name == task
        for adapter in adapters:
            assert composed(domain, f"task={task}", f"adapter={adapter}").task.name == task


def test_an_option_has_one_name_whichever_domains_are_imported() -> None:
    owners = {(group, name): cls.__module__ for (group, name), cls in OPTIONS.items()}
    assert owners["task", "scene"] == "smarthome.scene"
    assert owners["task", "segmentation"] == "driving.segmentation"

    class Scene(TaskConfig):
        """Another scene."""

    with pytest.raises(
        ValueError, match=r"task=scene is smarthome\.scene\.Scene already; give .* another name"
    ):
        register("task", "scene")(Scene)
    with pytest.raises(ValueError, match="unknown configuration group 'taks'"):
        register("taks", "scene")
    assert OPTIONS["task", "scene"].__module__ == "smarthome.scene"


def test_values_of_a_task_yield_to_an_experiment_and_the_command_line() -> None:
    assert composed("healthcare", "task=notes").training.epochs == 5
    assert composed("healthcare", "task=notes", "experiment=smoke").training.epochs == 1
    assert composed("healthcare", "task=notes", "backbone=tabular").training.epochs == 5
    assert option_name(composed("driving", "task=signs").optimizer) == "sgd"
    assert option_name(composed("driving", "task=signs", "optimizer=adam").optimizer) == "adam"


def test_a_wrong_value_is_reported_before_a_missing_file(tmp_path: Path) -> None:
    missing = ("data=table", f"data.path={tmp_path / 'none.csv'}", "data.target=y")
    for override, key in {
        "optimizer.lr=-1": r"optimizer\.lr=-1\.0",
        "training.batch_size=0": r"training\.batch_size=0",
        "schedule.warmup=-3": r"schedule\.warmup=-3",
        "data.validation_fraction=1.5": r"data\.validation_fraction=1\.5",
        "backbone.dropout=2": r"backbone\.dropout=2",
        "evaluation.confidence=7": r"evaluation\.confidence=7",
    }.items():
        with pytest.raises(Exception, match=key):
            importlib.import_module("healthcare").train(*missing, override, folder=tmp_path / "run")
        assert not (tmp_path / "run").exists(), "nothing is left of a run that could not begin"


def test_old_names_work_for_one_version_and_name_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match=r"challenger=none is called baseline=none since 0\.2\.0"):
        config = importlib.import_module("healthcare").train.configure("challenger=none")
    assert option_name(config.baseline) == "none"
    with pytest.warns(DeprecationWarning, match=r"task=scene is called task=segmentation"):
        assert importlib.import_module("driving").train.configure("task=scene").task.name == "segmentation"
    with pytest.warns(DeprecationWarning, match=r"optimizer\.rate=0\.5 is called optimizer\.lr=0\.5"):
        assert importlib.import_module("healthcare").train.configure("optimizer.rate=0.5").optimizer.lr == 0.5


def test_every_renamed_key_and_option_exists_under_its_new_name() -> None:
    for domain in DOMAINS:
        tasks(domain)
    keys = {f"{group}.{path}" for (group, _), cls in OPTIONS.items() for path in paths(cls)}
    for old, new in RENAMED_KEYS.items():
        if new:
            assert new in keys or new.split(".")[0] in VERB_KEYS, f"{old} -> {new}, which no option has"
    for (group, old), new in RENAMED_OPTIONS.items():
        assert (group, new) in OPTIONS, f"{group}={old} -> {new}, which is not registered"
        assert (group, old) not in OPTIONS, f"{group}={old} still exists"


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
