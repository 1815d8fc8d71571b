"""Time and memory of a private training step over a non-private one: Plinth and opacus (hooks, ghost clipping) in turn.

A step is forward, backward, clipping, noise and update. Each round runs every method once, in turn, in one process;
the ratios are medians over rounds of the ratio within a round. `python benchmarks/dp_step.py --json FILE`

The private step does what core.training.dp_sgd does in a run: noise drawn into the sum, gradients added to it.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from core.privacy.batch_norm import convert_batch_norm
from core.privacy.clipping import FlatClip, PerExampleClipper
from core.privacy.mechanism import gaussian_noise_

NOISE_MULTIPLIER, CLIP_NORM, LR = 1.0, 1.0, 1e-4


class Encoder(nn.Module):
    """A pre-norm Transformer over T vectors, mean-pooled, without dropout."""

    def __init__(self, width: int, layers: int, length: int) -> None:
        """Make ``layers`` blocks of a width."""
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, length, width))
        blocks = [
            timm.models.vision_transformer.Block(width, width // 64, qkv_bias=True) for _ in range(layers)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, 10) of vectors (B, T, width)."""
        logits: Tensor = self.head(self.norm(self.blocks(x + self.position)).mean(1))
        return logits


@dataclass(frozen=True)
class Case:
    """A model and one batch of inputs and targets."""

    name: str
    kind: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


def vit(classes: int = 10) -> nn.Module:
    """Return a small vision transformer of 32 pixels."""
    return timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=classes)


def resnet() -> nn.Module:
    """Return a ResNet-18 with group normalization."""
    model = timm.create_model("resnet18", num_classes=10)
    convert_batch_norm(model, "group")
    return model


def lora() -> nn.Module:
    """Return the vision transformer with LoRA."""
    return get_peft_model(vit(), LoraConfig(r=8, target_modules=["qkv", "proj"], modules_to_save=["head"]))


def head_only() -> nn.Module:
    """Return the vision transformer with all but the head frozen."""
    model = vit().requires_grad_(False)
    model.get_submodule("head").requires_grad_(True)
    return model


CASES = [
    Case("transformer d256 L4 T64 B32", "transformer", lambda: Encoder(256, 4, 64), (32, 64, 256)),
    Case("transformer d512 L4 T128 B8", "transformer", lambda: Encoder(512, 4, 128), (8, 128, 512)),
    Case("vit-tiny 32px B32", "transformer", vit, (32, 3, 32, 32)),
    Case("resnet18-groupnorm 64px B16", "cnn", resnet, (16, 3, 64, 64)),
    Case(
        "convnext-atto 64px B16",
        "cnn",
        lambda: timm.create_model("convnext_atto", num_classes=10),
        (16, 3, 64, 64),
    ),
    Case("vit-tiny lora r8 B32", "adapter", lora, (32, 3, 32, 32)),
    Case("vit-tiny head only B32", "adapter", head_only, (32, 3, 32, 32)),
]
Step = Callable[[Tensor, Tensor], None]


def non_private(model: nn.Module, rows: int) -> Step:
    """Return the step of training without privacy."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], LR)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def plinth(model: nn.Module, rows: int) -> Step:
    """Return the step of the bookkeeping engine; the clipped mean is added to a tensor that holds the noise."""
    clipper = PerExampleClipper(model, rule=FlatClip(CLIP_NORM), scale=1 / rows)
    optimizer = torch.optim.SGD(clipper.parameters.values(), LR)
    number = itertools.count()

    def step(x: Tensor, y: Tensor) -> None:
        gaussian_noise_(clipper.flat, NOISE_MULTIPLIER * CLIP_NORM / rows, 1, next(number))
        with clipper.trace(len(y)):
            clipper.clipped_gradients(F.cross_entropy(model(x), y, reduction="none"))
        for name, p in clipper.parameters.items():
            p.grad = clipper.sums[name]
        optimizer.step()
        for p in clipper.parameters.values():
            p.grad = None

    return step


def opacus_hooks(model: nn.Module, rows: int) -> Step:
    """Return the step of opacus with per-example gradients from hooks."""
    wrapped = GradSampleModule(model)
    inner = torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], LR)
    optimizer = DPOptimizer(
        inner, noise_multiplier=NOISE_MULTIPLIER, max_grad_norm=CLIP_NORM, expected_batch_size=rows
    )

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(wrapped(x), y).backward()
        optimizer.step()

    return step


def opacus_ghost(model: nn.Module, rows: int) -> Step:
    """Return the step of opacus with ghost clipping."""
    wrapped = GradSampleModuleFastGradientClipping(model, max_grad_norm=CLIP_NORM)
    inner = torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], LR)
    optimizer = DPOptimizerFastGradientClipping(
        inner, noise_multiplier=NOISE_MULTIPLIER, max_grad_norm=CLIP_NORM, expected_batch_size=rows
    )
    criterion = DPLossFastGradientClipping(wrapped, optimizer, nn.CrossEntropyLoss(), loss_reduction="mean")

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        criterion(wrapped(x), y).backward()
        optimizer.step()

    return step


METHODS = {
    "non-private": non_private,
    "plinth": plinth,
    "opacus hooks": opacus_hooks,
    "opacus ghost": opacus_ghost,
}


def peak_memory(step: Step, x: Tensor, y: Tensor) -> int:
    """Return the peak bytes of tensors alive during a step beyond those before it, from the allocator's events."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step(x, y)
    now = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda e: e.start_ns()):  # type: ignore[union-attr]
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


def measure(case: Case, rounds: int, names: list[str]) -> dict[str, Any]:
    """Return a row of the table."""
    torch.manual_seed(0)
    base = case.build().train()
    x, y = torch.randn(*case.shape), torch.arange(case.shape[0]) % 10
    held = sum(p.numel() * p.element_size() for p in base.parameters())
    steps: dict[str, Step] = {}
    failures: dict[str, str] = {}
    memory: dict[str, int] = {}
    for name in names:
        try:
            step = METHODS[name](copy.deepcopy(base), case.shape[0])
            step(x, y)
            step(x, y)
            if name in ("non-private", "plinth"):
                memory[name] = held + peak_memory(step, x, y)
        except Exception as error:  # opacus may fail in any way: the failure is the result
            if not name.startswith("opacus"):
                raise
            failures[name] = f"{name}: {type(error).__name__}: {error}"[:200]
        else:
            steps[name] = step
    times: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step(x, y)
            times[name].append(time.perf_counter() - start)
    gc.enable()

    def ratio(a: str, b: str) -> float:
        return statistics.median(m / n for m, n in zip(times[a], times[b], strict=True))

    peers = [name for name in steps if name.startswith("opacus")]
    return {
        "name": case.name,
        "kind": case.kind,
        "ours_over_plain": ratio("plinth", "non-private"),
        "opacus_over_ours": min((ratio(peer, "plinth") for peer in peers), default=None),
        "opacus_error": "; ".join(failures.values()) or None,
        "memory_over_plain": memory["plinth"] / memory["non-private"],
        "plain_ms": 1e3 * statistics.median(times["non-private"]),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Measure the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the rows here")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", help="part of the names of the cases to run")
    parser.add_argument("--no-opacus", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    names = ["non-private", "plinth"] if options.no_opacus else list(METHODS)
    rows = []
    for case in CASES:
        if options.only and options.only not in case.name:
            continue
        rows.append(measure(case, options.rounds, names))
        print(rows[-1], flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
