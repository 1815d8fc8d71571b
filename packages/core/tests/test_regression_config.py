"""What a domain's ``gate.yaml`` may say, and what is said of one that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.domain import Domain
from core.regression import config
from core.regression.config import chosen_domains, chosen_gates, common_margins, read_gate

GOOD = """
tasks:
  records:
    seeds: [0, 1]
    bars: {metrics.auroc.value: 0.78}
    margins: {auroc: 0.03}
  heart:
    needs: healthcare/uci_heart
    overrides: [experiment=heart]
margins: {brier: 0.5}
"""


@pytest.fixture
def domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Domain:
    """Give a domain package of its own, with a gate."""
    (tmp_path / "toy_domain/regression").mkdir(parents=True)
    (tmp_path / "toy_domain/__init__.py").touch()
    monkeypatch.delitem(sys.modules, "toy_domain", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    made = Domain("toy_domain", "toys", ())
    written(made, tmp_path, GOOD)
    monkeypatch.setattr(config, "installed_domains", lambda: {"toy_domain": made})
    return made


def written(domain: Domain, folder: Path, text: str) -> None:
    (folder / domain.name / "regression/gate.yaml").write_text(text)


def test_a_gate_is_read(domain: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = read_gate(domain)
    records, heart = gate.tasks
    assert (records.name, records.seeds, records.overrides) == ("records", (0, 1), ("task=records",))
    assert records.bars == {"metrics.auroc.value": 0.78}
    assert records.margins == {**common_margins(), "brier": 0.5, "auroc": 0.03}
    assert heart.margins == {**common_margins(), "brier": 0.5}
    assert (heart.overrides, heart.seeds) == (("experiment=heart",), (0,))
    assert records.available
    monkeypatch.delenv("PLINTH_DATA", raising=False)
    assert not heart.available
    monkeypatch.setenv("PLINTH_DATA", str(tmp_path))
    assert not heart.available
    (tmp_path / "healthcare/uci_heart").mkdir(parents=True)
    assert heart.available


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the file: names with values are needed"),
        ("tasks: 3", "tasks: names with values are needed"),
        ("margins: {}", "tasks: names with values are needed"),
        (GOOD + "alpha: 0.1", "alpha: no such key; there are tasks and margins"),
        ("tasks: {a: {seed: 0}}", r"tasks\.a\.seed: no such key; there are overrides, seeds"),
        ("tasks: {a: {seeds: 0}}", r"tasks\.a\.seeds: a list of whole numbers"),
        ("tasks: {a: {seeds: []}}", r"tasks\.a\.seeds: a list of whole numbers"),
        ("tasks: {a: {seeds: [true]}}", r"tasks\.a\.seeds: a list of whole numbers"),
        ("tasks: {a: {overrides: task=a}}", r"tasks\.a\.overrides: a list of texts"),
        ("tasks: {a: {bars: {metrics.auroc.value: high}}}", r"tasks\.a\.bars\.metrics\.auroc\.value='high'"),
        ("tasks: {a: {margins: [1]}}", r"tasks\.a\.margins: names with numbers"),
        ("tasks: {a: }\nmargins: {auroc: -0.1}", r"margins\.auroc=-0\.1: 0 or more"),
        ("tasks: {a: }\nmargins: {auroc: .nan}", r"margins\.auroc=nan: 0 or more"),
        ("tasks: {a: [", "not a YAML file"),
        ("tasks: {help: }", r"tasks\.help: a name that is taken"),
    ],
)
def test_a_wrong_gate_is_refused_by_name(domain: Domain, tmp_path: Path, text: str, message: str) -> None:
    written(domain, tmp_path, text)
    with pytest.raises(ValueError, match=rf"gate\.yaml: {message}"):
        read_gate(domain)


def test_a_package_without_a_gate_is_told(domain: Domain, tmp_path: Path) -> None:
    (tmp_path / "toy_domain/regression/gate.yaml").unlink()
    with pytest.raises(ValueError, match=r"gate\.yaml: not there"):
        read_gate(domain)


def test_names_that_are_none_are_refused(domain: Domain) -> None:
    with pytest.raises(ValueError, match="--domain='banking': installed here: toy_domain"):
        chosen_domains(["banking"])
    with pytest.raises(ValueError, match="--task='fraud': there are records, heart and help"):
        chosen_gates([], ["fraud"])
    (gate,) = chosen_gates(["toy_domain"], ["heart"])
    assert [spec.name for spec in gate.tasks] == ["heart"]
    assert gate.defined == ("records", "heart")
    (only_help,) = chosen_gates([], ["help"])
    assert only_help.tasks == ()


def test_without_a_domain_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "entry_points", lambda group: [])
    with pytest.raises(ValueError, match="no domain package is installed here"):
        chosen_domains([])
