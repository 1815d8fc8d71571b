"""The clipped sum equals a float64 loop over single examples, for rules of clipping, batches and whole models."""

import gc
import math
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from core.privacy.batch_norm import convert_batch_norm
from core.privacy.clipping import (
    AdaptiveClip,
    AutomaticClip,
    ClipRule,
    FlatClip,
    PerExampleClipper,
    PerLayerClip,
)

torch.set_num_threads(1)
Losses = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def single_gradients(model: nn.Module, losses: Losses, rows: int) -> list[dict[str, Tensor]]:
    """Autograd's gradient of each example alone."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = []
    for i in range(rows):
        grads = torch.autograd.grad(losses(torch.tensor([i])).sum(), list(named.values()), allow_unused=True)
        found.append(
            {
                n: torch.zeros_like(p) if g is None else g
                for (n, p), g in zip(named.items(), grads, strict=True)
            }
        )
    return found


def norm(gradient: dict[str, Tensor]) -> float:
    return math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))


def assert_exact(model: nn.Module, losses: Losses, rows: int = 4) -> None:
    """Norms and clipped sum, half of the examples being clipped."""
    single = single_gradients(model, losses, rows)
    norms = [norm(g) for g in single]
    clip_norm = sorted(norms)[rows // 2] * 0.9
    clipper = PerExampleClipper(model, rule=FlatClip(clip_norm))
    with clipper.trace(rows):
        result = clipper.clipped_gradients(losses(torch.arange(rows)))
    torch.testing.assert_close(
        result.norms_U, torch.tensor(norms, dtype=torch.float64), rtol=1e-9, atol=1e-12
    )
    expected = torch.cat(
        [
            sum(min(1.0, clip_norm / n) * g[name] for n, g in zip(norms, single, strict=True)).flatten()
            for name in clipper.sums
        ]
    )
    assert float((clipper.flat - expected).norm() / expected.norm()) <= 1e-6
    assert all(p.grad is None for p in model.parameters())


def image_losses(model: nn.Module, x: Tensor) -> Losses:
    y = torch.arange(len(x)) % 3
    return lambda index: F.cross_entropy(model(x[index]), y[index], reduction="none")


MODELS = {
    "vit": ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2}, 32),
    "convnext": ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 16, 16, 24)}, 32),
    "resnet": ("resnet18", {"layers": (1, 1, 1, 1)}, 32),
    "beit": (
        "beit_base_patch16_224",
        {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
        32,
    ),
    "nfnet": ("nf_resnet26", {"depths": (1, 1, 1, 1), "channels": (32, 64, 64, 96)}, 32),
}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("derived", MODELS)
def test_vision_backbones(derived: str, channels_last: bool) -> None:
    name, options, side = MODELS[derived]
    model = timm.create_model(name, num_classes=3, **options)
    convert_batch_norm(model, "group")
    model.double().train()
    x = torch.randn(3, 3, side, side, dtype=torch.float64)
    if channels_last:
        model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    assert_exact(model, image_losses(model, x), 3)


def bert() -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=31,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        num_labels=3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config).double().train()


# A length that is a multiple of the batch: positions must not be taken for examples.
@pytest.mark.parametrize("length", [4, 7, 8])
def test_bert(length: int) -> None:
    model = bert()
    ids, y = torch.randint(0, 31, (4, length)), torch.arange(4) % 3
    assert_exact(model, lambda i: F.cross_entropy(model(input_ids=ids[i]).logits, y[i], reduction="none"))


def test_gpt2_with_tied_embedding_and_output() -> None:
    config = GPT2Config(
        vocab_size=31, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    model = GPT2LMHeadModel(config).double().train()
    ids = torch.randint(0, 31, (4, 8))

    def losses(index: Tensor) -> Tensor:
        logits = model(input_ids=ids[index]).logits[:, :-1]
        return F.cross_entropy(logits.transpose(1, 2), ids[index, 1:], reduction="none").mean(1)

    assert_exact(model, losses)


def test_lora() -> None:
    model = get_peft_model(
        bert(), LoraConfig(r=2, target_modules=["query", "value"], lora_dropout=0.0)
    ).double()
    for name, p in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p)
    ids, y = torch.randint(0, 31, (4, 8)), torch.arange(4) % 3
    assert_exact(model, lambda i: F.cross_entropy(model(input_ids=ids[i]).logits, y[i], reduction="none"))


def small() -> tuple[nn.Module, Losses]:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)).double()
    return model, image_losses(
        model, torch.randn(4, 6, dtype=torch.float64) * torch.tensor([[1.0], [3], [9], [0.1]])
    )


@pytest.mark.parametrize("rule", [PerLayerClip(0.3), AutomaticClip(0.5), AdaptiveClip(0.2), FlatClip(1e9)])
def test_rules_of_clipping(rule: ClipRule) -> None:
    model, losses = small()
    clipper = PerExampleClipper(model, rule=rule)
    with clipper.trace(4):
        result = clipper.clipped_gradients(losses(torch.arange(4)))
    total = {name: torch.zeros_like(value) for name, value in clipper.sums.items()}
    for g in single_gradients(model, losses, 4):
        bound = 0.0
        for layer in ("0", "2"):
            part = {name: value for name, value in g.items() if name.startswith(layer)}
            if isinstance(rule, PerLayerClip):
                factor = min(1.0, 0.3 / math.sqrt(2) / norm(part))
            elif isinstance(rule, AutomaticClip):
                factor = 0.5 / (norm(g) + 0.01)
            else:
                factor = min(1.0, rule.clip_norm / norm(g))
            bound += (factor * norm(part)) ** 2
            for name, value in part.items():
                total[name] += factor * value
        assert math.sqrt(bound) <= rule.clip_norm * (1 + 1e-9)
    for name, value in clipper.sums.items():
        torch.testing.assert_close(value, total[name], rtol=1e-9, atol=1e-12)
    assert int(result.within) == sum(norm(g) <= rule.clip_norm for g in single_gradients(model, losses, 4))


def test_adaptive_norm_follows_the_quantile() -> None:
    rule = AdaptiveClip(1.0, quantile=0.5, learning_rate=0.2)
    rule.update(1.0)
    assert rule.clip_norm == pytest.approx(math.exp(-0.1))
    rule.update(0.0)
    assert rule.clip_norm == pytest.approx(1.0)


@pytest.mark.parametrize("positions", [1, 20])  # Gram form, instantiated form
def test_units_are_clipped_as_a_whole(positions: int) -> None:
    model = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 3, 1, groups=1)).double()
    embedding = nn.Embedding(7, 2).double()
    both = nn.ModuleDict({"e": embedding, "m": model})
    both.forward = lambda ids: both["m"](both["e"](ids).transpose(1, 2)).mean(2)  # type: ignore[method-assign]
    ids, y = torch.randint(0, 7, (5, positions)), torch.arange(5) % 3
    units = torch.tensor([7, 3, 7, 7, 3])
    losses = lambda i: F.cross_entropy(both(ids[i]), y[i], reduction="none")  # noqa: E731
    single = single_gradients(both, losses, 5)
    clipper = PerExampleClipper(both, rule=FlatClip(0.2))
    with clipper.trace(5):
        result = clipper.clipped_gradients(losses(torch.arange(5)), units)
    expected = 0
    for k, unit in enumerate((3, 7)):
        rows = [i for i in range(5) if units[i] == unit]
        g = {name: sum(single[i][name] for i in rows) for name in single[0]}
        assert float(result.norms_U[k]) == pytest.approx(norm(g), rel=1e-9)
        expected = expected + min(1.0, 0.2 / norm(g)) * torch.cat([v.flatten() for v in g.values()])
    torch.testing.assert_close(clipper.flat, expected, rtol=1e-9, atol=1e-12)


def test_micro_batches_add_up_and_empty_ones_add_nothing() -> None:
    model, losses = small()
    whole, parts = (PerExampleClipper(model, rule=FlatClip(0.5)) for _ in range(2))
    with whole.trace(4):
        whole.clipped_gradients(losses(torch.arange(4)))
    for index in (torch.tensor([0]), torch.tensor([1, 2, 3])):
        with parts.trace(len(index)):
            parts.clipped_gradients(losses(index))
    torch.testing.assert_close(parts.flat, whole.flat)
    result = parts.clipped_gradients(torch.zeros(0))
    assert result.norms_U.shape == (0,)
    torch.testing.assert_close(parts.flat, whole.flat)
    parts.zero()
    assert not parts.flat.any()


def test_no_clipping_equals_plain_autograd_and_leaves_grad_alone() -> None:
    model, losses = small()
    losses(torch.arange(4)).sum().backward()
    plain = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    clipper = PerExampleClipper(model, rule=FlatClip(1e9))
    with clipper.trace(4):
        clipper.clipped_gradients(losses(torch.arange(4)))
    torch.testing.assert_close(clipper.flat, plain)
    assert torch.equal(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]), plain)


def test_bfloat16_compute_keeps_float32_norms() -> None:
    model = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 3))
    x = torch.randn(4, 5, 32)

    def losses(index: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(model(x[index]).mean(1).float(), index % 3, reduction="none")

    clipper = PerExampleClipper(model, rule=FlatClip(1e9))
    with clipper.trace(4):
        result = clipper.clipped_gradients(losses(torch.arange(4)))
    assert result.norms_U.dtype == clipper.flat.dtype == torch.float32
    for i, g in enumerate(single_gradients(model, losses, 4)):
        assert float(result.norms_U[i]) == pytest.approx(norm(g), rel=2e-2)


def test_mistakes_are_named() -> None:
    model, losses = small()
    with pytest.raises(ValueError, match="positive"):
        PerExampleClipper(model, rule=FlatClip(0.0))
    clipper = PerExampleClipper(model, rule=FlatClip(1.0))
    with pytest.raises(ValueError, match="inside"):
        clipper.clipped_gradients(losses(torch.arange(4)))
    with clipper.trace(4), pytest.raises(ValueError, match="one per example"):
        clipper.clipped_gradients(losses(torch.arange(4)).sum())
    with pytest.raises(ValueError, match=r"1 \(LSTM\)"):
        PerExampleClipper(nn.Sequential(nn.Linear(3, 3), nn.LSTM(3, 3)), rule=FlatClip(1.0))
    with pytest.raises(ValueError, match="no trainable"):
        PerExampleClipper(model.requires_grad_(False), rule=FlatClip(1.0))


def test_a_weight_out_of_sight_is_refused() -> None:
    model, _ = small()
    hidden = model[0].weight
    clipper = PerExampleClipper(model, rule=FlatClip(1.0))
    x = torch.randn(4, 6, dtype=torch.float64)
    with clipper.trace(4), pytest.raises(ValueError, match=r"0.weight: it was used outside"):
        clipper.clipped_gradients(model(x).sum(1) + (x @ hidden.t()).sum(1))
    assert model[0].weight is hidden
    assert hidden.grad is None


def test_an_input_overwritten_in_place_is_refused() -> None:
    first = nn.Linear(6, 6).double()
    model = nn.ModuleDict({"first": first})
    model.forward = lambda x: _overwrite(model["first"], x)  # type: ignore[method-assign]
    clipper = PerExampleClipper(model, rule=FlatClip(1.0))
    with (
        clipper.trace(4),
        pytest.raises(ValueError, match=r"first.weight: its input was changed in place"),
    ):
        clipper.clipped_gradients(model(torch.randn(4, 6, dtype=torch.float64)).sum(1))


def _overwrite(layer: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = layer(x)
    x.add_(1)
    return out


def test_a_pass_holds_no_batch_once_it_is_over() -> None:
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3)).train()
    clipper = PerExampleClipper(model, rule=FlatClip(1.0))
    examples = torch.randn(5, 64)
    place = examples.data_ptr()
    gc.collect()
    gc.disable()  # what Python only finds when it looks for circles would be held for dozens of steps
    try:
        with clipper.trace(5):
            losses = F.cross_entropy(model(examples), torch.tensor([0, 1, 2, 0, 1]), reduction="none")
            clipper.clipped_gradients(losses)
        del losses, examples
        held = [
            o
            for o in gc.get_objects()
            if type(o) is Tensor and o.device.type == "cpu" and o.data_ptr() == place
        ]
    finally:
        gc.enable()
    assert not held
    assert float(clipper.flat.norm()) > 0
