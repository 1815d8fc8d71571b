"""The verb ``control`` and its configuration. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.cli.application import Application
from core.config import MISSING, config_error, field
from core.domain import Domain
from smarthome.safety import COMFORT_RANGE


@dataclass
class ControlConfig:
    """Turn utterances and sensor readings into actions of a simulated home."""

    run: str = field(MISSING, "folder of a finished run of task=commands")
    scene_run: str | None = field(None, "folder of a finished run of task=scene, for lines with sensors")
    input: str = field("-", "file of utterances or JSON lines; - reads standard input, line by line")
    output: str = field("-", "file that the responses are appended to, JSON lines; - writes standard output")
    state: str | None = field(
        None, "file of the home's state, kept between starts; empty: OUTPUT.home, none for standard output"
    )
    home: str | None = field(None, "JSON file of the home: areas and devices; empty: the one in the package")
    area: str | None = field(None, "area of the speaker, for utterances without a place")
    min_confidence: float | None = field(
        None,
        "utterances with a lower confidence are refused; empty: the run's own (from validation), else 0.5",
    )
    comfort: float = field(21.0, "set-point in degrees Celsius of occupied areas")
    away: float = field(17.0, "set-point in degrees Celsius of empty areas")
    confirm_seconds: float = field(60.0, "seconds that a question waits for its confirmation")
    spoken_yes: bool = field(
        True, "a yes spoken in the command's area confirms what is not unsafe; false: only JSON confirms"
    )
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise config_error("min_confidence", self.min_confidence, "a probability between 0 and 1")
        if not 0 < self.confirm_seconds < float("inf"):
            raise config_error("confirm_seconds", self.confirm_seconds, "a number of seconds above 0")
        for key in ("comfort", "away"):
            if not COMFORT_RANGE[0] <= getattr(self, key) <= COMFORT_RANGE[1]:
                raise config_error(
                    key, getattr(self, key), f"between {COMFORT_RANGE[0]:g} and {COMFORT_RANGE[1]:g} °C"
                )

    @property
    def state_path(self) -> Path | None:
        """The file of the home's state, None where none is kept."""
        if self.state is not None:
            return Path(self.state)
        return None if self.output == "-" else Path(f"{self.output}.home")


def control(domain: Domain) -> Application:
    """Return the domain's command ``control``: utterances and sensor readings in, device actions out."""
    summary = "Turn utterances and sensor readings into actions of a simulated home."
    return Application(domain, "control", summary, ControlConfig, "smarthome.controller:control", ())
