"""Two processes, each with half of every batch, end with the weights of one process with all of it.

Run as a script it is one of the two: ``python test_training_parallel.py FOLDER`` forks both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from fakes.training import Held, Net, Stream, plain_step
from safetensors.torch import load_file, save_file

from core.config import build
from core.data.types import Batch
from core.training.config import AdamWConfig
from core.training.loop import fit
from core.training.parallel import ALONE, ProcessGroup
from core.training.shutdown import TrainingInterrupted
from core.training.step import TrainStep
from core.training.types import Callback

STEPS, STOP = 6, 4


class Share:
    """This rank's rows of each batch."""

    def __init__(self, whole: Stream, parallel: ProcessGroup) -> None:
        self.whole, self.parallel, self.steps = whole, parallel, whole.steps

    def from_step(self, start: int):
        for batch in self.whole.from_step(start):
            rows = slice(self.parallel.rank, None, self.parallel.world)
            yield Batch({"numeric": batch.inputs["numeric"][rows]}, batch.targets[rows], batch.index[rows])


class StopHere:
    """A reason to stop that one rank alone has."""

    def __init__(self, update: TrainStep, after: int) -> None:
        self.update, self.after = update, after

    def should_stop(self) -> str | None:
        return "enough" if self.update.step == self.after else None


def train(parallel: ProcessGroup) -> tuple[Net, str, list[float]]:
    model = Net(dropout=0.0, norm=False)
    update = plain_step(model, AdamWConfig(lr=0.01), lambda step: 1.0, max_grad_norm=0.1, parallel=parallel)
    losses: list[float] = []

    class Losses(Callback):
        def on_step(self, event) -> None:
            losses.append(event.loss)

    stops = [StopHere(update, STOP)] if parallel.rank == parallel.world - 1 else []
    stream = Share(Stream(Held(), 20, STEPS), parallel)
    reason = fit(update, stream, seed=0, callbacks=[Losses()], stopping=stops, parallel=parallel)
    return model, reason, losses


def test_two_processes_equal_one_and_stop_together(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, __file__, str(tmp_path)], env=environment, check=True, timeout=300)
    alone, reason, losses = train(ALONE)
    assert reason == "enough"
    assert len(losses) == STOP
    for rank in (0, 1):
        found = load_file(tmp_path / f"{rank}.safetensors")
        torch.testing.assert_close(found.pop("losses"), torch.tensor(losses), rtol=1e-5, atol=1e-6)
        for name, weight in alone.state_dict().items():
            torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-6, msg=name)
    for rank in (0, 1):
        assert (tmp_path / f"reason{rank}").read_text() == "enough"


def test_alone_every_method_is_the_identity() -> None:
    kept = torch.ones(2)
    ALONE.all_reduce_([kept])
    assert kept.tolist() == [1, 1]
    assert (ALONE.reduce_sum(7), ALONE.any(True), ALONE.any(False), ALONE.is_main) == (7, True, False, True)
    assert "resume" in str(TrainingInterrupted(3, 9, True))


def process(folder: Path, rank: int) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    model, reason, losses = train(ProcessGroup(rank, 2))
    save_file({**model.state_dict(), "losses": torch.tensor(losses)}, folder / f"{rank}.safetensors")
    (folder / f"reason{rank}").write_text(reason)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    build(AdamWConfig(), Net())  # makes torch load what it loads late, once for both children
    children = []
    for number in (0, 1):
        child = os.fork()
        if child == 0:
            process(Path(sys.argv[1]), number)
            os._exit(0)
        children.append(child)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
