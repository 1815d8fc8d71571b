"""education.feedback, as a user calls it; and an own table of answers with reference columns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import core
import education
from core.report.run import Run
from education.simulate.answers import simulate

QUICK = (
    "training.progress=none",
    "threads=1",
    "evaluation.resamples=50",
    "evaluation.resamples_slow=20",
    "baseline=none",
    "training.epochs=3",
    "backbone.hidden_size=32",
    "backbone.num_layers=0",
    "backbone.pooling=mean",
    "encoder.text.tfidf_features=500",
    "optimizer.lr=5e-3",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found: Run = education.train("data.rows=900", *QUICK, folder=tmp_path_factory.mktemp("answers") / "run")
    return found


def test_feedback_names_words_and_what_is_missing(run: Run, tmp_path: Path) -> None:
    question, keys = (
        "Why does the bulb stay dark when the switch is open?",
        ["the circuit has a gap; no current flows"],
    )
    answers = [
        "because the circuit has a gap and no current flows",
        "because the circuit has a gap",
        "circuit gap the a flows has and current no because",
        "Why does the bulb stay dark when the switch is open?",
    ]
    source = tmp_path / "new.jsonl"
    rows = [{"question": question, "references": keys, "answer": a} for a in answers]
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    out = tmp_path / "told.jsonl"
    command = [
        sys.executable,
        "-m",
        "education.feedback",
        f"run={run.path}",
        f"input={source}",
        f"output={out}",
        "words=3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imulated" in done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["answer"] for line in lines] == answers
    whole, half, shuffled, copied = lines
    assert whole["grade"] == "correct"
    assert whole["missing"] == []
    assert not whole["gaming"]["flagged"]
    assert "current" in half["missing"]
    assert shuffled["gaming"]["kind"] == "shuffled"
    assert shuffled["to_human"]
    assert copied["gaming"]["flagged"]
    for line in lines:
        assert len(line["words"]) <= 3
        for word in line["words"]:
            assert line["answer"][word["start"] :].startswith(word["word"])
    served = core.load(run.path).predict(pd.DataFrame(rows))
    assert served["prediction"].tolist() == [line["grade"] for line in lines], (
        "feedback grades as predict does"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [("output=x.csv", "must be .jsonl"), ("input=none.jsonl", "none.jsonl"), ("words=-1", "words=-1")],
)
def test_feedback_says_what_is_wrong(run: Run, tmp_path: Path, given: str, told: str) -> None:
    source = tmp_path / "new.csv"
    source.write_text("question,references,answer\nwhy,key,because\n")
    asked = {"run": str(run.path), "input": str(source), "output": str(tmp_path / "x.jsonl")}
    key, value = given.split("=")
    asked[key] = value if key != "input" else str(tmp_path / value)
    from education import feedback

    with pytest.raises(ValueError, match=told):
        feedback(*(f"{k}={v}" for k, v in asked.items()))


def test_own_table_with_reference_columns(tmp_path: Path) -> None:
    dataset = simulate(500, 1, 0.0)
    frame = dataset.frame[["question", "answer", "grade", "pupil"]].copy()
    frame["key_a"] = dataset.frame["references"].str[0]
    frame["key_b"] = dataset.frame["references"].str[1]
    path = tmp_path / "answers.csv"
    frame.to_csv(path, index=False)
    run = education.train(
        "data=table",
        f"data.path={path}",
        "data.target=grade",
        "data.text=answer",
        "data.references=[key_a,key_b]",
        "data.prompt=question",
        "data.unit=pupil",
        *QUICK,
        folder=tmp_path / "run",
    )
    roles = run.record.data.roles
    assert roles["references"] == ["key_a", "key_b"]
    assert roles["prompt"] == "question"
    loaded = core.load(run.path)
    assert loaded.encoder.text_pairs is not None
    with pytest.raises(ValueError, match="key_b"):
        loaded.predict(frame.drop(columns="key_b"))
    with pytest.raises(ValueError, match=r"data\.references: no column 'key'"):
        education.train(
            "data=table",
            f"data.path={path}",
            "data.target=grade",
            "data.references=key",
            *QUICK,
            folder=tmp_path / "no",
        )


def test_graded_examples_are_refused_under_privacy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"encoder\.text\.knn_examples_per_class"):
        education.train(
            "privacy=dp", "encoder.text.knn_examples_per_class=3", *QUICK, folder=tmp_path / "run"
        )
