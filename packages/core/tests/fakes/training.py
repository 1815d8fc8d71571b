"""A small model, target and stream of batches that keep the protocols, for the tests of the training room.

Run as a script it trains in a folder in one process after another, each killed with SIGKILL after the step given
(0: lives to the end), and exits with 0 if the last one ended well: ``python -m fakes.training FOLDER CASE 3 8 0``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from core.config import build, derive_seed
from core.data.types import Batch
from core.privacy.guarantee import NoGuarantee
from core.targets.binary import BinaryTarget
from core.training.config import (
    MAY_CHANGE_ON_RESUME,
    AdamWConfig,
    CosineSchedule,
    MuonConfig,
    SgdConfig,
    StandardTraining,
)
from core.training.parallel import ALONE
from core.training.precision import PrecisionDecision
from core.training.setup import TrainingSetup
from core.training.step import ExampleLosses, MeanGradient, TrainStep
from core.training.trainer import run_validator, train
from core.training.types import Callback

ROWS, WIDTH = 96, 6


class Net(nn.Module):
    """Dropout, batch norm, two matrices and a head."""

    def __init__(self, dropout: float = 0.2, norm: bool = True) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.body = nn.Sequential(
            nn.Linear(WIDTH, 16),
            nn.BatchNorm1d(16) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(16, 16),
        )
        self.head = nn.Linear(16, 1)

    def forward(self, inputs):
        return self.head(torch.relu(self.body(inputs["numeric"])))


class Yes(BinaryTarget):
    """A binary target with one logit, validated by its accuracy."""

    def __init__(self) -> None:
        super().__init__(column="y", classes=("no", "yes"))

    def metrics(self):
        return {"accuracy": lambda p: float((p.labels == p.targets).mean())}


class Encoded:
    """Encoded rows."""

    def __init__(self, **tensors) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def take(self, index):
        return {name: tensor[index] for name, tensor in self.tensors.items()}


class Held:
    """A split in memory."""

    def __init__(self, rows: int = ROWS, seed: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(rows, WIDTH, generator=generator)
        error = torch.randn(rows, generator=generator)
        self.encoded = Encoded(numeric=x)
        self.targets = (x[:, 0] - x[:, 1] + 0.5 * error > 0).long()
        self.groups = {"sex": np.array(["f", "m"] * (rows // 2))}
        self.units = None
        self.rows = np.arange(100, 100 + rows)


class Stream:
    """Batches of a split in an order that is a pure function of (seed, step)."""

    def __init__(self, held: Held, batch_size: int, steps: int, seed: int = 0) -> None:
        self.held, self.batch_size, self.steps, self.seed = held, batch_size, steps, seed

    def from_step(self, start: int):
        for step in range(start, self.steps):
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "rows", step))
            rows = torch.randperm(len(self.held.targets), generator=generator)[: self.batch_size]
            x = self.held.encoded.take(rows)["numeric"]
            x = x + 0.01 * torch.randn_like(x)  # an augmentation that draws from the global stream
            yield Batch({"numeric": x}, self.held.targets[rows], rows)


CASES = {
    "adamw": (AdamWConfig(lr=0.01), {}),
    "adamw_ema_stop": (AdamWConfig(lr=0.05), {"ema": 0.9, "patience": 3, "micro_batch_size": 7}),
    "sgd": (SgdConfig(lr=0.1, weight_decay=0.01), {"micro_batch_size": 10}),
    "muon": (MuonConfig(lr=0.01), {"ema": 0.9}),
    "bf16": (AdamWConfig(lr=0.01), {"precision": "bf16"}),
}
STEPS = 24


class Killer(Callback):
    """Kills its process right after a step, before the step's checkpoint."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_step(self, event):
        if event.step == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


def plain_step(
    model,
    optimizer,
    schedule,
    *,
    target=None,
    objective=None,
    max_grad_norm=0.0,
    ema=None,
    parallel=ALONE,
    **losses,
):
    """Return the step of ``privacy=none``; ``losses`` are the keywords of ``ExampleLosses``."""
    gradient = MeanGradient(ExampleLosses(model, target or Yes(), objective=objective, **losses), parallel)
    return TrainStep(gradient, build(optimizer, model), schedule, max_grad_norm=max_grad_norm, ema=ema)


def run(folder: Path, case: str, kill_after: int = 0, callbacks=(), fingerprint=None, **changes):
    """Train one case in a folder, write the weights it ends with, and return result and model."""
    optimizer, settings = CASES[case]
    common = {
        "steps": STEPS,
        "batch_size": 20,
        "precision": "fp32",
        "progress": "none",
        "checkpoint_every_steps": 5,
    }
    config = StandardTraining(**{**common, **settings, **changes})
    model = Net()
    batches = Stream(Held(), config.batch_size, config.steps)
    step = plain_step(
        model,
        optimizer,
        build(CosineSchedule(warmup=0.1), config.steps),
        precision=config.precision,
        micro_batch_size=config.micro_batch_size,
        max_grad_norm=config.max_grad_norm,
        ema=config.ema,
    )
    setup = TrainingSetup(
        step,
        batches,
        PrecisionDecision(config.precision, "requested"),
        epoch_steps=3,
        seed=1,
        guarantee=NoGuarantee(),
    )
    deciding = {k: v for k, v in vars(config).items() if k not in MAY_CHANGE_ON_RESUME}
    result = train(
        config,
        setup,
        run_validator(config, setup, Yes(), Held(seed=5)),
        folder / "checkpoints",
        {"training": deciding, "data": "abc"} if fingerprint is None else fingerprint,
        callbacks=[*callbacks, *([Killer(kill_after)] if kill_after else [])],
    )
    save_file(model.state_dict(), folder / "model.safetensors")
    return result, model


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, which, *kills = sys.argv[1:]
    build(CASES[which][0], Net())  # makes torch load what it loads late, once for all children
    for after in map(int, kills):
        child = os.fork()
        if child == 0:
            run(Path(where), which, after)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == (-signal.SIGKILL if after else 0), f"ended with {status}"
