"""Plinth for driving: traffic signs and street scenes from the camera.

``driving.train("task=signs", "data=image_folder", "data.path=signs/")``
"""

from __future__ import annotations

from core.cli.commands import commands, reporting_commands
from core.domain import Domain
from driving.glossary import METRICS

DOMAIN = Domain(
    name="driving",
    title="traffic signs and street scenes from the camera",
    metrics=METRICS,
    modules=(
        "driving.signs",
        "driving.segmentation",
        "driving.sources.gtsrb",
        "driving.sources.camvid",
    ),
)
train, evaluate, predict, serve = commands(DOMAIN)
card, compare = reporting_commands(DOMAIN)

__version__ = "0.2.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "predict", "serve", "train"]
