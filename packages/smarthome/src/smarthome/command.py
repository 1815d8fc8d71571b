"""The verb ``control``: its settings and application. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cli.application import Application
from core.config import MISSING, config_error, field
from core.domain import Domain


@dataclass
class ControlConfig:
    """Turn utterances and sensed scenes into actions of a simulated home."""

    run: str = field(MISSING, "folder of a finished run of task=commands")
    scene_run: str | None = field(None, "folder of a finished run of task=scene, for lines with sensors")
    input: str = field("-", "file of utterances or JSON lines; - reads standard input, line by line")
    output: str = field("-", "file for the answers, JSON lines; - writes standard output")
    home: str | None = field(None, "JSON file of the home: areas and devices; empty: the one in the package")
    area: str | None = field(None, "area in which things are said, for what names no place")
    least: float | None = field(
        None, "confidence below which is refused; empty: the run's own (from validation), else 0.5"
    )
    comfort: float = field(21.0, "set-point in degrees Celsius where someone is")
    away: float = field(17.0, "set-point in degrees Celsius where no one is")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        if self.least is not None and not 0 <= self.least <= 1:
            raise config_error("least", self.least, "a probability between 0 and 1")
        from smarthome.safety import COMFORT

        for key in ("comfort", "away"):
            if not COMFORT[0] <= getattr(self, key) <= COMFORT[1]:
                raise config_error(key, getattr(self, key), f"between {COMFORT[0]:g} and {COMFORT[1]:g} °C")


def control(domain: Domain) -> Application:
    """Return the domain's ``control``: utterances and sensed scenes in, device actions out."""

    def work(config: ControlConfig, folder: Path, domain: Domain) -> list[dict[str, Any]]:
        from smarthome.controller import run_control

        return run_control(config)

    summary = "Turn utterances and sensed scenes into actions of a simulated home."
    return Application(domain, "control", summary, ControlConfig, work, ())
