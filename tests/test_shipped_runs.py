"""Runs of the domains that start from the pretrained weights of core."""

from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import pytest

import core
from core.backbones import pretrained
from core.privacy.section import DPSection
from core.report.run import Run
from core.report.sentences import privacy as sentences

SMALL = (
    "data.rows=240",
    "training.steps=4",
    "training.batch_size=16",
    "training.progress=none",
    "evaluation.studies=false",
    "evaluation.resamples=20",
    "evaluation.resamples_slow=20",
    "explanation=none",
    "baseline=none",
    "threads=1",
)
TEXT = ("backbone=text_small", "encoder.text.tokenizer=text_small", "encoder.text.max_length=32")
STARTS = {
    "driving": ("task=signs", "backbone=cnn_small"),
    "healthcare": ("task=notes", *TEXT),
    "education": ("task=answers", *TEXT, "encoder.text.text_pair=true"),
    "smarthome": ("task=commands", *TEXT, "encoder.text.tokens=true"),
}


TASKS = {"driving": "Signs", "healthcare": "Notes", "education": "Answers", "smarthome": "Commands"}


def started(domain: str, folder: Path, *overrides: str) -> Run:
    train = importlib.import_module(domain).train
    run = train(*STARTS[domain], *SMALL, *overrides, folder=folder)
    assert isinstance(run, Run)
    return run


@pytest.mark.parametrize("domain", STARTS)
def test_a_run_from_pretrained_weights_is_served_without_them(
    domain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(domain, tmp_path / "run")
    assert run.record.model.backbone in ("cnn_small", "text_small")
    assert not [f for f in run.record.data.findings if f.check == "pretraining"], "made-up data are new"
    task = getattr(importlib.import_module(f"{domain}.{TASKS[domain].lower()}"), TASKS[domain])
    rows = task().simulate(240, 0).frame.iloc[:20]
    before = core.load(run.path).predict(rows)
    (tmp_path / "nothing").mkdir()
    monkeypatch.setattr(pretrained, "weights_directory", lambda: tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"backbone\.weights='pretrained'"):
        pretrained.read_card("cnn_small")
    assert len(before) == 20
    pd.testing.assert_frame_equal(core.load(run.path).predict(rows), before)


def test_privacy_names_the_start_and_what_was_not_fitted(tmp_path: Path) -> None:
    run = started(
        "healthcare", tmp_path / "run", "privacy=dp", "privacy.batch_size=16", "encoder.text.tfidf_features=0"
    )
    section = run.record.privacy
    assert isinstance(section, DPSection)
    assert section.initial_weights == "the pretrained weights of text_small that are part of core"
    conditions = sentences.conditions(section)
    assert section.initial_weights in conditions["Pretraining"]
    assert "vocabulary" not in conditions["Fitted without noise"]
    assert "length of the longest text" in conditions["Fitted without noise"]
    assert section.preflight.sum_error < 1e-4
