"""All that a GPU decides about pretraining, in one command: check, train, evaluate, write weights and a log.

PLINTH_DATA=... python benchmarks/pretrain_gpu.py OUT [--only check speed dp cifar10 cifar10_10 cnn text] [--tiny]

Stages, each written to OUT/log.json as soon as it is done (a stage that fails is written with its error, and the others
still run; a stage that is finished in OUT is not repeated):
check       device, bf16, files; a few steps of every recipe, so that a fault costs seconds, not the session
speed       images/s and tokens/s of the pretrained networks by batch size, eager and compiled, and MFU
dp          time of a private step over a non-private one, same networks, in turn in one process
cifar10     `recipe=cifar10`: loss and accuracy by epoch, seconds of training; cifar10_10: the best in 10 epochs
cnn, text   the weights to install (OUT/cnn, OUT/text: weights, card, tokenizer), with GPU-sized budgets
``--tiny`` tries every stage with next to nothing, also without a GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from dp_step import non_private, plinth
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from core.backbones import cnn_small, text_small
from core.pretrain.cnn import Classifier
from core.pretrain.config import CifarRecipe, CnnRecipe, PretrainConfig, Recipe, TextRecipe
from core.pretrain.run import pretrain, utilization
from core.pretrain.text import LanguageModel
from core.training.precision import autocast

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class ImageClassifier(nn.Module):
    """The pretrained CNN with heads, reading a plain tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Classifier(cnn_small.TRUNK, [10, 43])

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores."""
        scores: Tensor = self.network({"image": image})
        return scores


class TokenPredictor(nn.Module):
    """The pretrained Transformer, predicting every fifth token, reading a plain tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.network = LanguageModel(text_small.TRUNK, 0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (B, V), the mean over the positions, so that a loss a row is a loss a text."""
        positions = torch.arange(1, tokens.shape[1], 5, device=tokens.device).expand(len(tokens), -1)
        scores: Tensor = self.network({"tokens": tokens, "mask_positions": positions})
        return scores.mean(1)


def images(batch: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Return network, inputs and labels."""
    image = torch.randint(0, 256, (batch, 3, 32, 32), dtype=torch.uint8, device=DEVICE)
    model = ImageClassifier().to(DEVICE).to(memory_format=torch.channels_last)
    return model, image.contiguous(memory_format=torch.channels_last), torch.arange(batch, device=DEVICE) % 10


def tokens(batch: int, length: int = 128) -> tuple[nn.Module, Tensor, Tensor]:
    """Return network, inputs and labels; ``batch`` counts rows."""
    rows = torch.randint(5, text_small.TRUNK.vocab_size, (batch, length), device=DEVICE)
    return TokenPredictor().to(DEVICE), rows, torch.arange(batch, device=DEVICE) % 10


def timed(step: Callable[[], None], rounds: int) -> float:
    """Return the median seconds of a step, after warm-up."""
    for _ in range(3 if DEVICE.type == "cuda" else 1):
        step()
    seconds = []
    for _ in range(rounds):
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def speed(tiny: bool) -> dict[str, Any]:
    """Measure throughput and model FLOPs utilization."""
    kinds: dict[str, tuple[Callable[[int], tuple[nn.Module, Tensor, Tensor]], list[int], int]] = {
        "images": (images, [8] if tiny else [512, 2048, 8192], 1),
        "tokens": (tokens, [2] if tiny else [64, 256, 1024], 128),
    }
    found: list[dict[str, Any]] = []
    for kind, (make, batches, each) in kinds.items():
        for batch in batches:
            for compiled in (False, True) if DEVICE.type == "cuda" else (False,):
                model, x, y = make(batch)
                counter = FlopCounterMode(display=False)
                with torch.no_grad(), counter:
                    model(x)
                flops = 3.0 * counter.get_total_flops()
                network = torch.compile(model, mode="max-autotune-no-cudagraphs") if compiled else model
                optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=DEVICE.type == "cuda")

                def step(
                    network: Any = network, optimizer: Any = optimizer, x: Tensor = x, y: Tensor = y
                ) -> None:
                    with autocast("bf16" if DEVICE.type == "cuda" else "fp32", DEVICE):
                        loss = cross_entropy(network(x).float(), y)
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)

                seconds = timed(step, 3 if tiny else 20)
                found.append(
                    {
                        "kind": kind,
                        "batch": batch,
                        "compiled": compiled,
                        "units_per_second": batch * each / seconds,
                        "mfu": utilization(flops / seconds, DEVICE).model_dump(),
                    }
                )
                print(json.dumps(found[-1]), flush=True)
    return {"rows": found}


def dp(tiny: bool) -> dict[str, Any]:
    """Time private and non-private steps in turn, in one process."""
    found = {}
    for kind, make, batch in (
        ("images", images, 8 if tiny else 1024),
        ("tokens", tokens, 2 if tiny else 128),
    ):
        base, x, y = make(batch)
        private, ordinary = plinth(copy.deepcopy(base), batch), non_private(copy.deepcopy(base), batch)
        ratios = []
        for _ in range(2 if tiny else 10):
            once = timed(lambda p=private, x=x, y=y: p(x, y), 1)  # type: ignore[misc]
            ratios.append(once / timed(lambda p=ordinary, x=x, y=y: p(x, y), 1))  # type: ignore[misc]
        found[kind] = {"batch": batch, "private_over_plain": statistics.median(ratios), "each": ratios}
        print(kind, found[kind]["private_over_plain"], flush=True)
    return found


def trained(out: Path, name: str, recipe: Recipe) -> dict[str, Any]:
    """Run a recipe in a folder and return what counts of its record."""
    config = PretrainConfig(recipe=recipe, compile=DEVICE.type == "cuda", progress="lines")
    record = pretrain(config, out / name)
    keys = {"steps", "training_seconds", "units_per_second", "utilization", "energy", "final", "history"}
    return record.model_dump(include=keys)


def recipes(tiny: bool) -> dict[str, Recipe]:
    """Return the recipes in GPU size, or nearly nothing of them."""
    if tiny:
        small = {"stem_channels": 16, "channels": [16, 16], "blocks": [1, 1]}
        return {
            "cifar10": CifarRecipe(steps=2, batch_size=16, validate_every_epochs=1e-3, tta_views=1, **small),
            "cifar10_10": CifarRecipe(
                steps=2, batch_size=16, validate_every_epochs=1e-3, tta_views=1, **small
            ),
            "cnn": CnnRecipe(steps=2, batch_size=8),
            "text": TextRecipe(
                steps=4, batch_tokens=256, max_length=64, contrastive_pairs=4, novels="", optimizer="adamw"
            ),
        }
    return {
        "cifar10": CifarRecipe(),
        "cifar10_10": CifarRecipe(epochs=10.0, batch_size=512, lr=0.4),
        "cnn": CnnRecipe(steps=24_000, batch_size=512, lr=0.5, ema=0.999),
        "text": TextRecipe(steps=30_000, batch_tokens=16_384, contrastive_pairs=256),
    }


def check(out: Path) -> dict[str, Any]:
    """Return what the machine is, and take a few steps of every recipe."""
    found: dict[str, Any] = {"torch": str(torch.__version__), "device": str(DEVICE)}
    if DEVICE.type == "cuda":
        found |= {"gpu": torch.cuda.get_device_name(), "bf16": torch.cuda.is_bf16_supported()}
    for name, recipe in recipes(tiny=True).items():
        found[name] = trained(out / "tried", name, recipe)["final"]
    return found


def main() -> None:
    """Run the stages."""
    assert __doc__
    stages = ("check", "speed", "dp", "cifar10", "cifar10_10", "cnn", "text")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=[], choices=stages)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "log.json"
    log: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    chosen = recipes(given.tiny)
    failed = False
    for stage in given.only or stages:
        if "error" not in log.get(stage, {"error": ""}):
            continue
        print(f"== {stage}", flush=True)
        start = time.perf_counter()
        try:
            if stage in ("check", "speed", "dp"):
                log[stage] = (
                    check(given.out) if stage == "check" else {"speed": speed, "dp": dp}[stage](given.tiny)
                )
            else:
                log[stage] = trained(given.out, stage, chosen[stage])
        except Exception as error:  # the other stages are worth the machine's time all the same
            traceback.print_exc()
            log[stage] = {"error": f"{type(error).__name__}: {error}"}
            failed = True
        log[stage]["wall_seconds"] = time.perf_counter() - start
        path.write_text(json.dumps(log, indent=1) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
