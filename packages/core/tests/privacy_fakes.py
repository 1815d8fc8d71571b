"""A small part with units and a private training over it, for the tests of the privacy room.

Run as a script it trains in a folder in one process after another, each killed with SIGKILL after the step given
(0: lives to the end): ``python privacy_fakes.py FOLDER 3 8 0``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from training_fakes import Held, Killer, Net, Yes

from core.data.types import Batch
from core.privacy.config import DifferentialPrivacy
from core.training.config import AdamWConfig, ConstantSchedule, SgdConfig, StandardTraining
from core.training.parallel import ALONE
from core.training.dp_setup import private_training
from core.training.trainer import train


class Rows(Held):
    """A part in memory from which batches are taken; ``per_unit`` rows belong to each unit."""

    def __init__(self, rows: int = 96, seed: int = 3, per_unit: int = 1) -> None:
        super().__init__(rows, seed)
        # The rows of a unit lie apart, as they may in a table.
        self.unit_codes = None if per_unit == 1 else torch.arange(rows) % (rows // per_unit)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index, augmentation=None, generator=None):
        return Batch(self.encoded.take(index), self.targets[index], index)


def settings(optimizer=None, **changes):
    """The parts of a run's configuration that a private training reads; changes to ``privacy`` or ``training``."""
    own = {"steps": 12, "precision": "fp32", "progress": "none", "checkpoint_every": 5}
    training = StandardTraining(
        **{**own, **{k: v for k, v in changes.items() if hasattr(StandardTraining, k)}}
    )
    asked = {"batch_size": 24.0, "accountant": "rdp", "noise_seed": 5}
    asked |= {k.removeprefix("dp_"): v for k, v in changes.items() if k.startswith("dp_")}
    return SimpleNamespace(
        privacy=DifferentialPrivacy(**asked),
        training=training,
        optimizer=optimizer or SgdConfig(rate=0.5, momentum=0.0),
        schedule=ConstantSchedule(),
    )


def private(config, folder: Path, part=None, model=None, parallel=ALONE):
    """Make a private training of a small network, and give both."""
    model = model if model is not None else Net(dropout=0.0, norm=False)
    made = private_training(
        config,
        model,
        Yes(),
        part if part is not None else Rows(),
        Rows(seed=5),
        unit_name="patient",
        augmentation=None,
        replaced=[],
        folder=folder,
        parallel=parallel,
    )
    assert made is not None
    return made, model


def resumable(folder: Path, kill_after: int = 0, **changes):
    """Train, or go on, in a folder with dropout, adaptive clipping and an audit; write the weights."""
    asked = {"dp_clipping": "adaptive", "dp_audit": 64, "dp_noise_seed": None, "ema": 0.9, "micro_batch": 7}
    config = settings(AdamWConfig(rate=0.05), **{**asked, **changes})
    made, model = private(config, folder / "checkpoints", model=Net(dropout=0.2, norm=False))
    model.train()
    trained = train(
        config.training,
        model,
        Yes(),
        made.batches,
        made.update,
        Rows(seed=5),
        folder / "checkpoints",
        {"data": "abc", "privacy": made.plan.fingerprint()},
        seed=made.seed,
        epoch_steps=made.epoch_steps,
        ema=made.update.ema,
        probes=[Killer(kill_after)] if kill_after else [],
    )
    save_file(model.state_dict(), folder / "model.safetensors")
    return trained, made


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, *kills = sys.argv[1:]
    private(
        settings(AdamWConfig(), dp_audit=64), Path(where)
    )  # loads what torch loads late, once for all children
    for after in map(int, kills):
        child = os.fork()
        if child == 0:
            resumable(Path(where), after)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == (-signal.SIGKILL if after else 0), f"ended with {status}"
