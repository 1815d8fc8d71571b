"""Learning-rate schedules: a factor on the peak as a pure function of the step, so there is no state to resume.

Each is what ``build(config.schedule, steps)`` calls, for a run of so many steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.training.config import (
        ConstantSchedule,
        CosineSchedule,
        LinearSchedule,
        MultiStepSchedule,
        OneCycleSchedule,
    )

Schedule = Callable[[int], float]
"""Step, counted from 0 -> the factor on the optimizer's peak learning rate."""


def constant(config: ConstantSchedule, steps: int) -> Schedule:
    """Return 1 after the warm-up.

    >>> from core.training.config import ConstantSchedule
    >>> factor = constant(ConstantSchedule(warmup=2), 10)
    >>> [round(factor(step), 2) for step in range(4)]
    [0.33, 0.67, 1.0, 1.0]
    """
    return _after_warmup(config.warmup, steps, lambda _: 1.0)


def cosine(config: CosineSchedule, steps: int) -> Schedule:
    """Return cosine annealing from 1 to ``min_lr_ratio`` after the warm-up."""
    low = config.min_lr_ratio
    return _after_warmup(
        config.warmup, steps, lambda done: low + (1 - low) * (1 + math.cos(math.pi * done)) / 2
    )


def linear(config: LinearSchedule, steps: int) -> Schedule:
    """Return linear decay from 1 to ``min_lr_ratio`` after the warm-up."""
    low = config.min_lr_ratio
    return _after_warmup(config.warmup, steps, lambda done: 1 - (1 - low) * done)


def onecycle(config: OneCycleSchedule, steps: int) -> Schedule:
    """Return half a cosine up from ``start_lr_ratio``, then half a cosine down to ``min_lr_ratio``."""
    start, low = config.start_lr_ratio, config.min_lr_ratio
    rise = _warmup_steps(config.warmup, steps)
    rest = max(steps - 1 - rise, 1)

    def factor(step: int) -> float:
        if step < rise:
            return start + (1 - start) * (1 - math.cos(math.pi * step / rise)) / 2
        done = min((step - rise) / rest, 1.0)
        return low + (1 - low) * (1 + math.cos(math.pi * done)) / 2

    return factor


def multistep(config: MultiStepSchedule, steps: int) -> Schedule:
    """Return ``gamma`` to the number of milestones passed, after the warm-up."""
    milestones = sorted(round(fraction * steps) for fraction in config.milestones)
    rise = _after_warmup(config.warmup, steps, lambda _: 1.0)
    return lambda step: rise(step) * config.gamma ** sum(step >= milestone for milestone in milestones)


def _warmup_steps(warmup: float, steps: int) -> int:
    """Return the steps of ``warmup``: a fraction of the run below 1, a number of steps from 1 on."""
    return min(round(warmup * steps) if warmup < 1 else round(warmup), max(steps - 1, 0))


def _after_warmup(warmup: float, steps: int, shape: Callable[[float], float]) -> Schedule:
    """Rise linearly, then follow ``shape`` of the fraction (0 to 1) of the remaining steps that is done."""
    rise = _warmup_steps(warmup, steps)
    rest = max(steps - rise, 1)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return shape(min((step - rise) / rest, 1.0))

    return factor
