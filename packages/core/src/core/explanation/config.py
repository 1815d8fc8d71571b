"""The options of ``explanation=``. Imports no torch."""

from __future__ import annotations

from core.config import option, setting


@option("explanation", "standard")
class StandardExplanation:
    """Explain held-out answers, and test whether the explanations say what the model does."""

    rows: int = setting(64, help="held-out rows that are explained and tested")


@option("explanation", "none")
class NoExplanation:
    """Explain nothing."""
