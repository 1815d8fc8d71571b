"""The contract that every domain passes: ``check_task(DOMAIN, "records", tmp_path)`` in a domain's own tests."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from core.cli.application import Application
from core.config import build
from core.domain import Domain
from core.oversight.declaration import Oversight
from core.report.run import Run
from core.serving.load import load

SMALL = (
    "training.epochs=1",
    "training.progress=none",
    "evaluation.resamples=50",
    "evaluation.resamples_slow=20",
    "baseline=none",
)
FILES = (
    "record.json",
    "model.safetensors",
    "encoder.json",
    "config.yaml",
    "predictions.parquet",
    "report.html",
)


def application(domain: Domain, verb: str) -> Application:
    """Return a domain's verb as its package offers it."""
    found = getattr(importlib.import_module(domain.name), verb)
    assert isinstance(found, Application), f"{domain.name}.{verb} is not an application"
    return found


def check_simulation(domain: Domain, task: str) -> None:
    """The simulated default is repeatable, says so, plants a bias by its strength, and hides the truth."""
    configure = application(domain, "train").configure
    config = configure(f"task={task}", "data.rows=500")
    first, again = (build(config.data, config.task, 3) for _ in range(2))
    assert first.simulated, f"{task}: simulated data must say so"
    assert first.frame.equals(again.frame), f"{task}: the same seed must give the same rows"
    assert not first.frame.equals(build(config.data, config.task, 4).frame), f"{task}: the seed has no effect"
    bias = first.ground_truth["bias"]
    assert bias["attribute"] in first.roles.sensitive, (
        f"{task}: the planted bias is against no sensitive group"
    )
    assert bias["against"] in set(first.frame[bias["attribute"]]), (
        f"{task}: nobody is in the group {bias['against']}"
    )
    unbiased = configure(f"task={task}", "data.rows=500", "task.simulated_bias=0")
    assert not first.frame.equals(build(config.data, unbiased.task, 3).frame), (
        f"{task}: task.simulated_bias has no effect"
    )
    hidden = {*first.roles.target, first.ground_truth.get("probability"), first.roles.unit}
    assert not hidden & set(first.roles.inputs()), f"{task}: the model would see the truth"


def check_oversight(domain: Domain, task: str) -> None:
    """The task declares its use in full, and what it declares fits the task itself."""
    chosen = application(domain, "train").configure(f"task={task}").task
    declared = chosen.oversight
    assert isinstance(declared, Oversight), (
        f"{task}: oversight must be a core.oversight.declaration.Oversight"
    )
    for name in ("intended_use", "responsible"):
        assert getattr(declared, name).strip(), f"{task}: oversight.{name} is empty"
    for name in ("affected", "forbidden_uses", "human_decides"):
        lines = getattr(declared, name)
        assert isinstance(lines, tuple), f"{task}: oversight.{name} must be a tuple of texts"
        assert lines, f"{task}: oversight.{name} is empty"
        assert all(line.strip() for line in lines), f"{task}: oversight.{name} has an empty line"
    for name in ("confirm", "confirm_words"):
        assert isinstance(getattr(declared, name), tuple), (
            f"{task}: oversight.{name} must be a tuple of texts"
        )
    if declared.accuracy_key is not None:
        wanted = getattr(chosen, declared.accuracy_key, None)
        assert isinstance(wanted, float), f"{task}: oversight.accuracy_key is not a float of the task"
        assert 0 < wanted < 1, f"{task}: {declared.accuracy_key} is no share"


def check_run(domain: Domain, task: str, folder: Path, *overrides: str) -> Run:
    """A short run on the simulated default gives a whole folder, serves what it judged, and is left alone."""
    train = application(domain, "train")
    asked = (f"task={task}", "data.rows=400", *SMALL, *overrides)
    run: Run = train(*asked, folder=folder)
    for name in FILES:
        assert (folder / name).is_file(), f"{task}: {name} is missing"
    record = json.loads((folder / "record.json").read_text())
    assert record["data"]["simulated"] is True
    assert record["run"]["domain"] == domain.name
    assert record["run"]["task"] == task
    assert record["metrics"], f"{task}: no metrics"
    for name, figure in record["metrics"].items():
        assert {"value", "low", "high"} <= set(figure), f"{task}: {name} has no interval"
    why = record["explanation"]
    assert {"deletion", "insertion", "above_random"} <= set(why["faithfulness"]), f"{task}: not explained"
    assert why["importance"] or why["feature_kind"] == "word", f"{task}: nothing is named"
    assert len(why["examples"]) == 3, f"{task}: simulated rows are shown"
    assert "simulated" in (folder / "report.html").read_text().lower(), (
        f"{task}: the page hides that it is simulated"
    )
    assert record["oversight"]["declaration"]["responsible"], f"{task}: nobody is responsible"
    assert record["oversight"]["counts"]["rows"] == record["data"]["rows"]["test"]
    assert record["uncertainty"]["coverage"]["value"] is not None, f"{task}: coverage was not measured"
    _check_serving(domain, task, run, asked)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir() if p.is_file()}
    train(*asked, folder=folder)
    after = {p.name: p.stat().st_mtime_ns for p in folder.iterdir() if p.is_file()}
    assert before == after, f"{task}: a finished run was not left alone"
    return run


def _check_serving(domain: Domain, task: str, run: Run, asked: tuple[str, ...]) -> None:
    config: Any = application(domain, "train").configure(*asked)
    frame = build(config.data, config.task, config.seed).frame
    kept = run.predictions("test")
    raw = frame.iloc[kept.index]
    loaded = load(run.path)
    seen, history, sure = [*loaded.roles.inputs()], None, None
    if loaded.config["encoder"][
        "max_events"
    ]:  # whose row it is and when: what came before is part of the input
        seen += [c for c in (loaded.roles.unit, loaded.roles.time) if c is not None and c not in seen]
        history = frame[seen]
    if loaded.target.dense:
        found = loaded.scorer().decoded(raw[seen])
        served, sure, labels = found.scores, found.sure, found.labels
        assert np.array_equal(labels, kept.labels), f"{task}: serving gives other masks than the run"
    else:
        served = loaded.scores(raw[seen], history=history)
        labels = loaded.labels(served, raw)
    np.testing.assert_allclose(
        served,
        kept.scores,
        rtol=0,
        atol=1e-5,
        err_msg=f"{task}: serving differs from the run's own predictions",
    )
    decided = loaded.decisions(raw, served, labels, sure)
    assert decided is not None, f"{task}: serving has no rules of oversight"
    assert run.record.oversight is not None
    counted, recorded = decided.counts().model_dump(), run.record.oversight.counts.model_dump()
    for key, count in counted.items():  # a score a hair from the threshold may fall on its other side
        assert abs(count - recorded[key]) <= 1, f"{task}: serving defers other rows than the run ({key})"
