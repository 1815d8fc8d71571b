"""What a task declares about its use. Imports no torch: tasks are read for --help."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from core.oversight.section import DeclarationSection


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
    """Whether a confident prediction may take effect by itself. False: all predictions only advise a human."""
    confirm: tuple[str, ...] = ()
    """Classes that take effect only once a human confirmed them, however confident the model is."""
    confirm_positive: bool = False
    """Of a binary target, the positive class takes effect only once a human confirmed it, whatever its name."""
    confirm_words: tuple[str, ...] = ()
    """Words of the input text (in any case, whole) that make any prediction wait for a human's confirmation."""
    accuracy_key: str | None = None
    """The task's key that holds the least accuracy of the predictions left to the model, if it has one."""

    def section(self) -> DeclarationSection:
        """Return it for the record."""
        return DeclarationSection.model_validate(asdict(self))
