"""A small split with units and a private training over it, for the tests of the privacy room.

Run as a script it trains in a folder in one process after another, each killed with SIGKILL after the step given
(0: lives to the end): ``python -m fakes.privacy FOLDER 3 8 0``.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from core.config import OptimizerConfig, build
from core.data.types import Batch
from core.privacy.config import DifferentialPrivacy
from core.training.config import AdamWConfig, ConstantSchedule, SgdConfig, StandardTraining
from core.training.dp_sgd import DPGradient
from core.training.parallel import ALONE
from core.training.setup import TrainingInputs, TrainingSetup
from core.training.trainer import run_validator, train
from fakes.training import Held, Killer, Net, Yes


class Rows(Held):
    """A split in memory from which batches are taken; ``per_unit`` rows belong to each unit."""

    def __init__(self, rows: int = 96, seed: int = 3, per_unit: int = 1) -> None:
        super().__init__(rows, seed)
        # The rows of a unit lie apart, as they may in a table.
        self.unit_codes = None if per_unit == 1 else torch.arange(rows) % (rows // per_unit)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index, augmentation=None, generator=None):
        return Batch(self.encoded.take(index), self.targets[index], index)


@dataclass
class Settings:
    """What of a run's configuration a private training is set up from."""

    privacy: DifferentialPrivacy
    training: StandardTraining
    optimizer: OptimizerConfig


def settings(optimizer=None, **changes) -> Settings:
    """Return settings; changes of ``privacy`` begin with ``dp_``, all others are of ``training``."""
    own = {"steps": 12, "precision": "fp32", "progress": "none", "checkpoint_every_steps": 5}
    own |= {k: v for k, v in changes.items() if not k.startswith("dp_")}
    asked = {"batch_size": 24.0, "accountant": "rdp", "noise_seed": 5}
    asked |= {k.removeprefix("dp_"): v for k, v in changes.items() if k.startswith("dp_")}
    return Settings(
        DifferentialPrivacy(**asked), StandardTraining(**own), optimizer or SgdConfig(lr=0.5, momentum=0.0)
    )


def private(config: Settings, folder: Path, split=None, model=None, parallel=ALONE) -> TrainingSetup:
    """Set up the private training of a small network."""
    inputs = TrainingInputs(
        config.training,
        config.optimizer,
        ConstantSchedule(),
        model if model is not None else Net(dropout=0.0, norm=False),
        Yes(),
        split if split is not None else Rows(),
        Rows(seed=5),
        seed=0,
        checkpoints=folder,
        unit_name="patient",
        parallel=parallel,
    )
    return build(config.privacy, inputs)


def gradient_of(setup: TrainingSetup) -> DPGradient:
    """Return the private gradient of a set-up training."""
    assert isinstance(setup.step.gradient, DPGradient)
    return setup.step.gradient


def resumable(folder: Path, kill_after: int = 0, **changes):
    """Train, or resume, in a folder with dropout, adaptive clipping and an audit; write the weights."""
    asked = {
        "dp_clipping": "adaptive",
        "dp_audit_canaries": 64,
        "dp_noise_seed": None,
        "ema": 0.9,
        "micro_batch_size": 7,
    }
    config = settings(AdamWConfig(lr=0.05), **{**asked, **changes})
    setup = private(config, folder / "checkpoints", model=Net(dropout=0.2, norm=False))
    result = train(
        config.training,
        setup,
        run_validator(config.training, setup, Yes(), Rows(seed=5)),
        folder / "checkpoints",
        {"data": "abc", "privacy": setup.guarantee.fingerprint()},
        callbacks=[Killer(kill_after)] if kill_after else [],
    )
    save_file(setup.step.model.state_dict(), folder / "model.safetensors")
    return result, setup


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, *kills = sys.argv[1:]
    # Loads what torch loads late, once for all children.
    private(settings(AdamWConfig(), dp_audit_canaries=64), Path(where))
    for after in map(int, kills):
        child = os.fork()
        if child == 0:
            resumable(Path(where), after)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == (-signal.SIGKILL if after else 0), f"ended with {status}"
