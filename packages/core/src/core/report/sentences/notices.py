"""Notices that pages, documents and commands show in the same words."""

from __future__ import annotations

SIMULATED = "Simulated data."
SIMULATED_DETAIL = (
    "All rows come from a simulation with known ground truth: the results show that the tool works and say nothing "
    "about real people."
)
SIMULATED_MODEL = "the model was trained on simulated data: its predictions mean nothing for real cases"
NO_CLAIM = (
    "This document states what was measured and declared; it makes no claim of compliance with any law or "
    "standard."
)
NO_JUDGMENT = (
    "The evidence sets facts of one run beside what a framework asks and does not judge whether they suffice. What "
    "only a human can know stays visibly empty."
)
NOT_MEASURED = "Not measured in this run"
NOT_DECLARED = "Not declared in this run"
NOT_PRIVATE = "Trained without differential privacy: the weights may reveal who was in the training data."
HELD_OUT = "Measured on the test set, which neither training nor the choice of thresholds has seen."
OTHER_ROWS = "The results hold for rows like those of the test set; other places, times and devices were not evaluated."
