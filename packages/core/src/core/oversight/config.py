"""The options of ``oversight=``. Imports no torch."""

from __future__ import annotations

from core.config import option


@option("oversight", "standard")
class StandardOversight:
    """Give sets of answers with a promised coverage, and hand what the model is unsure of to a human."""


@option("oversight", "none")
class NoOversight:
    """Decide everything; hand nothing to a human."""
