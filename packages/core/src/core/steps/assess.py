"""Step 5: assess the impact: what is promised about privacy, and how the training showed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.steps.design import Designed
from core.steps.prepare import Prepared
from core.training.run import Trained


@dataclass
class Impact:
    """The record's sections on impact; a concern that this run did not measure is None."""

    privacy: dict[str, Any] | None = None


def assess(config: RunConfig, prepared: Prepared, designed: Designed, trained: Trained) -> Impact:
    """Do step 5."""
    return Impact()
