"""Plinth for smarthome: commands and sensed scenes of a home, turned into device actions.

``smarthome.train("task=commands", "data=utterances", "data.path=said.jsonl")``
"""

from __future__ import annotations

from core.cli.commands import commands, reporting_commands
from core.domain import Domain
from smarthome.command import control as _control
from smarthome.glossary import METRICS

DOMAIN = Domain(
    name="smarthome",
    title="commands and sensed scenes of a home, turned into device actions",
    metrics=METRICS,
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
train, evaluate, predict, serve = commands(DOMAIN)
card, compare = reporting_commands(DOMAIN)
control = _control(DOMAIN)

__version__ = "0.2.0"
__all__ = ["DOMAIN", "card", "compare", "control", "evaluate", "predict", "serve", "train"]
