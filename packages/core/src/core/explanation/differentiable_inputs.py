"""Where inputs enter a network as numbers: float inputs themselves, discrete ones as their embeddings or flags.

Every path from the inputs to the output passes through exactly one entry, so that effects of entries add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.backbones.inputs import OneHot

FLOATS = ("numeric", "missing", "tfidf", "image", "signal", "events")
"""Inputs that are numbers; the masks beside them only tell what is there."""
CODES = ("categorical", "tokens", "words")
"""Inputs that are codes: they enter through embeddings or flags."""


@dataclass(frozen=True)
class DifferentiableInput:
    """Which input an entry carries, and the module it leaves as numbers; None: it is a number itself."""

    source: str
    module: nn.Module | None = None

    @property
    def flags(self) -> bool:
        """Tell whether it is one-hot flags."""
        return isinstance(self.module, OneHot)


class DifferentiableInputs:
    """The entries of a network, found by one trial on inputs of several rows, in eval mode."""

    def __init__(self, model: nn.Module, inputs: dict[str, Tensor]) -> None:
        self.model = model
        found: list[DifferentiableInput] = []

        def look(module: nn.Module, codes: Tensor, output: Tensor) -> None:
            source = _source(codes, inputs)
            if source is not None:
                assert all(e.module is not module for e in found), "an embedding is asked twice in one pass"
                found.append(DifferentiableInput(source, module))

        with self._hooked(look), torch.no_grad():
            model(inputs)
        floats = (name for name in FLOATS if name in inputs and inputs[name].numel())
        self.entries = (*(DifferentiableInput(name) for name in floats), *found)

    def values(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """Give each entry's numbers, (B, ...) float32."""
        made: dict[int, Tensor] = {}

        def keep(module: nn.Module, codes: Tensor, output: Tensor) -> None:
            made[id(module)] = output.detach().float()

        with self._hooked(keep), torch.no_grad():
            self.model(inputs)
        return [inputs[e.source].float() if e.module is None else made[id(e.module)] for e in self.entries]

    def outputs(self, values: Sequence[Tensor], inputs: dict[str, Tensor]) -> Tensor:
        """Run the network with the entries' numbers put in; ``inputs`` give the masks."""
        put = {
            id(e.module): value for e, value in zip(self.entries, values, strict=True) if e.module is not None
        }
        floats = {e.source: value for e, value in zip(self.entries, values, strict=True) if e.module is None}

        def exchange(module: nn.Module, codes: Tensor, output: Tensor) -> Tensor | None:
            return put.get(id(module))

        with self._hooked(exchange):
            found: Tensor = self.model({**inputs, **floats})
        return found

    @contextmanager
    def _hooked(self, look: Callable[[nn.Module, Tensor, Tensor], Tensor | None]) -> Iterator[None]:
        handles = [
            module.register_forward_hook(lambda m, given, output: look(m, given[0], output))
            for module in self.model.modules()
            if isinstance(module, nn.Embedding | OneHot)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _source(codes: Tensor, inputs: dict[str, Tensor]) -> str | None:
    """Find the input that codes come from: alike in every row but for offsets that do not depend on the row.

    Positions come from none: they are the same in every row, which an input's codes are not.
    """
    for name in CODES:
        if name in inputs and inputs[name].shape == codes.shape:
            apart = codes - inputs[name]
            if bool((apart == apart[:1]).all()):
                return name
    return None
