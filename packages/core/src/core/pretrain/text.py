"""The recipe of the text network: masked language modeling, then contrastive learning of texts that belong together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn.functional import cross_entropy, linear, normalize

from core.backbones.contexts import eval_mode, seeded_init
from core.backbones.layers import Pooling
from core.backbones.pretrained import CardTokenizer, WeightsCard, load_pretrained, read_card
from core.backbones.text_small import Trunk, TrunkConfig
from core.config import build, config_error, derive_seed
from core.data.encoders.tokens import SAMPLE, byte_level_bpe
from core.pretrain.config import TextRecipe
from core.pretrain.corpus import (
    PAD,
    SOURCES,
    TextBatches,
    TokenizedSplit,
    cached,
    read,
    source_sizes,
    tokenized,
)
from core.pretrain.job import Context, Export, Job
from core.training.config import AdamWConfig, CosineSchedule, MuonConfig
from core.training.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch, Json

VALIDATION_ROWS = 64
"""Rows of each source in a validation."""
VALIDATION_PAIRS = 128
WINDOW = 4
"""Tokens on each side that count as co-occurring."""
PPMI_TOKENS = 6_000_000
"""The most tokens of a source that co-occurrences are counted in."""


class LanguageModel(nn.Module):
    """Scores (B, K, V) of masked tokens (output layer tied to the embedding), or unit vectors (B, D) of texts."""

    def __init__(self, trunk: TrunkConfig, dropout: float) -> None:
        super().__init__()
        d = trunk.hidden_size
        self.trunk = Trunk(trunk, dropout)
        self.head = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d))
        self.bias = nn.Parameter(torch.zeros(trunk.vocab_size))
        self.pooling = Pooling("mean", d)
        self.dropout_rate = dropout
        self.dropouts = [m for m in self.trunk.modules() if isinstance(m, nn.Dropout)]

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Predict masked tokens, or embed texts."""
        tokens_BT = inputs["tokens"]
        masked = "mask_positions" in inputs
        for dropout in self.dropouts:  # masked language modeling over few epochs needs none
            dropout.p = 0.0 if masked else self.dropout_rate
        if masked:
            x_BTD = self.trunk(tokens_BT, None)
            positions_BK1 = inputs["mask_positions"].unsqueeze(-1)
            hidden_BKD = x_BTD.gather(1, positions_BK1.expand(-1, -1, x_BTD.shape[-1]))
            return linear(self.head(hidden_BKD), self.trunk.words.weight, self.bias)
        real_BT = tokens_BT != PAD
        return normalize(self.pooling(self.trunk(tokens_BT, real_BT), real_BT).float(), dim=1)


class MaskedOrContrastiveLoss:
    """Cross-entropy of masked tokens, or of a text's partner among all others (InfoNCE).

    Sources: Devlin et al. 2019 (arXiv:1810.04805); van den Oord et al. 2018 (arXiv:1807.03748); Gao et al. 2021
    (arXiv:2104.08821), whose partners are one text under two draws of dropout.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,) of scores (B, K, V) and tokens (B, K), or of vectors (B, D) and partners (B,)."""
        if outputs.dim() == 3:
            each = cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
            return each.reshape(targets.shape).mean(dim=1)
        similarity_BB = outputs @ outputs.T / self.temperature
        similarity_BB = similarity_BB.masked_fill(
            torch.eye(len(outputs), dtype=torch.bool, device=outputs.device), -torch.inf
        )
        return cross_entropy(similarity_BB, targets, reduction="none")


def ppmi_embeddings(split: TokenizedSplit, trunk: TrunkConfig, weights: list[float], seed: int) -> Tensor:
    """Return embeddings (V, D) from positive pointwise mutual information of tokens that co-occur in a window.

    The best D directions of the matrix (Levy and Goldberg 2014), scaled by the root of their singular values.
    """
    v = trunk.vocab_size
    table = np.zeros((v, v), np.float32)
    for stream, weight in zip(split.streams, weights, strict=True):
        if len(stream) < 2 * WINDOW or not weight:
            continue
        ids = stream.numpy()[:PPMI_TOKENS].astype(np.int64)
        for distance in range(1, WINDOW + 1):
            keys, times = np.unique(ids[:-distance] * v + ids[distance:], return_counts=True)
            # A source counts by its weight, whatever its size.
            table.reshape(-1)[keys] += (times * (weight * 1e6 / len(ids) / distance)).astype(np.float32)
    table += table.T.copy()
    total = table.sum()
    each = np.maximum(table.sum(1), 1e-6)
    smooth = each**0.75 / (each**0.75).sum()
    with np.errstate(divide="ignore"):
        table = np.maximum(np.log(table / each[:, None] / smooth[None]), 0.0, out=table)
    assert np.isfinite(total)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "directions"))
        u, s, _ = torch.svd_lowrank(torch.from_numpy(table), q=trunk.hidden_size, niter=2)
    found = u * s.sqrt()
    norm = found.norm(dim=1, keepdim=True)
    generator = torch.Generator().manual_seed(derive_seed(seed, "rest"))
    fresh = torch.randn(v, trunk.hidden_size, generator=generator)
    found = torch.where(norm > 1e-6, found / norm.clamp(min=1e-6), normalize(fresh, dim=1))
    return found + 0.1 * normalize(fresh, dim=1)


def text_small_job(recipe: TextRecipe, context: Context) -> Job:
    """Read the texts, train the tokenizer on the training set, and build the network of the exported sizes."""
    files: dict[str, str] = {}
    seed, device = context.seed, context.device
    sources = read(recipe, files)
    trunk = TrunkConfig(vocab_size=recipe.vocab_size)

    def make() -> tuple[bytes, tuple[TokenizedSplit, TokenizedSplit]]:
        texts = (t for source in sources for t in _pieces(source.whole))
        tokenizer = byte_level_bpe(texts, recipe.vocab_size, True)
        return tokenizer.to_str().encode(), tokenized(sources, tokenizer, recipe, seed)

    key = json.dumps(
        [
            sorted(files.items()),
            recipe.vocab_size,
            recipe.validation_fraction,
            recipe.pair_max_length,
            seed,
        ]
    )
    content, splits = cached(context.folder, hashlib.sha256(key.encode()).hexdigest(), make)
    tokenizer = Tokenizer.from_str(content.decode())
    identity = CardTokenizer(
        sha256=hashlib.sha256(content).hexdigest(),
        sample=tokenizer.encode(SAMPLE, add_special_tokens=False).ids,
        vocab_size=recipe.vocab_size,
    )
    train, validation = splits
    with seeded_init(seed, "pretrain"):
        model = LanguageModel(trunk, recipe.dropout)
    resumed_from = load_initial_weights(model.trunk, recipe, seed, identity.sha256, files)
    if recipe.ppmi_init and resumed_from is None:
        with torch.no_grad():
            model.trunk.words.weight.copy_(ppmi_embeddings(train, trunk, recipe.source_weights, seed))
    model.to(device)
    optimizer = MuonConfig if recipe.optimizer == "muon" else AdamWConfig
    held_out = validation_batches(validation, recipe, seed, device)

    def predict() -> Tensor:
        with eval_mode(model), torch.no_grad():
            return model(held_out["pairs"].inputs).cpu()  # type: ignore[no-any-return]

    return Job(
        model=model,
        losses=MaskedOrContrastiveLoss(recipe.temperature),
        batches=lambda steps: TextBatches(train, recipe, steps, seed, device),
        optimizers=lambda m: build(optimizer(lr=recipe.lr, beta2=0.98, weight_decay=recipe.weight_decay), m),
        schedule=lambda steps: build(CosineSchedule(), steps),
        evaluate=lambda: loss_and_accuracy(model, held_out, context, recipe.temperature),
        monitor="pairs_loss",
        validate_every=500,
        unit="tokens",
        units_per_step=recipe.batch_tokens,
        steps=recipe.steps,
        ema=recipe.ema,
        max_grad_norm=1.0,
        sources=source_sizes(splits, recipe),
        files=files,
        export=Export(
            name="text_small",
            module=model.trunk,
            fp16=recipe.fp16,
            predict=predict,
            tokenizer=identity,
            tokenizer_file=content,
            resumed_from=resumed_from,
        ),
    )


def load_initial_weights(
    trunk: Trunk, recipe: TextRecipe, seed: int, tokenizer: str, files: dict[str, str]
) -> dict[str, Json] | None:
    """Load ``recipe.initial_weights`` into the trunk and return the main entries of their card; None for random ones.

    Raises ValueError for weights without a card or unlike it, of another network or tokenizer, or of another choice of
    texts to hold out.
    """
    chosen = recipe.initial_weights
    if chosen == "random":
        return None
    key = "recipe.initial_weights"
    card = read_card("text_small") if chosen == "pretrained" else _card_beside(Path(chosen).expanduser(), key)
    if card.tokenizer is None or card.tokenizer.sha256 != tokenizer:
        raise config_error(key, chosen, "its tokenizer was trained on other texts or for another vocabulary")
    known = {name: one.sha256 for name, one in card.files.items()}
    fraction = card.settings["validation_fraction"]
    if (card.seed, fraction, known) != (seed, recipe.validation_fraction, files):
        raise config_error(
            key,
            chosen,
            f"it held out other texts for validation: use its files, seed={card.seed} and "
            f"recipe.validation_fraction={fraction}",
        )
    load_pretrained(trunk, "text_small", chosen, key)
    kept = {
        "sha256",
        "settings",
        "steps",
        "device",
        "training_seconds",
        "energy",
        "final",
        "resumed_from",
    }
    return card.model_dump(include=kept, exclude_none=True)


def _card_beside(weights: Path, key: str) -> WeightsCard:
    """Read the card beside a file of weights, raising ValueError where it is missing or of another file."""
    beside = weights.with_suffix(".json")
    if not (weights.is_file() and beside.is_file()):
        raise config_error(key, str(weights), f"it or its card is missing: {beside.name} beside it")
    card = WeightsCard.model_validate_json(beside.read_text(encoding="utf-8"))
    if card.name != "text_small":
        raise config_error(key, str(weights), f"its card is one of {card.name}, not of text_small")
    if card.sha256 != hashlib.sha256(weights.read_bytes()).hexdigest():
        raise config_error(key, str(weights), f"it is not the file that {beside.name} describes")
    return card


def _pieces(texts: list[str]) -> list[str]:
    """Cut long texts, which the tokenizer's trainer takes whole, into pieces of some thousand characters."""
    return [t[first : first + 5000] for t in texts for first in range(0, len(t), 5000)]


def validation_batches(
    validation: TokenizedSplit, recipe: TextRecipe, seed: int, device: torch.device
) -> dict[str, Batch]:
    """Return the batches of a validation, the same each time: masked rows of each source, and pairs."""
    batches = TextBatches(validation, recipe, 1, derive_seed(seed, "looks"), device)
    found: dict[str, Batch] = {}
    for k, name in enumerate(SOURCES):
        if batches.weights[k] > 0:
            generator = torch.Generator(device).manual_seed(derive_seed(seed, "look", k))
            found[name] = batches.masked(VALIDATION_ROWS, recipe.max_length, generator, source=k)
    generator = torch.Generator(device).manual_seed(derive_seed(seed, "look", "pairs"))
    found["pairs"] = batches.pairs(0, VALIDATION_PAIRS, generator)
    return found


def loss_and_accuracy(
    model: nn.Module, batches: dict[str, Batch], context: Context, temperature: float
) -> dict[str, float]:
    """Return loss and accuracy of masked tokens by source, and of a question's partner among all texts."""
    found: dict[str, float] = {}
    with eval_mode(model), torch.no_grad(), autocast(context.precision, context.device):
        for name, batch in batches.items():
            outputs: Any = model(batch.inputs).float()
            losses = MaskedOrContrastiveLoss(temperature).losses(outputs, batch.targets)
            if outputs.dim() == 2:
                outputs = outputs @ outputs.T - 2 * torch.eye(len(outputs), device=context.device)
            found[f"{name}_loss"] = float(losses.mean())
            found[f"{name}_accuracy"] = float((outputs.argmax(-1) == batch.targets).double().mean())
    return found
