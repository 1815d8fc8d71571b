"""Settings of ``serve``. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import MISSING, setting


@dataclass
class ServeConfig:
    """Answer rows over HTTP with a saved run: POST /predict, GET /health, /about, /counts."""

    run: str = setting(MISSING, "folder of a finished run")
    host: str = setting("127.0.0.1", "address to listen at; the default is reached from this machine alone")
    port: int = setting(8000, "port; 0 takes any free one")
    rows: int = setting(1000, "most rows of one request")
    bytes: int = setting(16_000_000, "most bytes of one request")
    log: str | None = setting(
        None, "JSON-lines file to append to: time, counts and seconds of every request; none by default"
    )
    log_inputs: bool = setting(False, "also write the rows themselves into the log")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps")
    batch_size: int = setting(256, "rows of one forward pass")
