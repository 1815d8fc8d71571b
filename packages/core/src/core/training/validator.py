"""Validation during training: the best weights, and early stopping."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from core.targets.metrics import LOWER_IS_BETTER
from core.training.section import BestValidation, HistoryPoint
from core.training.step import load_trainable_state, strip_prefix, trainable_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from core.training.ema import Ema

log = logging.getLogger(__name__)

PATIENCE = "patience"
"""Reason to stop of a training that no longer improves."""


class Validator:
    """Validates the model every ``every`` steps, keeps its best weights, and stops when they no longer improve.

    It belongs to the trainer, since it changes the model: it swaps in the average of the weights, and restores the
    best ones at the end.
    """

    def __init__(
        self,
        model: nn.Module,
        evaluate: Callable[[], dict[str, float]],
        monitor: str,
        *,
        every: int,
        steps: int,
        patience: int = 0,
        keep_best: bool = True,
        ema: Ema | None = None,
    ) -> None:
        """``evaluate`` returns the metrics of the validation set; ``monitor`` names the one that selects.

        ``every`` 0 validates after the last step only. ``ema`` is the average that is validated instead of the
        weights. ``patience`` counts validations without improvement; 0 never stops.
        """
        self.model = model
        self.evaluate = evaluate
        self.monitor = monitor
        self.every = every
        self.steps = steps
        self.patience = patience
        self.keep_best = keep_best
        self.ema = ema
        self.history: list[HistoryPoint] = []
        self.best_value: float | None = None
        self.best_step: int | None = None
        self.without_improvement = 0
        self._last_step = 0
        self._sign = -1.0 if monitor == "loss" or monitor in LOWER_IS_BETTER else 1.0
        self._best: dict[str, Tensor] = {}

    def after_step(self, step: int) -> None:
        """Validate if it is due after ``step`` (counted from 1)."""
        self._last_step = step
        if step == self.steps or (self.every > 0 and step % self.every == 0):
            self.validate(step)

    def validate(self, step: int) -> None:
        """Validate the model now, raising ValueError where the monitored metric is unknown."""
        with nullcontext() if self.ema is None else self.ema.average_parameters():
            metrics = self.evaluate()
            if self.monitor not in metrics:
                raise ValueError(
                    f"training.monitor={self.monitor!r}: this target has {', '.join(sorted(metrics))}"
                )
            value = metrics[self.monitor]
            finite = {name: v if math.isfinite(v) else None for name, v in metrics.items()}
            self.history.append(HistoryPoint(step=step, validation=finite))
            if not math.isfinite(value):
                log.warning(
                    "validation %s is undefined after step %d: it selects nothing", self.monitor, step
                )
            if math.isfinite(value) and (
                self.best_value is None or self._sign * value > self._sign * self.best_value
            ):
                self.best_value, self.best_step, self.without_improvement = value, step, 0
                if self.keep_best:
                    self._best = {n: t.detach().clone() for n, t in trainable_state(self.model).items()}
            else:
                self.without_improvement += 1

    def should_stop(self) -> str | None:
        """Return "patience" once so many validations brought no improvement."""
        return PATIENCE if 0 < self.patience <= self.without_improvement else None

    def at_end(self) -> None:
        """Validate once more where training ended between two validations (at a limit of time or energy)."""
        if self._last_step > (self.history[-1].step if self.history else 0):
            self.validate(self._last_step)

    def restore_best(self) -> bool:
        """Load the best weights into the model; return False where none were kept."""
        if not self._best:
            return False
        load_trainable_state(self.model, self._best)
        return True

    def best(self) -> BestValidation:
        """Return what selected the weights."""
        return BestValidation(
            monitor=self.monitor,
            step=self.best_step,
            value=self.best_value,
            without_improvement=self.without_improvement,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return history, patience and the best weights so far."""
        return {
            "history": [[point.step, point.validation] for point in self.history],
            "best_value": self.best_value,
            "best_step": self.best_step,
            "without_improvement": self.without_improvement,
            "last_step": self._last_step,
            **{f"best.{name}": tensor for name, tensor in self._best.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self.history = [HistoryPoint(step=step, validation=metrics) for step, metrics in state["history"]]
        self.best_value, self.best_step = state["best_value"], state["best_step"]
        self.without_improvement, self._last_step = state["without_improvement"], state["last_step"]
        device = next(self.model.parameters()).device
        self._best = {name: tensor.to(device) for name, tensor in strip_prefix("best", state).items()}
