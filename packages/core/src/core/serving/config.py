"""Settings of ``serve``. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import MISSING, config_error, field


@dataclass
class ServeConfig:
    """Predict rows over HTTP with a saved run: POST /predict, GET /health, /about, /counts."""

    run: str = field(MISSING, "folder of a finished run")
    host: str = field("127.0.0.1", "address to listen at; the default is reached from this machine alone")
    port: int = field(8000, "port; 0 takes any free one")
    rows: int = field(1000, "most rows of one request")
    bytes: int = field(16_000_000, "most bytes of one request")
    log: str | None = field(
        None, "JSON-lines file to append to: time, counts and seconds of every request; none by default"
    )
    log_inputs: bool = field(False, "also write the rows themselves into the log")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")
    batch_size: int = field(256, "rows of one forward pass")

    def __post_init__(self) -> None:
        for key, least in (("rows", 1), ("bytes", 1000), ("batch_size", 1)):
            if getattr(self, key) < least:
                raise config_error(key, getattr(self, key), f"give a whole number of at least {least}")
        if not 0 <= self.port < 65536:
            raise config_error("port", self.port, "give 0 (any free one) to 65535")
