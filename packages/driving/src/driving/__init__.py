"""Plinth for driving: traffic signs and street scenes from the camera.

``driving.train("task=signs", "data=image_folder", "data.path=signs/")``
"""

from __future__ import annotations

from core.app import papers, verbs
from core.domain import Domain

DOMAIN = Domain(
    name="driving",
    title="traffic signs and street scenes from the camera",
    modules=(
        "driving.signs",
        "driving.segmentation",
        "driving.sources.gtsrb",
        "driving.sources.camvid",
    ),
)
train, evaluate, predict, serve = verbs(DOMAIN)
card, compare = papers(DOMAIN)

__version__ = "0.1.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "predict", "serve", "train"]
