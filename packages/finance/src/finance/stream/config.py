"""The verb ``monitor`` and its configuration. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.cli.application import Application
from core.config import MISSING, config_error, field
from core.domain import Domain

SUMMARY = (
    "Monitor a stream of transactions: JSON lines in, alerts with score, threshold and reason codes out, at once.\n"
    "Stopped or killed, the same command resumes where it stopped: nothing is lost and nothing written twice."
)


@dataclass
class MonitorConfig:
    """Monitor a stream of transactions with a saved run."""

    run: str = field(MISSING, help="folder of a finished run of task fraud")
    input: str = field(MISSING, help="file of JSON lines, one transaction or label each; - is standard input")
    output: str = field("alerts.jsonl", help="file that alerts are appended to")
    rejects: str | None = field(
        None, help="file of rejected lines, with number and reason; null: OUTPUT.rejects"
    )
    state: str | None = field(None, help="file of position and histories; null: OUTPUT.state (SQLite)")
    history: str | None = field(
        None,
        help="warm start: table of earlier transactions (CSV, JSONL, Parquet), read once into a new state",
    )
    follow: bool = field(False, help="wait for further lines at the end of the file, until interrupted")
    threshold: float | None = field(
        None, help="score from which an alert is raised; null: the run's own threshold"
    )
    batch_size: int = field(
        256, help="most transactions scored at once; one that arrives alone does not wait"
    )
    poll: float = field(0.2, help="seconds between reads of a file that grows")
    max_gap_days: float = field(
        30.0,
        help="a time that many days after the latest is rejected, until several cards and terminals agree on it",
    )
    max_ids: int = field(
        1_000_000,
        help="latest transactions whose ids are remembered, for duplicates and labels that come later",
    )
    accept_new_file: bool = field(
        False,
        help="go on with a file that took the input's place while the former one's rest is not to be found",
    )
    device: str = field("cpu", help="cpu, cuda, mps or auto")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        if self.batch_size < 1:
            raise config_error("batch_size", self.batch_size, "a whole number of at least 1")
        if self.max_ids < 1:
            raise config_error("max_ids", self.max_ids, "a whole number of at least 1")
        if not 0 < self.max_gap_days < float("inf"):
            raise config_error("max_gap_days", self.max_gap_days, "a number of days above 0")
        if self.poll <= 0:
            raise config_error("poll", self.poll, "a number of seconds above 0")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise config_error("threshold", self.threshold, "a probability between 0 and 1")
        if self.follow and self.input == "-":
            raise config_error("follow", True, "standard input is always read to its end; drop this key")

    @property
    def rejects_path(self) -> Path:
        """The file of rejected lines."""
        return Path(self.rejects or f"{self.output}.rejects")

    @property
    def state_path(self) -> Path:
        """The file of position and histories."""
        return Path(self.state or f"{self.output}.state")


def monitor(domain: Domain) -> Application:
    """Return the domain's command ``monitor``: transactions in, alerts out."""
    return Application(
        domain,
        "monitor",
        SUMMARY,
        MonitorConfig,
        "finance.stream.monitor:watch",
        (),
        show="finance.stream.monitor:print_counts",
    )
