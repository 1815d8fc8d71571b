"""Differentiable inputs of a network: float inputs themselves, discrete ones as their embeddings or one-hot vectors.

Every path from the inputs to the output passes through exactly one of them, so that their attributions add up
(captum: InterpretableEmbedding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.backbones.input_layers import OneHot

FLOATS = ("numeric", "missing", "tfidf", "image", "signal", "events")
"""Inputs that are numbers; the masks beside them only mark what is present."""
CODES = ("categorical", "tokens", "words")
"""Inputs that are codes: they enter through embeddings or one-hot vectors."""


@dataclass(frozen=True)
class DifferentiableInput:
    """An input of the network, and the module whose output represents it as numbers; None: it is a number itself."""

    source: str
    module: nn.Module | None = None

    @property
    def one_hot(self) -> bool:
        """Whether it is represented by one-hot vectors."""
        return isinstance(self.module, OneHot)


class DifferentiableInputs:
    """The differentiable inputs of a network, found by one pass of several rows in eval mode."""

    def __init__(self, model: nn.Module, inputs: dict[str, Tensor]) -> None:
        self.model = model
        found: list[DifferentiableInput] = []

        def observe(module: nn.Module, codes: Tensor, output: Tensor) -> None:
            source = _source(codes, inputs)
            if source is not None:
                assert all(e.module is not module for e in found), "an embedding is used twice in one pass"
                found.append(DifferentiableInput(source, module))

        with self._hooked(observe), torch.no_grad():
            model(inputs)
        floats = (name for name in FLOATS if name in inputs and inputs[name].numel())
        self.all = (*(DifferentiableInput(name) for name in floats), *found)

    def values(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """Compute the numbers of each differentiable input, (B, ...) float32."""
        embedded: dict[int, Tensor] = {}

        def keep(module: nn.Module, codes: Tensor, output: Tensor) -> None:
            embedded[id(module)] = output.detach().float()

        with self._hooked(keep), torch.no_grad():
            self.model(inputs)
        return [inputs[e.source].float() if e.module is None else embedded[id(e.module)] for e in self.all]

    def outputs(self, values: Sequence[Tensor], inputs: dict[str, Tensor]) -> Tensor:
        """Run the network with these numbers in place of its own; ``inputs`` give the masks."""
        put = {id(e.module): value for e, value in zip(self.all, values, strict=True) if e.module is not None}
        floats = {e.source: value for e, value in zip(self.all, values, strict=True) if e.module is None}

        def exchange(module: nn.Module, codes: Tensor, output: Tensor) -> Tensor | None:
            return put.get(id(module))

        with self._hooked(exchange):
            found: Tensor = self.model({**inputs, **floats})
        return found

    @contextmanager
    def _hooked(self, hook: Callable[[nn.Module, Tensor, Tensor], Tensor | None]) -> Iterator[None]:
        handles = [
            module.register_forward_hook(lambda m, given, output: hook(m, given[0], output))
            for module in self.model.modules()
            if isinstance(module, nn.Embedding | OneHot)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _source(codes: Tensor, inputs: dict[str, Tensor]) -> str | None:
    """Return the input that codes come from: equal in every row but for offsets that do not depend on the row.

    Positions come from none: they are the same in every row, which an input's codes are not.
    """
    for name in CODES:
        if name in inputs and inputs[name].shape == codes.shape:
            apart = codes - inputs[name]
            if bool((apart == apart[:1]).all()):
                return name
    return None
