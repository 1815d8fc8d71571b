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
    """Whose role it is to answer for the decisions, such as ``the treating physician``."""
    acts: bool = False
    """Whether a sure answer may take effect by itself. False: every answer only advises the human who decides."""
    confirm: tuple[str, ...] = ()
    """Classes that take effect only once a human confirmed them, however sure the model is."""
    confirm_positive: bool = False
    """Of a yes/no answer, yes takes effect only once a human confirmed it, whatever the data call it."""
    confirm_words: tuple[str, ...] = ()
    """Words of the input text (in any case, whole) that make any answer to it wait for a human's confirmation."""
    agreement: str | None = None
    """The task's setting that holds the least share of right answers among those left to the model, if it has one."""
