"""Encoders agree with scikit-learn, survive JSON bit for bit, and read later raw rows as they read training rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from core.data.config import ColumnsEncoderConfig, SignalEncoding, TextEncoding
from core.data.encoders.columns import ColumnsEncoder
from core.data.encoders.decorrelated import restore_encoder
from core.data.types import ColumnRoles

WORDS = (
    *("chest", "pain", "fever", "cough", "rash", "nausea", "acute", "chronic"),
    *("left", "right", "mild", "severe", "patient", "denies", "reports"),
)


def _frame(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.normal(5, 2, rows),
            "b": rng.exponential(1, rows),
            "k": rng.choice(["x", "y", "z"], rows),
            "code": rng.integers(1, 4, rows),
            "note": [" ".join(rng.choice(WORDS, rng.integers(3, 30))) for _ in range(rows)],
            "head": [" ".join(rng.choice(WORDS, 3)).title() for _ in range(rows)],
            "wave": [rng.normal(size=rng.integers(20, 40)) for _ in range(rows)],
        }
    )
    frame.loc[::7, "a"] = np.nan
    return frame


def _fitted(
    frame: pd.DataFrame,
    roles: ColumnRoles,
    text: dict[str, Any] | None = None,
    signal: dict[str, Any] | None = None,
    **settings: Any,
) -> ColumnsEncoder:
    config = ColumnsEncoderConfig(
        text=TextEncoding(**(text or {})), signal=SignalEncoding(**(signal or {})), **settings
    )
    encoder = ColumnsEncoder(config, roles)
    encoder.fit(frame)
    return encoder


ALL = ColumnRoles(numeric=("a", "b"), categorical=("k", "code"), text=("note", "head"), signal="wave")


@pytest.mark.parametrize("numeric", ["standard", "quantile", "none"])
@pytest.mark.parametrize("tokenizer", ["bpe", "words"])
def test_restored_from_json_it_gives_identical_tensors(numeric: str, tokenizer: str) -> None:
    text = {"tokenizer": tokenizer, "vocab_size": 400, "tfidf_features": 50, "tfidf_char_ngrams": 3}
    encoder = _fitted(_frame(), ALL, text, numeric=numeric)
    saved = json.dumps(encoder.state(), allow_nan=False)
    again = restore_encoder(json.loads(saved))
    later = _frame(50, seed=1)
    straight, restored = encoder.transform(later), again.transform(later)
    assert set(straight) == {"numeric", "missing", "categorical", "tokens", "tfidf", "signal"}
    for name, tensor in straight.items():
        assert torch.equal(tensor, restored[name]), name
    assert json.dumps(again.state()) == saved
    assert again.layout() == encoder.layout()


def test_an_encoder_saved_by_version_0_1_gives_the_tensors_that_it_gave() -> None:
    saved = json.loads((Path(__file__).parent / "fixtures" / "encoder_version_1.json").read_text())
    encoder = restore_encoder(saved["state"])
    assert isinstance(encoder, ColumnsEncoder)
    assert encoder.config.text.max_length == 24
    assert encoder.text_pairs is not None
    assert encoder.text_pairs.stemmer == "suffix"
    found = encoder.transform(pd.DataFrame(saved["rows"]))
    assert list(found) == list(saved["tensors"])
    for name, expected in saved["tensors"].items():
        assert torch.equal(found[name], torch.tensor(expected, dtype=found[name].dtype)), name
    again = restore_encoder(json.loads(json.dumps(encoder.state())))
    assert torch.equal(again.transform(pd.DataFrame(saved["rows"]))["numeric"], found["numeric"])


def test_standardized_as_scikit_learn_does() -> None:
    train, later = _frame(), _frame(60, seed=1)
    encoder = _fitted(train, ColumnRoles(numeric=("a", "b")), clip_std=0.0)
    scaled = StandardScaler().fit(train[["a", "b"]]).transform(later[["a", "b"]])
    found = encoder.transform(later)
    np.testing.assert_allclose(found["numeric"], np.nan_to_num(scaled), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["missing"], np.isnan(scaled))


def test_quantiles_to_a_normal_as_scikit_learn_does() -> None:
    train, later = _frame(3000), _frame(500, seed=1)
    for frame in (train, later):
        frame["b"] = frame["b"].round(1)  # ties
    encoder = _fitted(train, ColumnRoles(numeric=("a", "b")), numeric="quantile", clip_std=0.0)
    mapped = QuantileTransformer(n_quantiles=1000, output_distribution="normal").fit(train[["a", "b"]])
    expected = mapped.transform(later[["a", "b"]])
    found = encoder.transform(later)["numeric"].numpy()
    inside = later["b"].between(train["b"].min(), train["b"].max(), inclusive="neither").to_numpy()
    np.testing.assert_allclose(found[:, 0], np.nan_to_num(expected[:, 0]), atol=2e-3)
    np.testing.assert_allclose(found[inside, 1], expected[inside, 1], atol=2e-3)
    # many rows at the minimum are not outliers: they get the middle of their step, scikit-learn's get -5.2
    share = float((train["b"] == train["b"].min()).mean())
    lowest = found[(later["b"] == train["b"].min()).to_numpy(), 1]
    np.testing.assert_allclose(lowest, torch.special.ndtri(torch.tensor(share / 2)).item(), atol=0.05)


def test_edges_split_training_rows_into_equal_bins() -> None:
    train = _frame(1600)
    encoder = _fitted(train, ColumnRoles(numeric=("a", "b")), bins=8)
    scaled = encoder.transform(train)["numeric"][:, 1].numpy().astype(np.float64)
    edges = encoder.layout().bin_edges[1]
    assert len(edges) == 9
    counts = np.histogram(scaled, np.array(edges) + 1e-6 * np.r_[-1, np.zeros(7), 1])[0]
    np.testing.assert_allclose(counts, 200, atol=2)
    constant = _fitted(train.assign(b=3.0), ColumnRoles(numeric=("b",)))
    assert len(constant.layout().bin_edges[0]) == 2
    assert constant.transform(train.assign(b=3.0))["numeric"].abs().max() == 0


def test_later_raw_rows_may_hold_text_missing_and_other_types() -> None:
    encoder = _fitted(_frame(), ALL, {"tfidf_features": 20})
    rows = _frame(3, seed=2)
    as_text = rows.assign(a=["?", " 4.5 ", None], code=["1", "2.0", "NA"], note=[None, "pain", ""])
    as_numbers = rows.assign(a=[np.nan, 4.5, np.nan], code=[1.0, 2.0, np.nan], note=["", "pain", None])
    one, other = encoder.transform(as_text), encoder.transform(as_numbers)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["missing"][:, 0].tolist() == [1, 0, 1]
    for bad, message in (
        ("high", "column 'a' .*'high' in row 1"),
        (np.inf, "column 'a' is infinite in row 1"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.transform(rows.assign(a=[1.0, bad, 2.0]))
    with pytest.raises(ValueError, match="the rows lack the columns 'b', 'wave'"):
        encoder.transform(rows.drop(columns=["b", "wave"]))


def test_rows_are_encoded_alone() -> None:
    encoder = _fitted(_frame(), ALL, {"tfidf_features": 20})
    rows = _frame(5, seed=3)
    together = encoder.transform(rows)
    for i in range(5):
        alone = encoder.transform(rows.iloc[[i]])
        for name in ("numeric", "missing", "categorical", "tfidf", "signal"):
            assert torch.equal(alone[name][0], together[name][i])
        width = alone["tokens"].shape[1]
        assert torch.equal(alone["tokens"][0], together["tokens"][i, :width])
        assert not together["tokens"][i, width:].any()


def test_rare_categories_share_a_code_and_their_names_are_not_kept() -> None:
    train = pd.DataFrame({"k": ["x"] * 10 + ["y"] * 6 + ["rare1", "rare2", None]})
    encoder = _fitted(train, ColumnRoles(categorical=("k",)), min_frequency=5)
    later = pd.DataFrame({"k": ["x", "y", "rare1", "never", None]})
    assert encoder.transform(later)["categorical"][:, 0].tolist() == [2, 3, 1, 1, 0]
    assert encoder.layout().cardinalities == (4,)
    assert "rare1" not in json.dumps(encoder.state())
    frequent = _fitted(train.iloc[:16], ColumnRoles(categorical=("k",)), min_frequency=5)
    assert frequent.transform(later)["categorical"][:, 0].tolist() == [1, 2, 0, 0, 0]
    most = _fitted(train, ColumnRoles(categorical=("k",)), min_frequency=1, max_categories=2)
    assert most.layout().cardinalities == (4,)


def test_tf_idf_is_scikit_learns() -> None:
    train, later = _frame(), _frame(40, seed=1)
    encoder = _fitted(train, ColumnRoles(text=("note",)), {"tfidf_features": 60, "tokens": False})
    oracle = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=60).fit(
        train["note"]
    )
    np.testing.assert_allclose(
        encoder.transform(later)["tfidf"], oracle.transform(later["note"]).toarray(), atol=1e-6
    )
    assert encoder.tfidf is not None
    assert list(encoder.tfidf.vectorizers[0].get_feature_names_out()) == list(oracle.get_feature_names_out())
    both = _fitted(
        train, ColumnRoles(text=("note",)), {"tfidf_features": 61, "tfidf_char_ngrams": 3, "tokens": False}
    )
    assert both.layout().tfidf_size == 61
    with pytest.raises(ValueError, match="share no word n-grams"):
        _fitted(
            pd.DataFrame({"note": ["a", "b"]}),
            ColumnRoles(text=("note",)),
            {"tfidf_features": 10, "tokens": False},
        )


def test_trained_tokens_are_lossless_deterministic_and_framed() -> None:
    train = _frame()
    one, other = (_fitted(train, ColumnRoles(text=("note",)), {"vocab_size": 400}) for _ in range(2))
    assert one.state() == other.state()
    tokenizer = one.tokens.tokenizer  # type: ignore[union-attr]
    rows = pd.DataFrame({"note": ["Pain – 3°C [SEP] naïve", "", "cough"]})
    tokens = one.transform(rows)["tokens"]
    start, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    for row, text in zip(tokens.tolist(), rows["note"], strict=True):
        real = [t for t in row if t != 0]
        assert real[0] == start
        assert real[-1] == end
        assert end not in real[1:-1], "a separator written in a text is text"
        assert tokenizer.decode(real[1:-1]).strip() == text.lower()


@pytest.mark.parametrize(("truncation", "kept"), [("end", "abcd"), ("start", "ghij"), ("middle", "abij")])
def test_long_texts_are_truncated_as_asked(truncation: str, kept: str) -> None:
    words = [c * 2 for c in "abcdefghij"]
    train = pd.DataFrame({"t": [" ".join(words)] * 2})
    encoder = _fitted(
        train, ColumnRoles(text=("t",)), {"tokenizer": "words", "max_length": 6, "truncation": truncation}
    )
    tokenizer = encoder.tokens.tokenizer  # type: ignore[union-attr]
    row = encoder.transform(train)["tokens"][0].tolist()
    assert [tokenizer.id_to_token(t) for t in row[1:-1]] == [c * 2 for c in kept]


def test_several_texts_are_separated_and_share_the_length() -> None:
    train = pd.DataFrame(
        {"q": ["aa bb"] * 2, "a": [" ".join(c * 2 for c in "cdefghijkl")] * 2, "r": ["aa cc"] * 2}
    )
    encoder = _fitted(train, ColumnRoles(text=("q", "a", "r")), {"tokenizer": "words", "max_length": 12})
    tokenizer = encoder.tokens.tokenizer  # type: ignore[union-attr]
    shown = " ".join(tokenizer.id_to_token(t) for t in encoder.transform(train)["tokens"][0].tolist())
    assert shown == "[CLS] aa bb [SEP] cc dd ee ff [SEP] aa cc [SEP]"
    with pytest.raises(ValueError, match=r"encoder\.text\.max_length=5: too short for 3 texts"):
        _fitted(train, ColumnRoles(text=("q", "a", "r")), {"tokenizer": "words", "max_length": 5})


def test_a_pretrained_tokenizer_is_read_from_a_folder_with_its_own_padding(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, **{w: i for i, w in enumerate(WORDS, 4)}}
    pretrained = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    pretrained.pre_tokenizer = pre_tokenizers.Whitespace()
    pretrained.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    pretrained.enable_truncation(4)
    pretrained.save(str(tmp_path / "tokenizer.json"))
    encoder = _fitted(
        _frame(), ColumnRoles(text=("note", "head")), {"tokenizer": str(tmp_path), "max_length": 64}
    )
    assert (encoder.layout().pad_token_id, encoder.layout().vocab_size) == (1, len(vocabulary))
    rows = pd.DataFrame({"note": ["chest pain", "rash"], "head": ["fever", "left cough"]})
    pretrained.no_truncation()
    tokens = encoder.transform(rows)["tokens"].tolist()
    for row, (a, b) in zip(tokens, rows.to_numpy(), strict=True):
        ids = pretrained.encode(a, b).ids
        assert row == ids + [1] * (len(row) - len(ids))
    again = restore_encoder(json.loads(json.dumps(encoder.state())))
    (tmp_path / "tokenizer.json").unlink()
    assert again.transform(rows)["tokens"].tolist() == tokens
    with pytest.raises(ValueError, match=r"encoder\.text\.tokenizer='.*': no tokenizer\.json"):
        _fitted(_frame(), ColumnRoles(text=("note",)), {"tokenizer": str(tmp_path / "tokenizer.json")})


def test_batches_of_short_texts_are_short() -> None:
    train = pd.DataFrame({"t": [" ".join(WORDS * 4), "chest pain", "fever", "rash"] * 2})
    prepared = _fitted(train, ColumnRoles(text=("t",)), {"tokenizer": "words"}).encode(train)
    assert prepared.take(torch.tensor([0, 1]))["tokens"].shape == (2, 62)
    assert prepared.take(torch.tensor([1, 2]))["tokens"].shape == (2, 16)


def test_signals_get_one_length_and_scale() -> None:
    train = _frame()
    padded = _fitted(train, ColumnRoles(signal="wave"), signal={"length": 30}).transform(train)["signal"]
    first = train["wave"].iloc[0]
    expected = ((first - first.mean()) / first.std())[:30]
    np.testing.assert_allclose(padded[0, 0, : len(expected)], expected, rtol=1e-5, atol=1e-6)
    assert not padded[0, 0, len(first) :].any()
    ramp = pd.DataFrame({"wave": [np.arange(11.0), np.arange(21.0)]})
    resampled = _fitted(
        ramp, ColumnRoles(signal="wave"), signal={"fit": "resample", "length": 21, "scale": "none"}
    )
    np.testing.assert_allclose(resampled.transform(ramp)["signal"][0, 0], np.arange(21) / 2)
    two = pd.DataFrame({"wave": [np.ones((5, 2)), np.zeros((5, 2))]})
    scaled = _fitted(two, ColumnRoles(signal="wave"), signal={"scale": "train"})
    assert scaled.layout().signal == (2, 5)
    np.testing.assert_allclose(scaled.transform(two)["signal"][0], 1.0)
    for bad, message in (
        (np.array([1.0, np.nan]), "row 1: a sample is infinite"),
        (np.ones((4, 3)), "row 1: 3 channels"),
    ):
        with pytest.raises(ValueError, match=message):
            scaled.transform(pd.DataFrame({"wave": pd.Series([np.ones((5, 2)), bad], dtype=object)}))


def test_events_are_the_units_own_earlier_rows_only() -> None:
    rng = np.random.default_rng(0)
    rows, length = 200, 5
    frame = pd.DataFrame(
        {
            "card": rng.choice(["a", "b", "c", None], rows),
            "when": rng.integers(0, 60, rows).astype(float),
            "amount": rng.normal(size=rows),
            "shop": rng.choice(["x", "y"], rows),
        }
    )
    roles = ColumnRoles(numeric=("amount",), categorical=("shop",), unit="card", time="when")
    encoder = _fitted(frame, roles, max_events=length, numeric="none")
    inputs = encoder.transform(frame)
    width = 2 + 3 + 1
    assert encoder.layout().events == (length, width)
    assert inputs["events"].shape == (rows, length, width)
    for i in range(rows):
        row = frame.iloc[i]
        past = frame[(frame["card"] == row["card"]) & (frame["when"] < row["when"])].sort_values(
            "when", kind="stable"
        )
        seen = [*past.index[-(length - 1) :], i] if row["card"] is not None else [i]
        real = inputs["events_mask"][i].bool()
        assert real.tolist() == [False] * (length - len(seen)) + [True] * len(seen)
        events = inputs["events"][i, real]
        np.testing.assert_allclose(events[:, 0], frame["amount"].iloc[seen], rtol=1e-6)
        np.testing.assert_allclose(events[:, -1], np.log1p(row["when"] - frame["when"].iloc[seen]), rtol=1e-6)
        assert not inputs["events"][i, ~real].any()


def test_events_without_categories_take_every_scaling() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "who": ["p", "p", "q", "p"], "when": [1.0, 2, 3, 4]})
    roles = ColumnRoles(numeric=("x",), unit="who", time="when")
    for numeric in ("standard", "quantile", "none"):
        encoder = _fitted(frame, roles, max_events=2, numeric=numeric)
        inputs = encoder.transform(frame)
        assert torch.equal(inputs["events_mask"], torch.tensor([[0.0, 1], [1, 1], [0, 1], [1, 1]]))
        assert torch.equal(inputs["events"][:, -1, 0], inputs["numeric"][:, 0])


def test_events_of_a_split_include_the_history() -> None:
    frame = pd.DataFrame({"card": ["a"] * 6, "when": range(6), "amount": np.arange(6.0)})
    roles = ColumnRoles(numeric=("amount",), unit="card", time="when")
    encoder = _fitted(frame.iloc[:4], roles, max_events=3, numeric="none")
    later = frame.iloc[4:]
    alone = encoder.encode(later).take(torch.arange(2))
    seen = encoder.encode(later, frame).take(torch.arange(2))
    assert alone["events_mask"].sum(1).tolist() == [1, 2]
    assert seen["events"][:, :, 0].tolist() == [[2, 3, 4], [3, 4, 5]]
    with pytest.raises(ValueError, match=r"events need data\.unit and data\.time"):
        _fitted(frame, ColumnRoles(numeric=("amount",)), max_events=3)
