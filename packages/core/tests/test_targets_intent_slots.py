"""Intents and slots: the chain against enumeration, spans against seqeval, the whole path of a tokens target."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from core.backbones.config import TextSmallConfig, TransformersConfig, WordsConfig
from core.backbones.heads import build_head
from core.backbones.model import Model
from core.config import build
from core.data.config import ColumnsEncoderConfig, TextEncoding
from core.data.encoders.columns import ColumnsEncoder
from core.data.encoders.decorrelated import restore_encoder
from core.data.slot_alignment import bio_chunks, decode_bio, encode_bio, parse_slots, word_spans
from core.data.types import ColumnRoles
from core.evaluation.calibration import choose_recalibration
from core.evaluation.config import StandardEvaluation, Tfidf
from core.evaluation.evaluate import evaluate
from core.privacy.clipping import FlatClip, PerExampleClipper
from core.report.predictions import read_predictions, write_predictions
from core.targets import crf, restore
from core.targets.config import AutoTarget, IntentSlotsOption
from core.targets.recalibration import Recalibration
from core.targets.slot_metrics import exact_match, intents, slot_f1, slot_precision, slot_recall
from core.targets.types import Predictions

torch.set_num_threads(1)

ROLES = ColumnRoles(target=("intent",), text=("text",), slots="slots")
ROWS = [
    ("turn on the kitchen light", "on", [[12, 19, "area"], [20, 25, "name"]]),
    ("turn off the desk lamp", "off", [[13, 22, "name"]]),
    ("what time is it", "time", []),
    ("lights off in the living room", "off", [[18, 29, "area"]]),
    ("stop", "off", []),
    ("desk lamp on", "on", [[0, 9, "name"]]),
]


def said(rows=ROWS):
    made = [(text, intent, json.dumps(slots)) for text, intent, slots in rows]
    return pd.DataFrame(made, columns=["text", "intent", "slots"])


BERT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
NETWORKS = {
    "words": WordsConfig(hidden_size=16, num_layers=1, num_heads=2, dropout=0.0, feature_dropout=0.0),
    "text_small": TextSmallConfig(weights="random", dropout=0.0),
    "transformers": TransformersConfig(
        name="bert",
        pretrained=False,
        config_overrides=BERT | {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0},
    ),
}


def everything(network="words", rows=ROWS):
    frame = said(rows)
    config = ColumnsEncoderConfig(
        text=TextEncoding(tokens=network != "words", word_features=True, tfidf_features=40)
    )
    encoder = ColumnsEncoder(config, ROLES)
    encoder.fit(frame)
    target = build(IntentSlotsOption(max_words=12), frame, ROLES)
    backbone = build(NETWORKS[network], encoder.layout(), 0)
    return (
        frame,
        encoder,
        target,
        Model(backbone, build_head(backbone, target.width, "joint", 0, "linear", 0.0)),
    )


# --- words and spans


def test_words_are_letters_numbers_and_signs():
    text = "Set Anna's lamp to 22.5°, bitte: 打开灯"
    words = [text[a:b] for a, b in word_spans(text)]
    assert words == ["Set", "Anna", "'", "s", "lamp", "to", "22.5", "°", ",", "bitte", ":", "打", "开", "灯"]


def test_slots_there_and_back():
    text, _, slots = ROWS[0]
    spans = word_spans(text)
    codes = encode_bio(spans, parse_slots(slots, "x"), ["area", "name"], "x")
    assert codes == [0, 0, 0, 1, 3]
    assert decode_bio(spans, codes, ["area", "name"]) == [(12, 19, "area"), (20, 25, "name")]
    assert encode_bio(word_spans("desk lamp"), [(0, 9, "name")], ["area", "name"], "x") == [3, 4]


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        ([[0, 4, "room"]], "none of the training set's"),
        ([[0, 4, "name"], [2, 9, "name"]], "shares a word"),
        ([[40, 44, "name"]], "holds no word"),
    ],
)
def test_wrong_slots_are_refused_with_their_place(slots, told):
    with pytest.raises(ValueError, match=told) as error:
        encode_bio(word_spans("desk lamp on"), parse_slots(slots, "x"), ["area", "name"], "row 7")
    assert "row 7" in str(error.value)


@pytest.mark.parametrize("cell", ["{", "3", [[1, 2]], [["a", 2, "name"]]])
def test_cells_that_are_no_slots_are_refused(cell):
    with pytest.raises(ValueError, match="start, end, name"):
        parse_slots(cell, "row 3")


def named(codes, slots=("a", "b")):
    names = ["O", *(f"{p}-{s}" for s in slots for p in ("B", "I"))]
    return [names[c] for c in codes]


def test_chunks_by_hand():
    assert bio_chunks([0, 1, 2, 0, 3]) == [(0, 1, 3), (1, 4, 5)]
    assert bio_chunks([1, 1, 2]) == [(0, 0, 1), (0, 1, 3)]  # two slots side by side
    assert bio_chunks([1, 4, 4]) == [(0, 0, 1), (1, 1, 3)]  # a further word of another slot begins one
    assert bio_chunks([2, 2, 0]) == [(0, 0, 2)]
    assert bio_chunks([]) == []


def predictions(labels, targets, classes=("x", "y"), slots=("a", "b")):
    labels, targets = np.asarray(labels), np.asarray(targets)
    k, n = len(classes), len(labels)
    scores = np.column_stack([np.eye(k)[labels[:, 0]] * 0.9 + 0.05, np.ones(n), labels[:, 1:]])
    return Predictions(scores, labels, targets, classes, "tokens", slots=slots)


def drawn(seed, rows=60, words=7):
    rng = np.random.default_rng(seed)
    targets = np.column_stack([rng.integers(0, 2, rows), rng.integers(0, 5, (rows, words))])
    labels = np.where(rng.random(targets.shape) < 0.7, targets, rng.integers(0, 5, targets.shape))
    labels[:, 0] %= 2
    for n, length in enumerate(rng.integers(1, words + 1, rows)):
        targets[n, 1 + length :] = labels[n, 1 + length :] = -1
    return predictions(labels, targets)


@pytest.mark.parametrize("seed", range(5))
def test_slot_figures_equal_seqeval(seed):
    from seqeval import metrics

    p = drawn(seed)
    true = [named([c for c in row if c >= 0]) for row in p.targets[:, 1:]]
    decided = [named([c for c in row if c >= 0]) for row in p.labels[:, 1:]]
    assert slot_f1(p) == pytest.approx(metrics.f1_score(true, decided))
    assert slot_precision(p) == pytest.approx(metrics.precision_score(true, decided))
    assert slot_recall(p) == pytest.approx(metrics.recall_score(true, decided))


def test_figures_by_hand():
    targets = [[0, 1, 2, 0], [1, 0, 3, -1], [0, 0, 0, 0]]
    labels = [[0, 1, 2, 0], [1, 0, 0, -1], [1, 0, 0, 0]]  # right; a slot missed; another intent
    p = predictions(labels, targets)
    assert exact_match(p) == pytest.approx(1 / 3)
    assert (slot_precision(p), slot_recall(p)) == (1.0, 0.5)
    assert slot_f1(p) == pytest.approx(2 / 3)
    shorter = predictions([[0, 1, 0, 0]], [[0, 1, 2, 0]])  # half a slot is no slot
    assert slot_f1(shorter) == 0.0


# --- the chain


def enumerated(emissions, transitions, length):
    k = emissions.shape[1]
    rows = list(itertools.product(range(k), repeat=length))
    worth = [
        sum(float(emissions[t, y]) for t, y in enumerate(row))
        + sum(float(transitions[a, b]) for a, b in itertools.pairwise(row))
        for row in rows
    ]
    return rows, np.array(worth)


def test_the_chain_equals_enumeration():
    draw = torch.Generator().manual_seed(0)
    e = torch.randn(3, 4, 3, generator=draw, dtype=torch.float64)
    a = torch.randn(3, 3, 3, generator=draw, dtype=torch.float64)
    lengths = [4, 2, 1]
    real = torch.arange(4)[None, :] < torch.tensor(lengths)[:, None]
    whole = crf.partition(e, a, real)
    best, top = crf.viterbi(e, a, real)
    for b, length in enumerate(lengths):
        rows, worth = enumerated(e[b], a[b], length)
        assert float(whole[b]) == pytest.approx(float(np.log(np.exp(worth).sum())))
        assert tuple(best[b, :length].tolist()) == rows[int(worth.argmax())]
        assert best[b, length:].tolist() == [0] * (4 - length)
        assert float(top[b]) == pytest.approx(worth.max())
        labels = torch.zeros(1, 4, dtype=torch.int64)
        for row, value in zip(rows, worth, strict=True):
            labels[0, :length] = torch.tensor(row)
            assert float(crf.score(e[b : b + 1], a[b : b + 1], real[b : b + 1], labels)) == pytest.approx(
                value
            )


def test_forbidden_labels_have_no_probability_and_are_never_decoded():
    draw = torch.Generator().manual_seed(1)
    allowed = crf.allowed_bio(5)
    for _ in range(20):
        e = 3 * torch.randn(1, 6, 5, generator=draw)
        e[:, 0] += allowed[-1]
        row, _ = crf.viterbi(e, allowed[:-1][None], torch.ones(1, 6, dtype=torch.bool))
        previous = 0
        for code in row[0].tolist():
            assert code == 0 or code % 2 == 1 or previous in (code - 1, code)
            previous = code


def test_the_gradient_of_the_partition_is_the_marginal():
    draw = torch.Generator().manual_seed(2)
    e = torch.randn(1, 3, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    a = torch.randn(1, 3, 3, generator=draw, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(crf.partition(e, a, torch.ones(1, 3, dtype=torch.bool)).sum(), e)
    rows, worth = enumerated(e[0].detach(), a[0], 3)
    chance = np.exp(worth - worth.max())
    chance /= chance.sum()
    for t, y in itertools.product(range(3), range(3)):
        expected = sum(c for row, c in zip(rows, chance, strict=True) if row[t] == y)
        assert float(gradient[0, t, y]) == pytest.approx(expected)


# --- encoder, network and target together


def test_a_word_begins_with_a_token_that_stands_on_it():
    frame = said([*ROWS, ("Set Anna's lamp to 22.5°, bitte", "on", []), ("", "off", [])])
    encoder = ColumnsEncoder(ColumnsEncoderConfig(text=TextEncoding(word_features=True)), ROLES)
    encoder.fit(frame)
    starts = encoder.transform(frame)["word_starts"]
    spans = encoder.token_offsets(frame)
    for n, text in enumerate(frame["text"]):
        words = word_spans(text)
        for t, (start, end) in enumerate(words):
            column, first, last = spans[n][starts[n, t]]
            assert column == "text"
            assert max(first, start) < min(last, end)
            before = [p for p in spans[n][: starts[n, t]] if p is not None]
            assert all(p[2] <= start for p in before), "an earlier token stands on it too"
        assert (starts[n, len(words) :] == 0).all()


def test_a_word_whose_tokens_were_cut_off_has_the_first_place():
    frame = said()
    encoder = ColumnsEncoder(ColumnsEncoderConfig(text=TextEncoding(word_features=True, max_length=4)), ROLES)
    encoder.fit(frame)
    inputs = encoder.transform(frame)
    assert inputs["tokens"].shape[1] == 4
    assert int(inputs["word_starts"].max()) < 4


@pytest.mark.parametrize("network", NETWORKS)
def test_it_learns_its_own_rows_and_serves_them(network):
    frame, encoder, target, model = everything(network)
    inputs, truth = encoder.transform(frame), target.encode(frame)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02 if network == "words" else 0.003)
    first = target.losses(model(inputs), truth).sum().item()
    for _ in range(120):
        optimizer.zero_grad()
        loss = target.losses(model(inputs), truth).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * first
    model.eval()
    scores = target.scores(model(inputs)).double().detach().numpy()
    labels = target.labels(scores)
    np.testing.assert_array_equal(labels, target.truth(truth))
    given = [parse_slots(s, "x") for s in frame["slots"]]
    assert target.decoded_slots(labels, list(frame["text"])) == given
    assert (scores[:, 3] > 0.8).all()  # the probability of the decoded row
    assert scores[:, 3].max() <= 1.0


@pytest.mark.parametrize("network", NETWORKS)
def test_a_loss_does_not_depend_on_the_rest_of_the_batch(network):
    frame, encoder, target, model = everything(network)
    model.eval()
    inputs, truth = encoder.transform(frame), target.encode(frame)
    together = target.losses(model(inputs), truth)
    for n in range(len(frame)):
        alone = target.losses(model(encoder.transform(frame.iloc[[n]])), truth[n : n + 1])
        assert alone.item() == pytest.approx(together[n].item(), rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_clipped_gradients_are_exact(network):
    frame, encoder, target, model = everything(network)
    model.double()
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in encoder.transform(frame).items()}
    truth = target.encode(frame)
    parameters = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for p in parameters:  # the linear paths begin at zero
            p.add_(
                0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()), dtype=p.dtype)
            )

    def losses(index):
        outputs = model({k: v[index] for k, v in inputs.items()})
        return target.losses(outputs, truth[index])

    single = []
    for n in range(len(frame)):
        found = torch.autograd.grad(losses(torch.tensor([n])).sum(), parameters, allow_unused=True)
        single.append(
            torch.cat(
                [
                    (torch.zeros_like(p) if g is None else g).flatten()
                    for g, p in zip(found, parameters, strict=True)
                ]
            )
        )
    norms = torch.stack([g.norm() for g in single])
    bar = float(norms.median())
    clipper = PerExampleClipper(model, rule=FlatClip(bar))
    with clipper.trace(len(frame)):
        result = clipper.clipped_gradients(losses(torch.arange(len(frame))))
    torch.testing.assert_close(result.norms_U.double(), norms, rtol=1e-5, atol=1e-8)
    expected = sum((bar / n).clamp_max(1.0) * g for n, g in zip(norms, single, strict=True))
    assert float((clipper.flat - expected).norm() / expected.norm()) <= 1e-5


def test_state_goes_through_json():
    frame, encoder, target, _ = everything()
    again = restore(json.loads(json.dumps(target.state())))
    assert again == target
    torch.testing.assert_close(again.encode(frame), target.encode(frame))
    encoder_again = restore_encoder(json.loads(json.dumps(encoder.state())))
    for name, tensor in encoder.transform(frame).items():
        torch.testing.assert_close(encoder_again.transform(frame)[name], tensor)
    assert encoder_again.layout() == encoder.layout()


def test_auto_finds_the_kind_and_what_is_wrong_is_told():
    frame = said()
    assert build(AutoTarget(), frame, ROLES).kind == "intent_slots"
    with pytest.raises(ValueError, match="class_weights"):
        build(AutoTarget(class_weights="balanced"), frame, ROLES)
    with pytest.raises(ValueError, match="column of slots"):
        build(IntentSlotsOption(), frame, ColumnRoles(target=("intent",), text=("text",)))
    with pytest.raises(ValueError, match=r"target\.slots lacks area"):
        build(IntentSlotsOption(slots=["name"]), frame, ROLES)
    assert build(IntentSlotsOption(slots=["name", "area", "rare"]), frame, ROLES).slots == (
        "area",
        "name",
        "rare",
    )
    target = build(IntentSlotsOption(max_words=3), frame, ROLES)
    with pytest.raises(ValueError, match=r"target\.max_words=3"):
        target.encode(frame)


def test_a_backbone_without_words_is_refused():
    _, _, target, _ = everything()
    from core.backbones.config import TextConfig

    encoder = ColumnsEncoder(ColumnsEncoderConfig(), ROLES)
    encoder.fit(said())
    backbone = build(TextConfig(linear_branch_lr_scale=0.0), encoder.layout(), 0)
    with pytest.raises(ValueError, match="joint"):
        build_head(backbone, target.width, target.reads, 0, "linear", 0.0)


# --- evaluation, tables, baseline


def test_evaluation_has_every_figure_with_an_interval(tmp_path):
    validation, test = drawn(1), drawn(2)
    target = build(IntentSlotsOption(max_words=7), said(), ROLES)
    target.classes, target.slots, target.max_words = ("x", "y"), ("a", "b"), 7
    config = StandardEvaluation(resamples=50, resamples_slow=20)
    found = evaluate(validation, test, target, config)
    for name in ("exact_match", "intent_accuracy", "slot_f1", "slot_precision", "slot_recall", "log_loss"):
        assert found.metrics[name].value is not None
        assert found.metrics[name].low <= found.metrics[name].value <= found.metrics[name].high
    assert found.metrics["slot_f1"].value == pytest.approx(slot_f1(test))
    assert not found.intervals.without_weighted_form
    assert found.curves.confusion.labels == ["x", "y"]
    path = tmp_path / "predictions.parquet"
    write_predictions(found.parts, path)
    again = read_predictions(path, "test")
    kept = found.parts["test"]
    np.testing.assert_array_equal(again.labels, kept.labels)
    np.testing.assert_array_equal(again.targets, kept.targets)
    np.testing.assert_allclose(again.scores, kept.scores)
    assert (again.slots, again.kind) == (("a", "b"), "intent_slots")
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"plinth"])
    old = table.replace_schema_metadata({"plinth": json.dumps(about | {"kind": "tokens"})})
    pq.write_table(old, path)  # as version 0.1 wrote it
    np.testing.assert_array_equal(read_predictions(path, "test").labels, kept.labels)


def test_recalibration_leaves_the_words_alone():
    p = drawn(3)
    recalibration = choose_recalibration(p, "temperature", 0)
    assert recalibration.temperature != 1.0
    scaled = p.type.recalibrate(p.scores, recalibration)
    np.testing.assert_array_equal(scaled[:, 2:], p.scores[:, 2:])
    np.testing.assert_allclose(scaled[:, :2].sum(axis=1), 1.0)
    restored = Recalibration.restore(json.loads(json.dumps(recalibration.state())))
    np.testing.assert_allclose(p.type.recalibrate(p.scores, restored), scaled)
    assert intents(p).scores.shape == (60, 2)


def test_the_baseline_reads_intents_and_slots():
    rng = np.random.default_rng(0)
    places, things = ["kitchen", "bedroom", "office", "hall"], ["lamp", "fan", "radio"]
    rows = []
    for _ in range(240):
        place, thing, on = rng.choice(places), rng.choice(things), bool(rng.integers(2))
        text = f"{'start' if on else 'stop'} the {thing} {rng.integers(99)} in the {place}"
        begin = text.index(thing)
        slots = [[begin, begin + len(thing), "name"], [len(text) - len(place), len(text), "area"]]
        rows.append((text, "on" if on else "off", slots))
    frames = {"train": said(rows[:140]), "validation": said(rows[140:190]), "test": said(rows[190:])}
    encoder = ColumnsEncoder(ColumnsEncoderConfig(text=TextEncoding(tokens=False, word_features=True)), ROLES)
    encoder.fit(frames["train"])
    target = build(IntentSlotsOption(), frames["train"], ROLES)
    found = build(Tfidf(), frames, encoder, ROLES, target, 0)
    assert found.test.kind == "intent_slots"
    assert slot_f1(found.test) > 0.95
    assert exact_match(found.test) > 0.9
