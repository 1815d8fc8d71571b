"""What a training step costs: operations counted exactly, and time and energy over a bare loop of the same network."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from core.regression.probes.timing import ratios
from core.training.callbacks import LearningCurve, StepTimer
from core.training.loop import fit
from core.training.step import to_device

if TYPE_CHECKING:
    from core.data.types import Batch
    from core.energy.meter import Meter
    from core.run.state import ModelAndData
    from core.targets.types import Target

BLOCK_SECONDS, MAX_BLOCK_STEPS = 0.06, 24
"""Processor time of one block, and most training steps in it."""
STEP, ENERGY = "training step over a bare loop", "energy of a step over a bare loop"


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that torch carries out, and the floating-point operations of matrix products.

    Unlike torch's own counter it places no hooks on modules: the private engine traces the same calls.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators, self.flops = 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out one operator and count it."""
        result = func(*args, **(kwargs or {}))
        self.operators += 1
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


class _TrainingSteps:
    """Blocks of the run's own training loop: batches, augmentation, step, callbacks; always the same steps."""

    def __init__(self, designed: ModelAndData, steps: int) -> None:
        self.setup, self.steps = designed.setup, steps
        self.batches = copy.copy(designed.setup.batches)

    def __call__(self) -> None:
        self.setup.step.step = 0  # the same steps each time, whatever the schedule
        self.batches.steps = self.steps
        curve, timer = LearningCurve(self.steps), StepTimer()
        fit(self.setup.step, self.batches, seed=self.setup.seed, callbacks=[timer, curve])


class _BareSteps:
    """The same network and batches in the shortest loop: forward pass, mean loss, backward pass, AdamW."""

    def __init__(self, designed: ModelAndData, target: Target, batches: list[Batch]) -> None:
        self.model = copy.deepcopy(designed.model).train()
        self.target, self.batches = target, batches
        self.optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], 1e-4)

    def __call__(self) -> None:
        for batch in self.batches:
            loss = self.target.losses(self.model(batch.inputs).float(), batch.targets).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad()


def measure_compute(
    designed: ModelAndData, target: Target, meter: Meter, limits: Mapping[str, float]
) -> dict[str, float]:
    """Return operations, time and energy of training steps; ``limits``: see ``ratios``.

    The model is trained a little by it: measure everything else before.
    """
    setup, device = designed.setup, designed.device
    one = _TrainingSteps(designed, 1)
    one()  # what is done once, such as caches and the optimizer's state, is no part of a step
    with OperatorCounter() as counter:
        one()
    begun = time.process_time()
    one()
    spent = max(time.process_time() - begun, 1e-4)
    steps = max(1, min(MAX_BLOCK_STEPS, round(BLOCK_SECONDS / spent), setup.batches.steps))
    work = _TrainingSteps(designed, steps)
    stream = itertools.islice(setup.batches.from_step(0), steps)
    bare = _BareSteps(designed, target, [to_device(b, device, False) for b in stream if len(b)])
    for piece in (work, bare):
        piece()
    readers: dict[str, Callable[[], float]] = {STEP: time.process_time}
    if meter.sources:
        readers[ENERGY] = lambda: meter.now().total
    return {
        "floating-point operations of a training step": float(counter.flops),
        "operators of a training step": float(counter.operators),
        **ratios(work, bare, readers, limits),
    }
