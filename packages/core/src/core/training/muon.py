"""Muon in single precision, for processors that only emulate bf16: torch's own is many times slower there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_RMS_SCALE = 0.2
"""Scales an update's root mean square to about AdamW's (Liu et al. 2025, arXiv:2502.16982, eq. 4)."""


def newton_schulz(
    matrix: Tensor, coefficients: tuple[float, float, float], iterations: int, eps: float
) -> Tensor:
    """Return a matrix (m, n) with all singular values near 1, by Newton-Schulz iterations (Jordan et al. 2024)."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x  # type: ignore[no-any-return]


class ExactMuon(torch.optim.Muon):
    """torch's Muon, its settings and its state, with the matrices multiplied in the weights' own precision."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, momentum = float(group["lr"]), group["momentum"]
            assert group["adjust_lr_fn"] == "match_rms_adamw"
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                kept = state["momentum_buffer"]
                kept.lerp_(weight.grad, 1 - momentum)
                ahead = weight.grad.lerp(kept, momentum) if group["nesterov"] else kept
                update = newton_schulz(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
                weight.mul_(1 - lr * group["weight_decay"])
                weight.add_(update, alpha=-lr * _RMS_SCALE * max(weight.shape) ** 0.5)
        return loss
