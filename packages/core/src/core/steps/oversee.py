"""Part of step 5: how sure the answers are, and which of them a human decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.config import RunConfig
    from core.steps.evaluate import Judged
    from core.steps.prepare import Prepared


def oversee(
    config: RunConfig, prepared: Prepared, judged: Judged
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Give the record's ``uncertainty`` and ``oversight`` sections; None where none was asked for."""
    return None, None
