"""A task's own studies: what they may see, and where their findings land."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import healthcare
from core.evaluation.study import EvaluationContext, Gate, Study, StudyResult
from core.report.console import print_run
from core.serving.load import load
from healthcare.records import Records

SMALL = ("data.rows=300", "training.epochs=1", "evaluation.resamples=50", "baseline=none")


@dataclass
class Seen:
    held: EvaluationContext | None = None


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    kept = Seen()

    def study(held: EvaluationContext) -> StudyResult:
        kept.held = held
        return StudyResult(
            "Rows were looked at.",
            {"rows": {"value": float(len(held.frames["test"])), "low": None, "high": None}},
            {"By part": [{"part": name, "rows": len(frame)} for name, frame in held.frames.items()]},
            [Gate("enough rows", 3.0, ">= 2", True, "rows"), Gate("many rows", 3.0, ">= 9", False, "rows")],
            ["A note."],
            {"rows.csv": pd.DataFrame({"row": [1, 2]})},
        )

    def studies(self: Records, kind: str) -> dict[str, Study]:
        assert kind == "binary"
        return {"rows_seen": study}

    monkeypatch.setattr(Records, "studies", studies)
    return kept


def test_findings_reach_record_page_console_and_folder(
    seen: Seen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = healthcare.train(*SMALL, folder=tmp_path / "run")
    section = json.loads((tmp_path / "run/record.json").read_text())["studies"]["rows_seen"]
    assert section["gates"][1]["passed"] is False
    assert section["files"] == ["studies/rows.csv"]
    assert (tmp_path / "run/studies/rows.csv").read_text() == "row\n1\n2\n"
    page = (tmp_path / "run/report.html").read_text()
    for text in ("Rows were looked at.", "By part", "enough rows", "A note.", "studies/rows.csv"):
        assert text in page, text
    assert capsys.readouterr().out == "", "printing is the command's"
    print_run(run)
    assert "1 of 2 gates passed" in capsys.readouterr().out
    assert run.record.studies["rows_seen"].summary == "Rows were looked at."


def test_the_scorer_is_what_serving_gives(seen: Seen, tmp_path: Path) -> None:
    healthcare.train(*SMALL, folder=tmp_path / "run")
    held = seen.held
    assert held is not None
    test = held.parts["test"]
    loaded = load(tmp_path / "run")
    for scorer in (held.scorer, loaded.scorer()):
        found = scorer.scores(held.frames["test"])
        np.testing.assert_allclose(found, test.scores, atol=1e-6)
        np.testing.assert_array_equal(scorer.labels(found), test.labels)
        inputs = scorer.encode(held.frames["test"])
        np.testing.assert_allclose(scorer.scores(inputs), test.scores, atol=1e-5)
        assert scorer.features(inputs).shape == (len(test), loaded.model.backbone.num_features)
    assert set(held.frames) == {"train", "validation", "test"}


def test_private_runs_show_studies_no_training_rows(seen: Seen, tmp_path: Path) -> None:
    healthcare.train(*SMALL, "privacy=dp", folder=tmp_path / "run")
    assert seen.held is not None
    assert set(seen.held.frames) == {"validation", "test"}


def test_studies_can_be_left_out(seen: Seen, tmp_path: Path) -> None:
    run = healthcare.train(*SMALL, "evaluation.studies=false", folder=tmp_path / "run")
    assert seen.held is None
    assert run.record.studies == {}
