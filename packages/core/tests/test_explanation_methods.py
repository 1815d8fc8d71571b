"""Attributions against models whose effects are known, and against captum on the same numbers."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import FeatureAblation
from fakes.explanation import VALUE, alignment_of, fitted, masker_of
from PIL import Image
from torch import Tensor, nn

from core.backbones.config import SequenceConfig, TabularConfig, TextConfig
from core.backbones.heads import PooledHead
from core.backbones.model import Model
from core.config import build
from core.data.config import ColumnsEncoderConfig, TextEncoding
from core.data.types import ColumnRoles
from core.explanation.attribution import occlusion
from core.explanation.differentiable_inputs import DifferentiableInputs
from core.explanation.explain_and_test import rank_correlation, with_permuted_weights
from core.explanation.explained_output import ExplainedOutput
from core.explanation.integrated_gradients import integrated_gradients
from core.explanation.rollout import MethodUnavailable, rollout
from core.targets.multiclass import MulticlassTarget


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    frame.loc[rng.random(rows) < 0.1, "b"] = np.nan
    frame["k"] = rng.choice(["u", "v", "w"], rows)
    return frame


COLUMNS = ColumnRoles(numeric=("a", "b", "c"), categorical=("k",))


def output_of(rows: int) -> ExplainedOutput:
    return ExplainedOutput(VALUE, np.zeros(rows, np.int64))


class Linear(nn.Module):
    """3 a - 2 b + 0 c, standardised, and an effect of each category."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[3.0], [-2.0], [0.0]]))
        self.categories = nn.Embedding(4, 1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["numeric"] @ self.weight + self.categories(inputs["categorical"])[:, 0]


def test_integrated_gradients_of_a_linear_model_are_its_terms() -> None:
    frame = table(80, 0)
    encoder, model = fitted(frame, COLUMNS, ColumnsEncoderConfig(min_frequency=1)), Linear()
    masker = masker_of(model, encoder, frame[:20])
    found = integrated_gradients(model, masker, output_of(20), alignment_of(encoder), 4)
    base = masker.references["numeric"].mean(dim=0)
    terms = (masker.inputs["numeric"] - base) * model.weight[:, 0]
    np.testing.assert_allclose(found.effects[:, :3], terms.detach().numpy(), atol=1e-5)
    usual = model.categories(masker.references["categorical"][:, 0]).mean()
    own = model.categories(masker.inputs["categorical"][:, 0])[:, 0] - usual
    np.testing.assert_allclose(found.effects[:, 3], own.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.convergence_delta, 0.0, atol=1e-4)
    assert found.unassigned == pytest.approx(0.0, abs=1e-6)


def tabular(encoder: object, seed: int = 0, wide: float = 1.0, layers: int = 2) -> Model:
    pooling = "cls" if layers else "mean"
    option = TabularConfig(
        hidden_size=16,
        num_layers=layers,
        num_heads=2,
        linear_branch_lr_scale=wide,
        dropout=0.0,
        pooling=pooling,
    )
    backbone = build(option, encoder.layout(), seed)  # type: ignore[attr-defined]
    return Model(backbone, PooledHead(backbone, 1, "linear", 0.0))


def train(model: Model, inputs: dict[str, Tensor], truth: Tensor, steps: int = 150) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        loss = (model(inputs)[:, 0] - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


@pytest.fixture(scope="module")
def trained() -> tuple[Model, object, pd.DataFrame]:
    """A tabular Transformer with a wide path that has learnt 2 a + (k = v) and nothing else."""
    torch.manual_seed(0)
    frame = table(400, 1)
    encoder = fitted(frame, COLUMNS, ColumnsEncoderConfig(min_frequency=1))
    model = tabular(encoder)
    truth = torch.from_numpy(2 * frame["a"].to_numpy() + 1.5 * (frame["k"] == "v").to_numpy()).float()
    train(model, encoder.transform(frame), truth)
    return model, encoder, frame


def test_integrated_gradients_add_up_to_the_change_of_a_trained_network(trained) -> None:  # type: ignore[no-untyped-def]
    model, encoder, frame = trained
    masker = masker_of(model, encoder, frame[:24])
    output = output_of(24)
    found = integrated_gradients(model, masker, output, alignment_of(encoder), 200)
    full, _ = output.full_and_empty(masker.scorer, masker)
    inputs = DifferentiableInputs(model, masker.inputs)
    assert {entry.source for entry in inputs.all} == {"numeric", "missing", "categorical"}
    assert sum(entry.source == "categorical" for entry in inputs.all) == 2, "embeddings and one-hot vectors"
    values = inputs.values(masker.inputs)
    np.testing.assert_allclose(inputs.outputs(values, masker.inputs)[:, 0].detach().numpy(), full, atol=1e-4)
    starts = full - found.effects.sum(axis=1)
    np.testing.assert_allclose(starts, starts.mean(), atol=0.06)  # one baseline for all rows
    assert np.abs(found.convergence_delta).max() < 0.02 * np.abs(found.effects).sum(axis=1).mean()


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients"])
def test_the_columns_that_decide_are_found(trained, method: str) -> None:  # type: ignore[no-untyped-def]
    model, encoder, frame = trained
    masker = masker_of(model, encoder, frame[:40])
    if method == "occlusion":
        effects = occlusion(masker.scorer, masker, output_of(40))
    else:
        effects = integrated_gradients(model, masker, output_of(40), alignment_of(encoder), 32).effects
    size = dict(zip(masker.columns, np.abs(effects).mean(axis=0), strict=True))
    assert min(size["a"], size["k"]) > 3 * max(size["b"], size["c"]), size


def test_explanations_change_with_the_weights(trained) -> None:  # type: ignore[no-untyped-def]
    model, encoder, frame = trained
    masker = masker_of(model, encoder, frame[:40])
    own = occlusion(masker.scorer, masker, output_of(40))
    other = with_permuted_weights(model, 3)
    randomized = masker_of(other, encoder, frame[:40])
    again = occlusion(randomized.scorer, randomized, output_of(40))
    assert np.nanmean(rank_correlation(own, again, absolute=True)) < 0.5
    assert np.nanmean(rank_correlation(own, own)) == pytest.approx(1.0)
    assert all(
        torch.equal(a.flatten().sort().values, b.flatten().sort().values)
        for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_occlusion_is_feature_ablation_of_captum(trained) -> None:  # type: ignore[no-untyped-def]
    model, encoder, frame = trained
    masker = masker_of(model, encoder, frame[:6], num_references=1)
    output = output_of(6)

    def answered(present: Tensor, rows: Tensor) -> Tensor:
        numbers = output.evaluate(
            masker.scorer, masker, rows.numpy(), (present < 0.5).numpy(), np.zeros(len(rows), np.int64)
        )
        return torch.from_numpy(numbers)

    theirs = FeatureAblation(answered).attribute(
        torch.ones(6, masker.num_features), additional_forward_args=(torch.arange(6),)
    )
    np.testing.assert_allclose(occlusion(masker.scorer, masker, output), theirs.numpy(), atol=1e-5)


class Spoken(nn.Module):
    """Each token adds its own number; "danger" adds 5, all others nothing."""

    def __init__(self, token: int, size: int) -> None:
        super().__init__()
        self.words = nn.Embedding(size, 2)
        nn.init.zeros_(self.words.weight)
        with torch.no_grad():
            self.words.weight[token] = 2.5

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.words(inputs["tokens"]).sum(dim=(1, 2))[:, None]


TEXTS = ["all is well here today", "we see danger in here", "danger, it is near us", "is it well today"] * 5


@pytest.mark.parametrize("tokenizer", ["words", "bpe"])
def test_the_word_that_decides_is_found(tokenizer: str) -> None:
    frame = pd.DataFrame({"note": TEXTS})
    encoder = fitted(
        frame,
        ColumnRoles(text=("note",)),
        ColumnsEncoderConfig(text=TextEncoding(tokenizer=tokenizer, max_length=12, tfidf_features=0)),
    )
    tokens = encoder.transform(pd.DataFrame({"note": ["here danger"] * 2}))["tokens"][0]
    last = tokens[tokens != 0].tolist()[-2 if tokens[tokens != 0][-1] == 3 else -1]
    model = Spoken(last, encoder.layout().vocab_size)
    masker = masker_of(model, encoder, frame[:4])
    gradients = integrated_gradients(model, masker, output_of(4), alignment_of(encoder), 2)
    for effects in (occlusion(masker.scorer, masker, output_of(4)), gradients.effects):
        for row in range(4):
            named = {n: e for n, e in zip(masker.feature_names(row), effects[row], strict=True) if n}
            for word, effect in named.items():
                assert effect == pytest.approx(5.0 if word == "danger" else 0.0, abs=1e-5), (row, word)
    assert [w.text for w in masker.words[2]] == ["danger", "it", "is", "near", "us"]


class Bagged(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size, 1, generator=torch.Generator().manual_seed(0)))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["tfidf"] @ self.weight


def test_effects_of_n_grams_become_those_of_their_words() -> None:
    frame = pd.DataFrame({"note": TEXTS})
    config = ColumnsEncoderConfig(
        text=TextEncoding(tokens=False, tfidf_features=200, tfidf_word_ngrams=2, tfidf_char_ngrams=4)
    )
    encoder = fitted(frame, ColumnRoles(text=("note",)), config)
    model = Bagged(encoder.layout().tfidf_size)
    masker = masker_of(model, encoder, frame[:4])
    found = integrated_gradients(model, masker, output_of(4), alignment_of(encoder), 2)
    assert found.unassigned < 1e-6, "letters, words and pairs of neighbours all have words they stand in"
    np.testing.assert_allclose(
        np.nansum(found.effects, axis=1),
        model(masker.inputs)[:, 0].detach().numpy(),
        atol=1e-4,
    )


class Corner(nn.Module):
    """Reads the brightness of one patch of 4 x 4 pixels, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.01))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["image"].float()[:, :, 4:8, 12:16].mean(dim=(1, 2, 3))[:, None] * self.scale


def image(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 60, (16, 16, 3)).astype(np.uint8)
    pixels[4:8, 12:16] = 250
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_the_patch_that_decides_is_found() -> None:
    frame = pd.DataFrame({"photo": [image(n) for n in range(6)]})
    encoder, model = fitted(frame, ColumnRoles(image="photo")), Corner()
    masker = masker_of(model, encoder, frame)
    assert masker.feature_kind == "patch"
    gradients = integrated_gradients(model, masker, output_of(6), alignment_of(encoder), 3).effects
    for effects in (occlusion(masker.scorer, masker, output_of(6)), gradients):
        assert {masker.feature_names(0)[int(p)] for p in effects.argmax(axis=1)} == {"patch 2/4"}
        np.testing.assert_allclose(np.delete(effects, 7, axis=1), 0.0, atol=1e-6)
    assert (
        masker.masked(np.arange(6), np.ones((6, 16), bool), np.zeros(6, np.int64))["image"].float().std() < 40
    )


def stream(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"x": rng.normal(size=rows), "who": np.arange(rows) % 5, "when": np.arange(rows, dtype=float)}
    )


class Before(nn.Module):
    """Twice the first number of the event before the last."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.scale * inputs["events"][:, -2, :1] * inputs["events_mask"][:, -2:-1]


def test_the_event_that_decides_is_found() -> None:
    frame = stream(60)
    encoder = fitted(
        frame, ColumnRoles(numeric=("x",), unit="who", time="when"), ColumnsEncoderConfig(max_events=4)
    )
    model = Before()
    masker = masker_of(model, encoder, frame)
    found = occlusion(masker.scorer, masker, output_of(60))
    assert masker.feature_names(59) == ["x", "3 events earlier", "2 events earlier", "1 event earlier"]
    assert np.isnan(found[:5, 3]).all(), "a first event has none before it"
    outputs = model(masker.inputs)[:, 0].detach().numpy()
    np.testing.assert_allclose(found[5:, 3], outputs[5:], atol=1e-5)
    np.testing.assert_allclose(found[:, 0], 0.0, atol=1e-6)
    gradients = integrated_gradients(model, masker, output_of(60), alignment_of(encoder), 3).effects
    np.testing.assert_allclose(gradients[5:, 3], outputs[5:], atol=1e-5)


def test_roll_out_multiplies_attention_of_the_layers(trained) -> None:  # type: ignore[no-untyped-def]
    model, encoder, frame = trained
    masker = masker_of(model, encoder, frame[:5])
    found = rollout(model, masker, alignment_of(encoder))
    kept: list[Tensor] = []
    blocks = model.backbone.blocks.blocks
    hooks = [
        block.attention_norm.register_forward_hook(
            lambda m, a, out, block=block: kept.append(_attention(block.qkv(out), block.num_heads))
        )
        for block in blocks
    ]
    with torch.no_grad():
        model(masker.inputs)
    for hook in hooks:
        hook.remove()
    eye = torch.eye(kept[0].shape[-1])
    flow = (0.5 * kept[1] + 0.5 * eye) @ (0.5 * kept[0] + 0.5 * eye)
    pooled = flow[:, 0] if model.backbone.pooling.kind == "cls" else flow.mean(dim=1)
    np.testing.assert_allclose(found, pooled[:, 1:].numpy(), atol=1e-5)


def _attention(qkv: Tensor, heads: int) -> Tensor:
    b, t, _ = qkv.shape
    q, k, _ = qkv.reshape(b, t, 3, heads, -1).unbind(2)
    score = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return score.softmax(dim=-1).mean(dim=1)


def test_roll_out_needs_attention(trained) -> None:  # type: ignore[no-untyped-def]
    _, encoder, frame = trained
    model = tabular(encoder, layers=0)
    with pytest.raises(MethodUnavailable, match="no_attention"):
        rollout(model, masker_of(model, encoder, frame[:4]), alignment_of(encoder))


def test_roll_out_and_gradients_of_text_and_events() -> None:
    frame = pd.DataFrame({"note": TEXTS}).join(stream(20))
    text = fitted(
        frame,
        ColumnRoles(text=("note",)),
        ColumnsEncoderConfig(text=TextEncoding(tokenizer="bpe", max_length=16, tfidf_features=50)),
    )
    option = TextConfig(
        hidden_size=16, num_layers=1, num_heads=2, linear_branch_lr_scale=1.0, lsa_components=8
    )
    events = fitted(
        frame, ColumnRoles(numeric=("x",), unit="who", time="when"), ColumnsEncoderConfig(max_events=3)
    )
    for encoder, backbone in (
        (text, build(option, text.layout(), 0)),
        (events, build(SequenceConfig(hidden_size=16, num_layers=1, num_heads=2), events.layout(), 0)),
    ):
        model = Model(backbone, PooledHead(backbone, 3, "linear", 0.0))
        masker = masker_of(model, encoder, frame)
        seen = rollout(model, masker, alignment_of(encoder))
        assert np.nansum(seen, axis=1).max() <= 1.0 + 1e-6
        assert np.isnan(seen[~masker.present()]).all()
        output = ExplainedOutput(MulticlassTarget("y", ("p", "q", "r"), (1.0,) * 3, ()), np.arange(20) % 3)
        found = integrated_gradients(model, masker, output, alignment_of(encoder), 32)
        size = np.nansum(np.abs(found.effects), axis=1).mean()
        assert np.abs(found.convergence_delta).mean() < 0.05 * size
