"""Readers: on the real files where they are at hand, on files in the published layout otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from real_data import needs_data

import education
from core.config import build
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.splits import split
from core.data.types import Dataset
from core.serving.load import load


def read(*overrides: str) -> Dataset:
    config: Any = education.train.configure(*overrides)
    dataset: Dataset = build(config.data, config.task, config.seed)
    return dataset


def parts_of(dataset: Dataset) -> dict[str, np.ndarray]:
    rows = split(dataset)
    errors = [f.message for f in check_dataset(dataset) + check_splits(dataset, rows) if f.level == "error"]
    assert errors == []
    return rows


@needs_data
@pytest.mark.parametrize(
    ("corpus", "test", "rows"),
    [
        ("beetle", "unseen_answers", 439), ("beetle", "unseen_questions", 819), ("sciEntsBank", "unseen_answers", 540),
        ("sciEntsBank", "unseen_questions", 733), ("sciEntsBank", "unseen_domains", 4562),
    ],
)  # fmt: skip
def test_semeval_parts_are_official_and_validation_mirrors_the_test(
    corpus: str, test: str, rows: int
) -> None:
    dataset = read("data=semeval2013", f"data.corpus={corpus}", f"data.test_set={test}")
    parts = parts_of(dataset)
    assert len(parts["test"]) == rows, "the official test part stays whole"
    frame = {name: dataset.frame.iloc[r] for name, r in parts.items()}
    new = {"unseen_answers": "answer", "unseen_questions": "question_id", "unseen_domains": "module"}[test]
    for held in ("validation", "test"):
        train, there = set(frame["train"][new]), set(frame[held][new])
        if test != "unseen_answers":
            assert not train & there, f"{held} has a {new} of the training part"
        else:
            assert set(frame[held]["question_id"]) <= set(frame["train"]["question_id"])
            seen = frame["train"]["question_id"] + frame["train"]["answer"].str.lower()
            asked = frame[held]["question_id"] + frame[held]["answer"].str.lower()
            assert not set(seen) & set(asked), "an answer to the same question stands in both"
    share = len(parts["validation"]) / (len(parts["validation"]) + len(parts["train"]))
    assert share == pytest.approx(0.15, abs=0.05)
    assert dataset.roles.inputs() == ("answer", "references", "question"), "modules and ids are not inputs"


@needs_data
def test_semeval_two_way_is_correct_or_not() -> None:
    two, three = (read("data=semeval2013", f"data.ways={n}").frame["label"] for n in (2, 3))
    assert set(two) == {"correct", "incorrect"}
    assert (two == "correct").equals(three == "correct")


@needs_data
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("data.corpus=beatle", "data.corpus"), ("data.ways=5", "data.ways"), ("data.test_set=train", "data.test_set"),
        ("data.test_set=unseen_domains", "no such test set"),
    ],
)  # fmt: skip
def test_semeval_says_what_is_wrong(wrong: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read("data=semeval2013", wrong)


@needs_data
def test_uci_student_keeps_a_pupil_of_both_subjects_in_one_part() -> None:
    early = read("task=performance", "data=uci_student")
    assert len(early.frame) == 395 + 649
    parts = parts_of(early)
    pupils = [set(early.frame["pupil"].iloc[r]) for r in parts.values()]
    assert not pupils[0] & pupils[1]
    assert not pupils[0] & pupils[2]
    assert not {"G1", "G2", "sex", "age", "Medu"} & set(early.roles.inputs())
    late = read("task=performance", "data=uci_student", "data.period_grades=true", "data.use_sensitive=true")
    assert {"G1", "G2", "sex", "age", "Medu"} <= set(late.roles.inputs())
    tested = [
        set(parts_of(read("task=performance", "data=uci_student", f"data.fold={f}"))["test"])
        for f in range(5)
    ]
    assert sorted(r for fold in tested for r in fold) == list(range(len(early.frame)))


def essays(path: Path) -> Path:
    """Write essays in the published layout: tab separated, Latin-1, each set with its own scale."""
    rng = np.random.default_rng(0)
    rows = []
    for essay_set, least, most in ((1, 2, 12), (2, 1, 6), (3, 0, 3)):
        for n in range(60):
            quality = rng.random()
            good = round(3 + 12 * quality)
            text = (
                " ".join([*["clear"] * good, *["caf\xe9"] * (15 - good)]) + f" essay {essay_set} {n} @PERSON1"
            )
            first, second = (
                round(float(np.clip(least + quality * (most - least) + e, least, most)))
                for e in rng.normal(0, 0.4, 2)
            )
            rows.append((1000 * essay_set + n, essay_set, text, first, second, "", first))
    columns = [
        "essay_id",
        "essay_set",
        "essay",
        "rater1_domain1",
        "rater2_domain1",
        "rater3_domain1",
        "domain1_score",
    ]
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False, encoding="latin-1")
    return path


def test_asap_folds_keep_the_sets_own_scale(tmp_path: Path) -> None:
    path = essays(tmp_path / "training_set_rel3.tsv")
    tested: list[int] = []
    for fold in range(5):
        dataset = read(
            "task=essays", "data=asap", f"data.path={path}", "data.essay_set=2", f"data.fold={fold}"
        )
        parts = parts_of(dataset)
        assert len(dataset.frame) == 60
        assert "caf\xe9" in dataset.frame["essay"].iloc[0]
        assert list(dataset.frame["score"].cat.categories) == list(range(1, 7))
        tested += dataset.frame["essay_id"].iloc[parts["test"]].tolist()
    assert sorted(tested) == list(range(2000, 2060)), "each essay is tested once"
    assert {"rater1", "rater2"} <= set(dataset.frame)


def test_asap_held_out_set_is_on_the_common_scale(tmp_path: Path) -> None:
    path = essays(tmp_path / "training_set_rel3.tsv")
    dataset = read(
        "task=essays", "data=asap", f"data.path={path}", "data.protocol=held_out", "data.essay_set=3"
    )
    parts = parts_of(dataset)
    assert set(dataset.frame["essay_set"].iloc[parts["test"]]) == {"3"}
    assert "3" not in set(dataset.frame["essay_set"].iloc[parts["train"]])
    assert set(dataset.frame["score"].iloc[parts["test"]].astype(int)) <= {0, 3, 7, 10}
    for wrong, told in (
        ("data.essay_set=9", "data.essay_set"),
        ("data.protocol=x", "data.protocol"),
        ("data.fold=7", "data.fold"),
    ):
        with pytest.raises(ValueError, match=told):
            read("task=essays", "data=asap", f"data.path={path}", wrong)


def test_asap_trains_and_beats_chance(tmp_path: Path) -> None:
    path = essays(tmp_path / "training_set_rel3.tsv")
    run = education.train(
        "task=essays", "data=asap", f"data.path={path}", "data.essay_set=1", "training.progress=none", "threads=1",
        "evaluation.resamples=50", "evaluation.resamples_slow=20", "baseline=none", "training.epochs=40",
        "training.batch_size=16", "backbone.hidden_size=32", "backbone.num_layers=0", "backbone.pooling=mean",
        "encoder.text.tfidf_features=100", "backbone.linear_branch_lr_scale=5",
        folder=tmp_path / "run",
    )  # fmt: skip
    study = run.record.studies["agreement"]
    assert study.metrics["qwk"].value > 0.5
    assert {gate.name for gate in study.gates} >= {"quadratic weighted kappa", "degradation", "|SMD|"}
    table = pd.read_csv(tmp_path / "run/studies/rsmeval.csv")
    assert {"spkitemid", "sc1", "sc2", "raw", "candidate"} <= set(table.columns)
    assert len(table) == run.record.data.rows["test"]
    assert table["sc1"].between(2, 12).all()


def test_a_held_out_prompt_is_scored_by_a_model_of_the_others(tmp_path: Path) -> None:
    path = essays(tmp_path / "training_set_rel3.tsv")
    run = education.train(
        "task=essays", "data=asap", f"data.path={path}", "data.protocol=held_out", "data.essay_set=3",
        "training.progress=none", "threads=1", "evaluation.resamples=50", "evaluation.resamples_slow=20",
        "baseline=none", "training.epochs=5", "training.batch_size=16", "backbone.hidden_size=32",
        "backbone.num_layers=0", "backbone.pooling=mean", "encoder.text.tfidf_features=100",
        folder=tmp_path / "run",
    )  # fmt: skip
    table = run.table()
    tested = table[table["part"] == "test"]
    assert len(tested) == run.record.data.rows["test"]
    assert set(tested["truth"].astype(int)) <= {0, 3, 7, 10}, "the common scale"
    assert run.record.studies["agreement"].metrics["qwk"].value is not None


def test_local_weights_of_the_hub_layout_read_the_answer_and_its_references(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "it",
        "is",
        "the",
        "current",
        "bulb",
        "battery",
        "lit",
        "open",
    ]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    run = education.train(
        "backbone=transformers", f"backbone.name={folder}", f"encoder.text.tokenizer={folder}",
        "encoder.text.tfidf_features=0",
        "encoder.text.max_length=48", "data.rows=200", "training.epochs=1", "training.progress=none", "threads=1",
        "evaluation.resamples=50", "evaluation.resamples_slow=20", "evaluation.studies=false", "baseline=none",
        folder=tmp_path / "run",
    )  # fmt: skip
    assert run.record.model.backbone == "transformers"
    loaded = load(run.path)
    answer = {"question": ["is it lit"] * 2, "answer": ["the bulb is lit"] * 2}
    rows = pd.DataFrame({**answer, "reference": [["the battery is open"], ["the bulb is lit"]]})
    roles = [loaded.roles.prompt, *loaded.roles.text, *loaded.roles.references]
    rows.columns = pd.Index([roles[0], roles[1], roles[2]])
    for column in set(loaded.roles.inputs()) - set(rows):
        rows[column] = ""
    found = loaded.scores(rows)
    assert np.abs(found[0] - found[1]).max() > 1e-6, "another reference answer, another score"
