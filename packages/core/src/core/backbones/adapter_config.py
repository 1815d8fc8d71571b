"""The ``adapter=`` options: which weights are trained, and the head. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.config import AdapterConfig, field, register
from core.config.validate import at_least_zero, fractions, one_of, positive

_LINEAR_PROBE_EPOCHS = (
    "LP-FT: epochs of a linear probe before everything trains, without augmentation (for pretrained weights); "
    "0: none"
)
_LINEAR_PROBE_LR = "LP-FT: peak learning rate of the linear probe (AdamW)"


@runtime_checkable
class LinearProbeFirst(Protocol):
    """An ``adapter=`` option that may train a linear probe before all that it trains (LP-FT)."""

    linear_probe_epochs: int
    linear_probe_lr: float


@dataclass
class HeadConfig(AdapterConfig):
    """The head, which every adapter has."""

    head_type: str = field("linear", help="linear, or mlp (one hidden layer)")
    dropout: float = field(0.0, help="dropout before the head")

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        one_of("adapter.head_type", self.head_type, ("linear", "mlp"))
        fractions("adapter", dropout=self.dropout)


@register("adapter", "full", builds="core.backbones.adapters:full_fine_tuning")
class FullConfig(HeadConfig):
    """Train every weight."""

    linear_probe_epochs: int = field(0, help=_LINEAR_PROBE_EPOCHS)
    linear_probe_lr: float = field(1e-2, help=_LINEAR_PROBE_LR)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        super().__post_init__()
        at_least_zero("adapter", linear_probe_epochs=self.linear_probe_epochs)
        positive("adapter", linear_probe_lr=self.linear_probe_lr)


@register("adapter", "linear_probe", builds="core.backbones.adapters:linear_probe")
class LinearProbeConfig(HeadConfig):
    """Train the head only; the backbone stays as loaded."""


@register("adapter", "lora", builds="core.backbones.lora:lora")
class LoraAdapterConfig(HeadConfig):
    """Train low-rank additions to the linear layers (LoRA), and the head."""

    rank: int = field(8, help="rank of each addition")
    alpha: float = field(16.0, help="additions are scaled by alpha / rank")
    lora_dropout: float = field(0.0, help="dropout before each addition")
    target_modules: list[str] = field(
        [], help="suffixes of the names of the layers to adapt (qkv, proj, ...); empty: all linear layers"
    )
    linear_probe_epochs: int = field(0, help=_LINEAR_PROBE_EPOCHS)
    linear_probe_lr: float = field(1e-2, help=_LINEAR_PROBE_LR)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        super().__post_init__()
        at_least_zero("adapter", linear_probe_epochs=self.linear_probe_epochs)
        positive("adapter", rank=self.rank, alpha=self.alpha, linear_probe_lr=self.linear_probe_lr)
        fractions("adapter", lora_dropout=self.lora_dropout)
