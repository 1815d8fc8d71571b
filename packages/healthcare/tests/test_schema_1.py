"""A run that plinth-core 0.1 wrote opens, predicts, evaluates and shows its page and documents."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_checks import check_page

import core
from core.config import build, from_dict
from core.report.documents import check, expected, rewrite
from core.report.record import Record, read_record
from core.testing import application
from healthcare import DOMAIN

OLD = Path(__file__).parent / "fixtures" / "run_schema_1"


@pytest.fixture(scope="module")
def record() -> Record:
    return read_record(OLD)


@pytest.fixture(scope="module")
def frame(record: Record) -> pd.DataFrame:
    """The rows that the old run simulated."""
    application(DOMAIN, "train").configure()  # registers the domain's options
    config = record.run.config
    found: pd.DataFrame = build(
        from_dict("data", config["data"]), from_dict("task", config["task"]), config["seed"]
    ).frame
    return found


def test_the_record_is_of_schema_1_and_read_as_of_schema_2(record: Record) -> None:
    content = json.loads((OLD / "record.json").read_text())
    assert content["schema_version"] == 1
    assert record.schema_version == 2
    assert record.seal == content["seal"]
    assert record.baseline is not None
    assert record.baseline.name == content["challenger"]["name"]
    for metric, old in content["metrics"].items():
        assert record.metrics[metric].value == old["value"]
        assert (record.metrics[metric].low, record.metrics[metric].high) == (old["low"], old["high"])
    assert record.fairness is not None
    assert len(record.fairness.comparisons) == len(content["fairness"]["comparisons"]) > 0
    assert record.energy is not None
    assert record.energy.joules == content["energy"]["joules"]
    assert record.run.config["training"]["tta_views"] == content["run"]["config"]["training"]["views"]
    assert record.model.backbone == content["model"]["backbone"]


def test_it_predicts_as_it_did(record: Record, frame: pd.DataFrame) -> None:
    loaded = core.load(OLD)
    kept = loaded.run.predictions("test")
    raw = frame.iloc[kept.index]
    found = loaded.predict(raw)
    np.testing.assert_allclose(found["score:yes"], kept.scores[:, 1], rtol=0, atol=1e-6)
    assert list(found["prediction"]) == [kept.classes[label] for label in kept.labels]
    assert record.oversight is not None
    counted = loaded.decisions(raw, kept.scores, kept.labels)
    assert counted is not None
    assert counted.counts() == record.oversight.counts


def test_it_evaluates_new_rows(frame: pd.DataFrame, tmp_path: Path) -> None:
    table = tmp_path / "new.csv"
    frame.head(60).to_csv(table, index=False)
    evaluate = application(DOMAIN, "evaluate")
    evaluate(f"run={OLD}", f"data.path={table}", folder=tmp_path / "out")
    content = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert 0 <= content["metrics"]["auroc"]["value"] <= 1
    assert content["oversight"]["counts"]["rows"] == 60
    assert 0 <= content["uncertainty"]["coverage"]["value"] <= 1


def test_its_documents_are_checked_and_written_again(record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD, folder)
    assert check(folder) > 400, "the documents of the version before"
    card = folder / "CARD.md"
    text = card.read_text()
    value = f"[{record.metrics['auroc'].value:.3f} ("
    assert value in text
    card.write_text(text.replace(value, "[0.999 ("))
    with pytest.raises(ValueError, match=r"CARD\.md: /metrics/auroc: the document says '0\.999 \("):
        check(folder)
    rewrite(folder, overwrite=True)
    assert check(folder) > 300, "today's documents of the same record"
    assert all((folder / name).is_file() for name in expected(record))
    assert card.stat().st_size < 0.55 * len(text.encode())
    assert check_page((folder / "report.html").read_text(), record) > 200
    assert read_record(folder).seal == record.seal
