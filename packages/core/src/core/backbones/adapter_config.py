"""The ``adapter=`` options. Nothing heavy is imported until ``apply``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.config import AdapterConfig, field, register
from core.config.validate import at_least_zero, fractions, one_of, positive

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.backbones.types import Backbone

_HEAD = "linear, or mlp (one hidden layer)"
_FIRST = (
    "passes in which the head alone is trained before the rest, on rows as they are (loaded weights); 0: none"
)
_RATE = "peak learning rate of those passes (AdamW)"


@runtime_checkable
class LinearProbeFirst(Protocol):
    """An ``adapter=`` option that may train the head alone before all that it trains."""

    head_epochs: int
    head_rate: float


@register("adapter", "full")
class FullConfig(AdapterConfig):
    """Train every weight."""

    head: str = field("linear", help=_HEAD)
    dropout: float = field(0.0, help="dropout before the head")
    head_epochs: int = field(0, help=_FIRST)
    head_rate: float = field(1e-2, help=_RATE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_head(self.head, self.dropout)
        at_least_zero("adapter", head_epochs=self.head_epochs)
        positive("adapter", head_rate=self.head_rate)

    def apply(self, backbone: Backbone, width: int, reads: str, seed: int) -> Model:
        """Attach a head of ``width`` outputs and mark every weight trainable."""
        from core.backbones.adapters import full

        self.check()
        return full(backbone, width, reads, seed, self.head, self.dropout)


@register("adapter", "head")
class LinearProbeConfig(AdapterConfig):
    """Train the head only; the backbone stays as loaded."""

    head: str = field("linear", help=_HEAD)
    dropout: float = field(0.0, help="dropout before the head")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_head(self.head, self.dropout)

    def apply(self, backbone: Backbone, width: int, reads: str, seed: int) -> Model:
        """Attach a head of ``width`` outputs and freeze the backbone."""
        from core.backbones.adapters import head_only

        self.check()
        return head_only(backbone, width, reads, seed, self.head, self.dropout)


@register("adapter", "lora")
class LoraAdapterConfig(AdapterConfig):
    """Train low-rank additions to the linear layers, and the head."""

    rank: int = field(8, help="rank of each addition")
    alpha: float = field(16.0, help="additions are scaled by alpha / rank")
    lora_dropout: float = field(0.0, help="dropout before each addition")
    layers: list[str] = field(
        [], help="ends of the layers' names to adapt (qkv, proj, ...); empty: all linear layers"
    )
    head: str = field("linear", help=_HEAD)
    dropout: float = field(0.0, help="dropout before the head")
    head_epochs: int = field(0, help=_FIRST)
    head_rate: float = field(1e-2, help=_RATE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_head(self.head, self.dropout)
        at_least_zero("adapter", head_epochs=self.head_epochs)
        positive("adapter", rank=self.rank, alpha=self.alpha, head_rate=self.head_rate)
        fractions("adapter", lora_dropout=self.lora_dropout)

    def apply(self, backbone: Backbone, width: int, reads: str, seed: int) -> Model:
        """Attach a head of ``width`` outputs, add the low-rank weights and freeze the rest."""
        from core.backbones.lora import lora

        self.check()
        return lora(backbone, width, reads, seed, self)


def _check_head(head: str, dropout: float) -> None:
    one_of("adapter.head", head, ("linear", "mlp"))
    fractions("adapter", dropout=dropout)
