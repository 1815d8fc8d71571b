"""Part of step 5: why the model answers as it does, and whether the explanations hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.config import RunConfig
    from core.steps.design import Designed
    from core.steps.evaluate import Judged
    from core.steps.prepare import Prepared


def explain(
    config: RunConfig, prepared: Prepared, designed: Designed, judged: Judged
) -> dict[str, Any] | None:
    """Give the record's ``explanation`` section; None where none was asked for."""
    return None
