"""Settings that the tasks of this domain share. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from typing import ClassVar, Protocol

from core.config import config_error

BIAS = "strength of the bias planted in simulated data; 0 plants none"
ORDER = "grades that are no numbers, lowest first: the scale of kappa and of mean differences"
RATERS = (
    "columns of single human ratings, where the data have them; the first is who agreement is judged against"
)
AGREEMENT = (
    "exact agreement that grades given without a human must reach on validation; the least sure go to a human"
)
FALSE_ALARMS = "share of honest validation answers that the detector of gaming may flag"


class Grading(Protocol):
    """What the studies of this domain read of a task."""

    name: ClassVar[str]

    order: list[str]
    raters: list[str]
    by: list[str]
    review_agreement: float
    false_alarms: float


def check_grading(review_agreement: float, false_alarms: float) -> None:
    """Refuse shares that can't be meant, naming the key."""
    if not 0 < review_agreement <= 1:
        raise config_error("task.review_agreement", review_agreement, "a share above 0 and up to 1")
    if not 0 < false_alarms < 1:
        raise config_error("task.false_alarms", false_alarms, "a share between 0 and 1")
