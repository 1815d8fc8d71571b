"""The verb ``monitor``: its settings. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cli.application import Application
from core.config import MISSING, config_error, field
from core.domain import Domain

SUMMARY = (
    "Watch a stream of transactions: JSON lines in, alerts with score, threshold and reasons out, at once.\n"
    "Stopped or killed, the same command goes on where it stopped: nothing is lost and nothing written twice."
)


@dataclass
class MonitorConfig:
    """Watch a stream of transactions with a saved run."""

    run: str = field(MISSING, help="folder of a finished run of task fraud")
    input: str = field(MISSING, help="file of JSON lines, one transaction or label each; - is standard input")
    output: str = field("alerts.jsonl", help="file that alerts are added to")
    rejects: str | None = field(
        None, help="file of lines that can't be read, with number and reason; null: OUTPUT.rejects"
    )
    state: str | None = field(
        None, help="file that keeps position and histories; null: OUTPUT.state (SQLite)"
    )
    history: str | None = field(
        None,
        help="table of earlier transactions to begin with (CSV, JSONL, Parquet), read once into a new state",
    )
    follow: bool = field(False, help="wait for further lines at the end of the file, until interrupted")
    threshold: float | None = field(None, help="score from which an alert is raised; null: the run's own")
    batch: int = field(
        256, help="most transactions scored at once where many wait; one that comes alone is not kept"
    )
    poll: float = field(0.2, help="seconds between looks at a file that grows")
    device: str = field("cpu", help="cpu, cuda, mps or auto")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        if self.batch < 1:
            raise config_error("batch", self.batch, "a whole number of at least 1")
        if self.poll <= 0:
            raise config_error("poll", self.poll, "a number of seconds above 0")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise config_error("threshold", self.threshold, "a probability between 0 and 1")
        if self.follow and self.input == "-":
            raise config_error("follow", True, "standard input is followed to its end anyway; leave it out")

    def beside(self, ending: str) -> Path:
        """Name a file beside the output."""
        given = {"rejects": self.rejects, "state": self.state}[ending]
        return Path(given) if given is not None else Path(f"{self.output}.{ending}")


def monitor(domain: Domain) -> Application:
    """Make the domain's ``monitor``: transactions in, alerts out."""

    def work(config: MonitorConfig, folder: Path, domain: Domain) -> Any:
        from finance.stream.monitor import run_monitor

        return run_monitor(config, domain)

    return Application(domain, "monitor", SUMMARY, MonitorConfig, work, ())
