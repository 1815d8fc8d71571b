"""The recipe of the text network: tokens hidden and guessed, then texts that belong together."""

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
from core.backbones.pretrained import card, load_into
from core.backbones.text_small import Shape, Trunk
from core.config import build, config_error, derive_seed
from core.data.encoders.tokens import SAMPLE, byte_level_bpe
from core.pretrain.corpus import PAD, SOURCES, Part, TextBatches, cached, counts, read, tokenised
from core.pretrain.job import Job
from core.training.config import AdamWConfig, CosineSchedule, MuonConfig
from core.training.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from core.pretrain.config import TextRecipe

LOOK_ROWS = 64
"""Rows of each source in a look."""
LOOK_PAIRS = 128
WINDOW = 4
"""Tokens on each side that count as near."""


class Guesser(nn.Module):
    """Outputs (B, K, V) for hidden tokens (the embedding again as last layer), or unit vectors (B, D) for texts."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.trunk = Trunk(shape, dropout)
        self.head = nn.Sequential(nn.Linear(shape.width, shape.width), nn.GELU(), nn.LayerNorm(shape.width))
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.pooling = Pooling("mean", shape.width)
        self.share = dropout
        self.drops = [m for m in self.trunk.modules() if isinstance(m, nn.Dropout)]

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Guess, or pool."""
        tokens_BT = inputs["tokens"]
        guesses = "places" in inputs
        for drop in self.drops:  # guessing from few passes over the texts needs none
            drop.p = 0.0 if guesses else self.share
        if guesses:
            x_BTD = self.trunk(tokens_BT, None)
            places_BK1 = inputs["places"].unsqueeze(-1)
            hidden_BKD = x_BTD.gather(1, places_BK1.expand(-1, -1, x_BTD.shape[-1]))
            return linear(self.head(hidden_BKD), self.trunk.words.weight, self.bias)
        real_BT = tokens_BT != PAD
        return normalize(self.pooling(self.trunk(tokens_BT, real_BT), real_BT).float(), dim=1)


class GuessOrFind:
    """Cross-entropy of hidden tokens, or of a text's partner among all others.

    Sources: Devlin et al. 2019 (arXiv:1810.04805); van den Oord et al. 2018 (arXiv:1807.03748); Gao et al. 2021
    (arXiv:2104.08821), whose partners are one text under two draws of dropout.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Read (B, K, V) with (B, K), or (B, D) with (B,); give (B,)."""
        if outputs.dim() == 3:
            each = cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
            return each.reshape(targets.shape).mean(dim=1)
        alike_BB = outputs @ outputs.T / self.temperature
        alike_BB = alike_BB.masked_fill(
            torch.eye(len(outputs), dtype=torch.bool, device=outputs.device), -torch.inf
        )
        return cross_entropy(alike_BB, targets, reduction="none")


def near_each_other(part: Part, shape: Shape, shares: list[float], seed: int) -> Tensor:
    """Give embeddings (V, D) from which tokens stand near each other more often than by chance.

    The best D directions of the positive pointwise mutual information within a few tokens (Levy and Goldberg 2014),
    scaled by the root of their weight.
    """
    v = shape.vocabulary
    table = np.zeros((v, v), np.float32)
    for stream, share in zip(part.streams, shares, strict=True):
        if len(stream) < 2 * WINDOW or not share:
            continue
        ids = stream.numpy()[:6_000_000].astype(np.int64)
        for away in range(1, WINDOW + 1):
            keys, times = np.unique(ids[:-away] * v + ids[away:], return_counts=True)
            # A source counts by its share, whatever its size.
            table.reshape(-1)[keys] += (times * (share * 1e6 / len(ids) / away)).astype(np.float32)
    table += table.T.copy()
    total = table.sum()
    each = np.maximum(table.sum(1), 1e-6)
    smooth = each**0.75 / (each**0.75).sum()
    with np.errstate(divide="ignore"):
        table = np.maximum(np.log(table / each[:, None] / smooth[None]), 0.0, out=table)
    assert np.isfinite(total)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "directions"))
        u, s, _ = torch.svd_lowrank(torch.from_numpy(table), q=shape.width, niter=2)
    found = u * s.sqrt()
    spread = found.norm(dim=1, keepdim=True)
    fresh = torch.randn(v, shape.width, generator=torch.Generator().manual_seed(derive_seed(seed, "rest")))
    found = torch.where(spread > 1e-6, found / spread.clamp(min=1e-6), normalize(fresh, dim=1))
    return found + 0.1 * normalize(fresh, dim=1)


def text(
    recipe: TextRecipe, seed: int, device: torch.device, precision: str, files: dict[str, str], folder: Path
) -> Job:
    """Read the texts, train the tokenizer on what is trained on, and make the network of the shipped shape."""
    sources = read(recipe, files)
    shape = Shape(vocabulary=recipe.vocabulary)

    def make() -> tuple[bytes, tuple[Part, Part]]:
        tokenizer = byte_level_bpe(
            (t for texts in sources for t in _lines(texts.whole)), recipe.vocabulary, True
        )
        return tokenizer.to_str().encode(), tokenised(sources, tokenizer, recipe, seed)

    key = json.dumps([sorted(files.items()), recipe.vocabulary, recipe.held_out, recipe.pair_length, seed])
    content, parts = cached(folder, hashlib.sha256(key.encode()).hexdigest(), make)
    tokenizer, identity = Tokenizer.from_str(content.decode()), hashlib.sha256(content).hexdigest()
    trained, watched = parts
    with seeded_init(seed, "pretrain"):
        model = Guesser(shape, recipe.dropout)
    former = started(model.trunk, recipe, seed, identity, files)
    if recipe.cooccurrence and not former:
        with torch.no_grad():
            model.trunk.words.weight.copy_(near_each_other(trained, shape, recipe.shares, seed))
    model.to(device)

    def optimizers(m: nn.Module) -> list[Optimizer]:
        if recipe.optimizer == "muon":
            return build(MuonConfig(lr=recipe.rate, beta2=0.98, weight_decay=recipe.weight_decay), m)  # type: ignore[no-any-return]
        return build(AdamWConfig(lr=recipe.rate, beta2=0.98, weight_decay=recipe.weight_decay), m)  # type: ignore[no-any-return]

    looks = _looks(watched, recipe, seed, device)

    def judge() -> dict[str, float]:
        return judged(model, looks, device, precision, recipe.temperature)

    def compare() -> Tensor:
        with eval_mode(model), torch.no_grad():
            return model(looks["pairs"].inputs).cpu()  # type: ignore[no-any-return]

    sample = tokenizer.encode(SAMPLE, add_special_tokens=False).ids
    return Job(
        model=model,
        losses=GuessOrFind(recipe.temperature),
        stream=lambda steps: TextBatches(trained, recipe, steps, seed, device),
        optimizers=optimizers,
        schedule=lambda steps: build(CosineSchedule(), steps),
        judge=judge,
        judge_every=500,
        unit="tokens",
        units_per_step=recipe.batch_tokens,
        steps=recipe.steps,
        ema=recipe.ema,
        max_grad_norm=1.0,
        data=counts(parts, recipe),
        keep=model.trunk,
        name="text_small",
        fp16=recipe.fp16,
        compare=compare,
        card={
            "tokenizer": {
                "sha256": identity,
                "sample": sample,
                "vocabulary": recipe.vocabulary,
            },
            **former,
        },
        extra={"text_small.tokenizer.json": content},
    )


def started(
    trunk: Trunk, recipe: TextRecipe, seed: int, tokenizer: str, files: dict[str, str]
) -> dict[str, Any]:
    """Put former weights into the trunk and give what their card says of them, as ``start``; empty for none.

    Raises ValueError for weights without a card or unlike it, of another network or tokenizer, or of another choice of
    texts to hold out.
    """
    if recipe.start == "none":
        return {}
    if recipe.start == "shipped":
        told = card("text_small")
    else:
        weights = Path(recipe.start).expanduser()
        beside = weights.with_suffix(".json")
        if not (weights.is_file() and beside.is_file()):
            raise config_error(
                "recipe.start", recipe.start, f"it or its card is missing: {beside.name} beside it"
            )
        told = json.loads(beside.read_text(encoding="utf-8"))
        if told.get("name") != "text_small":
            raise config_error(
                "recipe.start", recipe.start, f"its card is one of {told.get('name')}, not of text_small"
            )
        if told["sha256"] != hashlib.sha256(weights.read_bytes()).hexdigest():
            raise config_error(
                "recipe.start", recipe.start, f"it is not the file that {beside.name} describes"
            )
    if told["tokenizer"]["sha256"] != tokenizer:
        raise config_error(
            "recipe.start", recipe.start, "its tokenizer was trained on other texts or for another vocabulary"
        )
    known = {name: one["sha256"] for name, one in told["files"].items()}
    if (told["seed"], told["settings"]["held_out"], known) != (seed, recipe.held_out, files):
        raise config_error(
            "recipe.start", recipe.start,
            f"it held out other texts to watch the training: give its files, seed={told['seed']} and "
            f"recipe.held_out={told['settings']['held_out']}",
        )  # fmt: skip
    load_into(trunk, "text_small", recipe.start, "recipe.start")
    kept = ("sha256", "settings", "steps", "device", "training_seconds", "energy", "final", "start")
    return {"start": {key: told[key] for key in kept if key in told}}


def _lines(texts: list[str]) -> list[str]:
    """Cut long texts, which the tokenizer's trainer takes whole, into pieces of some thousand characters."""
    return [t[first : first + 5000] for t in texts for first in range(0, len(t), 5000)]


def _looks(watched: Part, recipe: TextRecipe, seed: int, device: torch.device) -> dict[str, Any]:
    """Draw the batches that watch the training, the same in every look."""
    batches = TextBatches(watched, recipe, 1, derive_seed(seed, "looks"), device)
    found: dict[str, Any] = {}
    for k, name in enumerate(SOURCES):
        if batches.shares[k] > 0:
            generator = torch.Generator(device).manual_seed(derive_seed(seed, "look", k))
            found[name] = batches.hidden(LOOK_ROWS, recipe.length, generator, source=k)
    generator = torch.Generator(device).manual_seed(derive_seed(seed, "look", "pairs"))
    found["pairs"] = batches.pairs(0, LOOK_PAIRS, generator)
    return found


def judged(
    model: nn.Module, looks: dict[str, Any], device: torch.device, precision: str, temperature: float
) -> dict[str, float]:
    """Give loss and share right of hidden tokens by source, and how often a question finds its answer."""
    found: dict[str, float] = {}
    with eval_mode(model), torch.no_grad(), autocast(precision, device):
        for name, batch in looks.items():
            outputs = model(batch.inputs).float()
            losses = GuessOrFind(temperature).losses(outputs, batch.targets)
            if outputs.dim() == 2:
                outputs = outputs @ outputs.T - 2 * torch.eye(len(outputs), device=device)
            found[f"{name}_loss"] = float(losses.mean())
            found[f"{name}_right"] = float((outputs.argmax(-1) == batch.targets).double().mean())
    return found
