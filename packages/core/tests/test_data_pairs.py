"""A text compared with references and graded examples: by hand, without leaks, and the same after a restore."""

from __future__ import annotations

import json
from math import log
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.config import ColumnsEncoderConfig, TextEncoding
from core.data.encoders.columns import ColumnsEncoder
from core.data.encoders.decorrelated import restore_encoder
from core.data.encoders.text_pair_features import reference_lists
from core.data.text_similarity import (
    lcs_length,
    profile_text,
    soft_coverage,
    spelling_similarity,
    stem,
    suffix_stem,
    weighted_overlap,
)
from core.data.types import ColumnRoles

ROLES = ColumnRoles(target=("grade",), text=("answer",), references=("keys",), prompt="question")


def frame() -> pd.DataFrame:
    rows = [
        ("Why dark?", "the circuit has a gap", "yes"),
        ("Why dark?", "there is a gap in the circuit", "yes"),
        ("Why dark?", "the bulb is old", "no"),
        ("Why dark?", "because I like it dark", "no"),
        ("What falls?", "the heavy ball falls", "yes"),
        ("What falls?", "nothing falls at all", "no"),
        ("What falls?", "a heavy ball", "yes"),
        ("What falls?", "the circuit falls", "no"),
    ]
    made = pd.DataFrame(rows, columns=["question", "answer", "grade"], index=range(10, 18))
    keys = {"Why dark?": ["the circuit has a gap", "current cannot flow"], "What falls?": ["the heavy ball"]}
    made["keys"] = made["question"].map(keys)
    return made


def encoder(**settings: Any) -> ColumnsEncoder:
    text = TextEncoding(vocab_size=300, max_length=32, **settings)
    fitted = ColumnsEncoder(ColumnsEncoderConfig(text=text), ROLES)
    fitted.fit(frame())
    return fitted


def test_overlap_by_hand() -> None:
    words = ("circuits", "evaporated", "evaporates", "glass", "is")
    assert [stem(w) for w in words] == ["circuit", "evapor", "evapor", "glass", "is"]
    assert [suffix_stem(w) for w in words] == ["circuit", "evaporat", "evaporat", "glass", "is"]
    a, b = profile_text("the red gap"), profile_text("the gap")
    precision, recall, dice = weighted_overlap(a.counts, b.counts, lambda _: 1.0)
    assert (precision, recall, dice) == pytest.approx((2 / 3, 1.0, 0.8))
    assert weighted_overlap(a.counts, profile_text("").counts, lambda _: 1.0) == (0.0, 0.0, 0.0)
    assert lcs_length("abcd", "axcd") == 3
    assert spelling_similarity("voltage", "voltige") > 0.5 > spelling_similarity("voltage", "battery")
    assert soft_coverage(["gap", "water"], ["gap"], lambda _: 1.0) == 0.5
    assert soft_coverage([], ["gap"], lambda _: 1.0) == 1.0
    assert profile_text("It isn't, and don't").negations == 2


def test_features_say_what_the_texts_share() -> None:
    found = encoder().derived_features(frame())
    assert list(found.index) == list(frame().index)
    assert np.isfinite(found.to_numpy()).all()
    assert found.to_numpy().std(axis=0).max() > 0.1
    exactly, other = found.loc[10], found.loc[13]
    assert exactly["pair: best recall"] == 1.0
    assert exactly["pair: most cosine"] == pytest.approx(1.0)
    assert exactly["pair: best missing"] == 0.0
    assert exactly["pair: most dice"] > other["pair: most dice"]
    assert other["pair: prompt idf_recall"] > 0, "it repeats a word of the question"
    assert found.loc[15]["pair: best negation"] == 1.0


def test_frequencies_are_those_of_the_training_texts() -> None:
    pairs = encoder().text_pairs
    assert pairs is not None
    distinct = {*frame()["answer"], *(k for row in frame()["keys"] for k in row), *frame()["question"]}
    assert pairs.texts == len(distinct)
    holding = sum("heavy" in text for text in distinct)
    assert pairs.idf[stem("heavy")] == pytest.approx(log((1 + len(distinct)) / (1 + holding)) + 1)
    assert "old" not in pairs.idf, "what a single training text holds is not kept"


def test_the_reference_with_most_in_common_tells_what_is_missing() -> None:
    pairs = encoder().text_pairs
    assert pairs is not None
    pairs.idf = {}  # every word counts alike, and enough to be told
    pairs.texts = 100
    best, lacking = pairs.missing(
        "a gapp somewhere", ["current cannot flow", "the circuit has a gap"], "Why?"
    )
    assert best == "the circuit has a gap"
    assert "circuit" in lacking
    assert "gap" not in lacking, "a misspelling is not missing"
    assert pairs.missing("x", [], "") == ("", [])


def test_a_restored_encoder_gives_the_same_tensors() -> None:
    settings: dict[str, Any] = {
        "tfidf_features": 100, "tfidf_per_prompt": 100, "knn_examples_per_class": 2, "text_pair": True,
        "lsa_components": 4,
    }  # fmt: skip
    made = encoder(**settings)
    again = restore_encoder(json.loads(json.dumps(made.state())))
    new = frame().drop(columns="grade").assign(answer="a gap in the heavy circuit")
    for rows in (frame(), new):
        first, second = made.transform(rows), again.transform(rows)
        assert first.keys() == second.keys()
        for name in first:
            assert torch.equal(first[name], second[name]), name
    names = made.layout().numeric
    assert len(names) == first["numeric"].shape[1]
    assert any(n.startswith("pair:") for n in names)
    assert any(n.startswith("knn:") for n in names)


def test_tokens_hold_the_pair() -> None:
    alone, paired = encoder().transform(frame()), encoder(text_pair=True).transform(frame())
    longer = (paired["tokens"] != 0).sum(1) > (alone["tokens"] != 0).sum(1)
    assert longer.all()


def test_an_answer_never_sees_its_own_grade() -> None:
    def near(rows: pd.DataFrame) -> np.ndarray:
        made = ColumnsEncoder(ColumnsEncoderConfig(text=TextEncoding(knn_examples_per_class=2)), ROLES)
        made.fit(rows)
        assert made.knn is not None
        return made.knn.features(rows).loc[10].to_numpy()

    flipped = frame()
    flipped.loc[10, "grade"] = "no"
    np.testing.assert_array_equal(near(frame()), near(flipped))
    flipped.loc[11, "grade"] = "no"
    assert not np.array_equal(near(frame()), near(flipped)), "but it sees its neighbors'"


def test_examples_are_those_of_the_same_prompt() -> None:
    made = encoder(knn_examples_per_class=2)
    assert made.knn is not None
    other = frame().head(1).assign(question="Something new?")
    assert made.knn.features(other).isna().all(axis=None), "no example answers it: unknown, not zero"
    assert torch.equal(made.transform(other)["missing"][0, -6:], torch.ones(6))


def test_ngrams_within_a_prompt_are_apart() -> None:
    made = encoder(tfidf_features=50, tfidf_per_prompt=50)
    assert made.tfidf is not None
    assert made.tfidf.per_prompt is not None
    names = made.tfidf.per_prompt.get_feature_names_out()
    circuit = [n for n in names if n.endswith(" circuit") and len(n.split()) == 2 and len(n.split()[0]) == 12]
    assert len(circuit) == 1, "two answers to the first question have it, one to the second"


def test_references_come_from_lists_and_columns() -> None:
    rows = pd.DataFrame({"a": [["x", ""], ["y"]], "b": ["z", None]}, index=[3, 4])
    assert reference_lists(rows, ["a", "b"]) == [["x", "z"], ["y"]]
    with pytest.raises(ValueError, match="column 'a', row 4: a reference is a text"):
        reference_lists(pd.DataFrame({"a": [["x"], [1]]}, index=[3, 4]), ["a"])
    with pytest.raises(ValueError, match=r"data\.references"):
        ColumnsEncoder(
            ColumnsEncoderConfig(),
            ColumnRoles(target=("grade",), text=("answer", "question"), references=("keys",)),
        ).fit(frame())
    numbers = frame().assign(grade=range(8))
    many = pd.concat([numbers.assign(grade=numbers["grade"] + 8 * k) for k in range(3)])
    with pytest.raises(ValueError, match=r"encoder\.text\.knn_examples_per_class"):
        ColumnsEncoder(ColumnsEncoderConfig(text=TextEncoding(knn_examples_per_class=1)), ROLES).fit(many)


def test_numbers_that_differ_by_rounding_have_one_edge() -> None:
    from core.backbones.input_layers import PiecewiseLinearEncoding

    rows = pd.DataFrame({"x": [1.0, 1.0 - 2**-53, 1.0, 1.0 - 2**-53, 0.5, 0.2] * 5, "grade": ["a", "b"] * 15})
    made = ColumnsEncoder(ColumnsEncoderConfig(bins=8), ColumnRoles(target=("grade",), numeric=("x",)))
    made.fit(rows)
    inputs = made.transform(rows)
    pieces = PiecewiseLinearEncoding(made.layout())(inputs["numeric"], inputs["missing"])
    assert torch.isfinite(pieces).all()
