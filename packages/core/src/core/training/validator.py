"""Looks at the validation part during training: the best weights, and when to stop."""

from __future__ import annotations

import contextlib
import logging
import math
from typing import TYPE_CHECKING, Any

from core.targets.metrics import LOWER_IS_BETTER
from core.training.step import trainable_state, load_trainable_state, strip_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from core.training.types import StepEvent

log = logging.getLogger(__name__)


class Validator:
    """Judges the model every ``every`` steps, keeps its best weights, and stops when they no longer get better."""

    def __init__(
        self,
        model: nn.Module,
        judge: Callable[[], dict[str, float]],
        metric: str,
        *,
        every: int,
        steps: int,
        patience: int = 0,
        keep_best: bool = True,
        weights: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """``judge`` gives the figures of the held-out validation part; ``metric`` names the one that selects.

        ``every`` 0 judges after the last step only. ``weights`` puts the weights to be judged (an average)
        into the model for a while. ``patience`` counts looks without a better figure; 0 never stops.
        """
        self.model = model
        self.judge = judge
        self.metric = metric
        self.every = every
        self.steps = steps
        self.patience = patience
        self.keep_best = keep_best
        self.weights = weights
        self.history: list[dict[str, float | None]] = []
        self.best_value: float | None = None
        self.best_step: int | None = None
        self.waited = 0
        self._seen = 0
        self._sign = -1.0 if metric == "loss" or metric in LOWER_IS_BETTER else 1.0
        self._best: dict[str, Tensor] = {}

    def on_step(self, event: StepEvent) -> None:
        """Judge the model if its turn has come."""
        self._seen = event.step
        if event.step == self.steps or (self.every > 0 and event.step % self.every == 0):
            self.look(event.step)

    def look(self, step: int) -> None:
        """Judge the model now, raising ValueError where the selecting metric is unknown."""
        with self.weights():
            figures = self.judge()
            if self.metric not in figures:
                raise ValueError(
                    f"training.monitor={self.metric!r}: this target has {', '.join(sorted(figures))}"
                )
            value = figures[self.metric]
            self.history.append(
                {"step": step, **{n: v if math.isfinite(v) else None for n, v in figures.items()}}
            )
            if not math.isfinite(value):
                log.warning("validation %s is undefined after step %d: it selects nothing", self.metric, step)
            if math.isfinite(value) and (
                self.best_value is None or self._sign * value > self._sign * self.best_value
            ):
                self.best_value, self.best_step, self.waited = value, step, 0
                if self.keep_best:
                    self._best = {n: t.detach().clone() for n, t in trainable_state(self.model).items()}
            else:
                self.waited += 1

    def exhausted(self) -> str | None:
        """Say that patience ran out, if it did."""
        if self.patience == 0 or self.waited < self.patience:
            return None
        return f"validation {self.metric} was best after step {self.best_step} and not better {self.waited} times since"

    def restore_best(self) -> bool:
        """Put the best weights into the model; False where none were kept."""
        if not self._best:
            return False
        load_trainable_state(self.model, self._best)
        return True

    def on_end(self) -> None:
        """Judge once more where training ended between two looks (a budget that ran out)."""
        if self._seen > (self.history[-1]["step"] or 0 if self.history else 0):
            self.look(self._seen)

    def findings(self) -> dict[str, Any]:
        """Give the figures by step, and the best."""
        best = {"metric": self.metric, "step": self.best_step, "value": self.best_value}
        return {"validation": {"history": self.history, "best": best}}

    def state_dict(self) -> dict[str, Any]:
        """Give history, patience and the best weights so far."""
        return {
            "history": self.history,
            "best_value": self.best_value,
            "best_step": self.best_step,
            "waited": self.waited,
            "seen": self._seen,
            **{f"best.{name}": tensor for name, tensor in self._best.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.history = list(state["history"])
        self.best_value, self.best_step = state["best_value"], state["best_step"]
        self.waited, self._seen = state["waited"], state["seen"]
        device = next(self.model.parameters()).device
        self._best = {name: tensor.to(device) for name, tensor in strip_prefix("best", state).items()}
