"""Overhead of the training loop over a hand-written one: the same network, rows, optimizer and schedule, in turn.

    python benchmarks/loop_overhead.py [--json FILE] [--pairs 24] [--threads 0]

Plinth's loop is the whole of it: ShuffledBatches over an EncodedSplit, TrainStep, seeds of each step, learning curve,
step times, progress and checkpoints by the clock. The other is what one writes in twenty lines, with the data as
tensors in memory (no DataLoader, which would only slow it down) and the same fused AdamW. Each pair times both on the
same number of steps, the order alternating from pair to pair; the result is the median of the pairs' ratios with the
95 % interval of a bootstrap over pairs. CPU time is given as well, for machines that do other work too.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from core.backbones.config import FullConfig, ResNetGNConfig, TabularConfig
from core.config import build
from core.data.batches import ShuffledBatches
from core.data.config import ColumnsEncoderConfig
from core.data.encoded_split import EncodedSplit
from core.data.encoders.columns import ColumnsEncoder
from core.data.groups import Groups
from core.data.types import ColumnRoles, Dataset
from core.energy.training_energy import TrainingEnergy
from core.targets.config import BinaryOption
from core.targets.types import Target
from core.training.callbacks import LearningCurve, LogProgress, StepTimer
from core.training.checkpoint import Checkpoints
from core.training.config import AdamWConfig, CosineSchedule, StandardTraining
from core.training.loop import fit
from core.training.step import ExampleLosses, MeanGradient, TrainStep
from core.training.types import Callback, StoppingCriterion

GOAL = 1.03
SCHEDULE_STEPS = 1_000_000
"""More than are taken."""
CHUNK_SECONDS = 0.4
"""Each side of a pair runs about this long."""


@dataclass
class Case:
    """A network and the rows it learns from."""

    name: str
    backbone: TabularConfig | ResNetGNConfig
    roles: ColumnRoles
    frame: pd.DataFrame
    batch_size: int


def cases() -> list[Case]:
    """Return the default networks of records and of images, on random rows."""
    random = np.random.default_rng(0)
    rows = 4096
    table = pd.DataFrame({f"n{i}": random.normal(size=rows) for i in range(12)})
    for i in range(6):
        table[f"c{i}"] = random.choice(list("abcdef"), size=rows)
    table["y"] = np.where(table["n0"] + random.normal(size=rows) > 0, "yes", "no")
    columns = ColumnRoles(
        target=("y",), numeric=tuple(f"n{i}" for i in range(12)), categorical=tuple(f"c{i}" for i in range(6))
    )
    pixels = random.integers(0, 256, size=(512, 32, 32, 3), dtype=np.uint8)
    images = pd.DataFrame({"image": [_png(p) for p in pixels], "y": random.choice(["no", "yes"], size=512)})
    return [
        Case("tabular transformer, 18 columns, batch 64", TabularConfig(), columns, table, 64),
        Case(
            "small CNN, 32 px, batch 32",
            ResNetGNConfig(),
            ColumnRoles(target=("y",), image="image"),
            images,
            32,
        ),
    ]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class TimedCheckpoints(Checkpoints):
    """Checkpoints by the clock only: the end of a chunk is not the end of a run."""

    def after(self, step: int, *, last: bool = False) -> None:
        """Write a checkpoint if one is due by steps or the clock."""
        super().after(step)


class PlinthLoop:
    """The loop of a run, continued for each chunk."""

    def __init__(
        self,
        model: nn.Module,
        part: EncodedSplit,
        target: Target,
        batch_size: int,
        folder: Path,
        energy: TrainingEnergy | None = None,
    ) -> None:
        """Set the loop up as a run does; ``energy`` meters it."""
        self.batches = ShuffledBatches(part, batch_size, seed=0, steps=SCHEDULE_STEPS)
        self.stopping: list[StoppingCriterion] = [] if energy is None else [energy]
        config = StandardTraining(batch_size=batch_size, precision="fp32")
        self.step = TrainStep(
            MeanGradient(ExampleLosses(model, target)),
            build(AdamWConfig(), model),
            build(CosineSchedule(), SCHEDULE_STEPS),
            max_grad_norm=config.max_grad_norm,
        )
        curve = LearningCurve(SCHEDULE_STEPS)
        self.callbacks: list[Callback] = [LogProgress(SCHEDULE_STEPS, 0, io.StringIO()), StepTimer(), curve]
        self.callbacks += [] if energy is None else [energy]
        states = {"step": self.step, "curve": curve}
        self.checkpoints = TimedCheckpoints(folder, states, {}, minutes=config.checkpoint_every_minutes)
        self.done = 0

    def __call__(self, steps: int) -> None:
        """Take so many further steps."""
        start, self.done = self.done, self.done + steps
        self.batches.steps = self.done
        fit(
            self.step,
            self.batches,
            seed=0,
            callbacks=self.callbacks,
            checkpoints=self.checkpoints,
            stopping=self.stopping,
            start=start,
        )


class HandWrittenLoop:
    """The loop one would write: an epoch's permutation, slices of it, five lines a step."""

    def __init__(self, model: nn.Module, part: EncodedSplit, batch_size: int) -> None:
        """Put all rows in memory."""
        self.model = model
        self.inputs = part.encoded.take(torch.arange(len(part)))
        self.targets = part.targets.float()
        self.batch_size = batch_size
        groups = [
            {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.01},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
        warmup = round(0.05 * SCHEDULE_STEPS)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda s: (
                (s + 1) / (warmup + 1)
                if s < warmup
                else (1 + math.cos(math.pi * (s - warmup) / (SCHEDULE_STEPS - warmup))) / 2
            ),
        )
        self.losses: list[float] = []
        self.order = torch.empty(0, dtype=torch.int64)

    def __call__(self, steps: int) -> None:
        """Take so many further steps."""
        for _ in range(steps):
            if len(self.order) < self.batch_size:
                self.order = torch.randperm(len(self.targets))
            rows, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
            outputs = self.model({name: tensor[rows] for name, tensor in self.inputs.items()})
            loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], self.targets[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
            self.losses.append(loss.item())


def prepared(case: Case) -> tuple[EncodedSplit, Target, Callable[[], nn.Module]]:
    """Return a case's rows encoded, its target, and a function that makes its network anew."""
    dataset = Dataset(case.frame, case.roles, case.name, simulated=True)
    encoder = ColumnsEncoder(ColumnsEncoderConfig(), case.roles)
    encoder.fit(case.frame)
    target = build(BinaryOption(), case.frame, case.roles)
    rows = np.arange(len(case.frame))
    part = EncodedSplit(case.frame, rows, encoder, target.encode, case.roles, Groups.fit(case.frame, dataset))

    def network() -> nn.Module:
        return build(
            FullConfig(), build(case.backbone, encoder.layout(), 0), target.width, target.reads, 0
        ).train()

    return part, target, network


def in_turn(
    ours: Callable[[int], None], other: Callable[[int], None], pairs: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], int]:
    """Time two loops in turn; return (wall, CPU) seconds a step of each chunk of each, and the steps of a chunk."""

    def seconds(loop: Callable[[int], None], steps: int) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        loop(steps)
        return (time.perf_counter() - wall) / steps, (time.process_time() - processor) / steps

    for loop in (ours, other):
        loop(5)
    steps = max(round(CHUNK_SECONDS / seconds(other, 10)[0]), 4)
    mine, theirs = [], []
    for pair in range(pairs):
        if pair % 2:
            theirs.append(seconds(other, steps))
        mine.append(seconds(ours, steps))
        if not pair % 2:
            theirs.append(seconds(other, steps))
    return mine, theirs, steps


def ratio(
    mine: list[tuple[float, float]], theirs: list[tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the median of the pairs' ratios (wall clock, CPU time) and its 95 % bootstrap interval."""
    ratios, pairs = np.array(mine) / np.array(theirs), len(mine)
    drawn = np.random.default_rng(0).integers(0, pairs, size=(2000, pairs))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), [0.025, 0.975], axis=0)
    return np.median(ratios, axis=0), low, high


def measure(case: Case, pairs: int, folder: Path) -> dict[str, Any]:
    """Time both loops on a case in turn."""
    part, target, network = prepared(case)
    ours = PlinthLoop(network(), part, target, case.batch_size, folder)
    by_hand = HandWrittenLoop(network(), part, case.batch_size)
    mine, theirs, steps = in_turn(ours, by_hand, pairs)
    ours_ms, by_hand_ms = (np.median(np.array(times), axis=0) * 1e3 for times in (mine, theirs))
    (wall, processor), low, high = ratio(mine, theirs)
    return {
        "name": case.name,
        "ours_ms": float(ours_ms[0]),
        "by_hand_ms": float(by_hand_ms[0]),
        "ours_over_by_hand": float(wall),
        "low": float(low[0]),
        "high": float(high[0]),
        "processor_ours_over_by_hand": float(processor),
        "processor_low": float(low[1]),
        "processor_high": float(high[1]),
        "pairs": pairs,
        "steps_per_chunk": steps,
        "threads": torch.get_num_threads(),
        "goal": GOAL,
    }


def main() -> None:
    """Measure all cases, print a line for each, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--pairs", type=int, default=24, help="timed pairs of a case")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 lets torch decide")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases()):
            row = measure(case, arguments.pairs, Path(folder, str(number)))
            rows.append(row)
            print(
                f"{row['name']:42s} Plinth {row['ours_ms']:7.2f} ms  hand-written {row['by_hand_ms']:7.2f} ms  "
                f"ratio {row['ours_over_by_hand']:.3f} ({row['low']:.3f} to {row['high']:.3f}), of CPU time "
                f"{row['processor_ours_over_by_hand']:.3f} ({row['processor_low']:.3f} to "
                f"{row['processor_high']:.3f}); goal {GOAL}"
            )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
