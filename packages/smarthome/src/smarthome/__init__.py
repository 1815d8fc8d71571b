"""Plinth for smarthome: commands and sensed scenes of a home, turned into device actions.

``smarthome.train("task=commands", "data=utterances", "data.path=said.jsonl")``
"""

from __future__ import annotations

from core.app import papers, verbs
from core.domain import Domain

DOMAIN = Domain(
    name="smarthome",
    title="commands and sensed scenes of a home, turned into device actions",
    modules=(
        "smarthome.commands",
        "smarthome.scene",
        "smarthome.sources.utterances",
        "smarthome.sources.snips",
        "smarthome.sources.slurp",
        "smarthome.sources.home_assistant",
        "smarthome.sources.occupancy",
        "smarthome.sources.ashrae",
        "smarthome.sources.appliances",
    ),
)
train, evaluate, predict, serve = verbs(DOMAIN)
card, compare = papers(DOMAIN)

__version__ = "0.1.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "predict", "serve", "train"]
