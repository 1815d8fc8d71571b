"""What a task declares about its use. Imports no torch: tasks are read for --help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Oversight:
    """What predictions of a task may be used for, and when a human decides. Obeyed by predict and serve."""

    intended_use: str
    """What the predictions are for and by whom, in a sentence or two."""
    affected: tuple[str, ...]
    """Who is affected by the predictions, besides those who use them."""
    forbidden_uses: tuple[str, ...]
    """What the predictions must not be used for."""
    human_decides: tuple[str, ...]
    """When a human decides, in sentences."""
    responsible: str
    """Whose role it is to answer for the decisions, such as the treating physician."""
    confirm: tuple[str, ...] = ()
    """Classes that take effect only once a human confirmed them, however sure the model is."""
