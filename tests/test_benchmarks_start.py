"""The benchmarks: every script starts, every command that they run or have published composes, tables are current."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from domains import ROOT

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "repeated_runs")
RESULTS = sorted(path.stem for path in (FOLDER / "results").glob("*.json"))
Command = tuple[str, tuple[str, ...]]
"""Domain and overrides."""


@pytest.fixture(autouse=True)
def imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the scripts import each other, as they do when started from their folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in [*SCRIPTS, "repeated_runs"]:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("script", SCRIPTS)
def test_starts(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if script in ("dp_step", "dp_coverage", "pretrain_gpu"):
        pytest.importorskip("opacus")
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(FOLDER / f"{script}.py"), run_name="__main__")
    assert not stopped.value.code
    assert "usage:" in capsys.readouterr().out


def compose(domain: str, overrides: tuple[str, ...]) -> Any:
    return importlib.import_module(domain).train.configure(*overrides)


def repeated(script: ModuleType, domain: str) -> list[Command]:
    return [
        (domain, (f"experiment={row.experiment}", *row.overrides, *row.repeats[-1])) for row in script.ROWS
    ]


def transfer(script: ModuleType) -> list[Command]:
    return [
        (case.domain, script.run_overrides(case, arm, fraction))
        for case in script.CASES.values()
        for arm in script.ARMS
        for fraction in (0.1,)
    ]


def fairness_mitigation(script: ModuleType) -> list[Command]:
    return [
        (
            case.domain,
            (
                f"experiment={case.experiment}",
                *script.BARE,
                f"fairness={option}",
                f"fairness.attribute={case.attribute}",
            ),
        )
        for case in script.CASES.values()
        for option in script.MITIGATIONS
    ]


def fairness_bias(script: ModuleType) -> list[Command]:
    return [
        (domain, (*task, "task.simulated_bias=0.0", *script.BARE)) for domain, task in script.DOMAINS.items()
    ]


def explanation_real(script: ModuleType) -> list[Command]:
    return [(one.domain, (*one.overrides, *script.SMALL, *script.FULL)) for one in script.DATA_SETS]


def dp_utility(script: ModuleType) -> list[Command]:
    plain = [("healthcare", (*case.non_private, *script.BARE)) for case in script.CASES]
    return plain + [
        ("healthcare", (*case.private, "privacy.epsilon=1", *script.BARE)) for case in script.CASES
    ]


def dp_cifar10(script: ModuleType) -> list[Command]:
    data = ("data.path=cifar10_rows.parquet", "privacy.epsilon=1", "training.train_fraction=0.1")
    return [("driving", (*script.COMMON, *size, *data)) for size in script.SIZES.values()]


def assessment_overhead(script: ModuleType) -> list[Command]:
    return [(domain, ("threads=1", "training.progress=none")) for domain in script.DOMAINS]


LISTS = (
    transfer,
    fairness_mitigation,
    fairness_bias,
    explanation_real,
    dp_utility,
    dp_cifar10,
    assessment_overhead,
)


@pytest.mark.parametrize("domain", ["healthcare", "finance", "education", "driving", "smarthome"])
def test_the_rows_of_a_domain_compose(domain: str) -> None:
    for command in repeated(importlib.import_module(f"real_{domain}"), domain):
        compose(*command)


@pytest.mark.parametrize("commands", LISTS, ids=[each.__name__ for each in LISTS])
def test_the_commands_of_a_script_compose(commands: Any) -> None:
    found = commands(importlib.import_module(commands.__name__))
    assert found
    for command in found:
        compose(*command)


def published(content: Any) -> Iterator[str]:
    """Yield every command of a file of results."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "command":
                yield value
            elif key == "commands":
                yield from value.values()
            else:
                yield from published(value)
    elif isinstance(content, list):
        for value in content:
            yield from published(value)


@pytest.mark.parametrize("name", RESULTS)
def test_published_commands_compose(name: str) -> None:
    for command in dict.fromkeys(published(json.loads((FOLDER / "results" / f"{name}.json").read_text()))):
        program, *overrides = command.removeprefix("python -m ").split(" ")
        domain, verb = program.split(".", 1)
        if verb == "train":
            compose(domain, tuple(overrides))


def test_tables_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["table.py", "--check"])
    runpy.run_path(str(FOLDER / "table.py"), run_name="__main__")
