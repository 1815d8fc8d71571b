"""Homes under differential privacy: the joint model trains privately, and states its guarantee."""

from __future__ import annotations

from pathlib import Path

import smarthome
from core.privacy.section import DPSection
from core.report.sentences import privacy as sentences


def test_commands_protect_homes(tmp_path: Path) -> None:
    run = smarthome.train(
        "task=commands",
        "data.rows=500",
        "privacy=dp",
        "privacy.epsilon=3",
        "privacy.batch_size=8",
        "training.steps=6",
        "training.progress=none",
        "backbone.hidden_size=16",
        "backbone.num_layers=1",
        "encoder.text.max_word_features=400",
        "encoder.text.tfidf_features=100",
        "evaluation.resamples=50",
        "evaluation.resamples_slow=20",
        "evaluation.studies=false",
        "baseline=none",
        "threads=1",
        folder=tmp_path / "run",
    )
    section = run.record.privacy
    assert isinstance(section, DPSection)
    assert section.unit == "home"
    assert 0.9 * 3 < section.epsilon <= 3
    assert section.preflight.sum_error < 1e-4
    assert section.preflight.independence_error < 1e-4
    assert {"vocabulary", "slot_names"} <= set(section.non_private_statistics)
    fitted = sentences.conditions(section)["Fitted without noise"]
    assert "the vocabulary of the texts" in fitted
    assert "the names of the slots" in fitted
    assert run.record.training.history[0].loss is None  # a training loss is a release
