"""``serve``: a service over HTTP, JSON in and out, on this machine alone by default."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.domain import Domain
from core.report.console import print_lines
from core.report.sentences.notices import SIMULATED_MODEL
from core.serving.load import load
from core.serving.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from core.serving.config import ServeConfig

log = logging.getLogger(__name__)

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Addresses that this machine alone reaches."""
EXTRA = "serving needs starlette and uvicorn: pip install 'plinth-core[serve]'"


class TooLargeError(ValueError):
    """A body above the limit."""


def application(service: Service, most_bytes: int) -> Starlette:
    """Build the application: POST /predict, GET /health, /about, /counts; every error is JSON with ``error``.

    A body is read up to ``most_bytes`` and refused with 413 beyond, whatever its declared length.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    async def predict(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # a browser asks before it sends this type to another site: no page can make a user's browser post rows
            return _json({"error": "send JSON, with the header Content-Type: application/json"}, 415)
        try:
            body = await _body(request, most_bytes)
        except TooLargeError as error:
            return _json({"error": str(error)}, 413)
        try:
            return _json(await run_in_threadpool(service.predict, body))
        except ValueError as error:
            return _json({"error": str(error)}, 422)

    def get(content: Callable[[], dict[str, Any]]) -> Callable[[Request], Response]:
        return lambda request: _json(content())

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reasons = {404: "no such address", 405: f"{request.method} is not allowed here"}
        there = "POST /predict, GET /health, /about, /counts"
        words = reasons.get(error.status_code, str(error.detail))
        return _json({"error": f"{words}: there are {there}"}, error.status_code)

    async def failed(request: Request, error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        return _json({"error": "a fault of the service; its terminal says which"}, 500)

    return Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/health", get(lambda: {"status": "ok"}), methods=["GET"]),
            Route("/about", get(service.about), methods=["GET"]),
            Route("/counts", get(service.counts), methods=["GET"]),
        ],
        exception_handlers={HTTPException: refused, Exception: failed},
    )


async def _body(request: Request, most: int) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > most:
            raise TooLargeError(f"the body is larger than {most:,} bytes (bytes= of serve)")
    return bytes(found)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import Response

    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(text, status, media_type="application/json")


def serve(config: ServeConfig, domain: Domain) -> None:
    """Open a run of the domain and serve requests until interrupted.

    Raises ValueError for a run of another domain, a port that is taken, or when starlette and uvicorn are missing.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        raise ValueError(EXTRA) from error
    loaded = load(config.run, config.device)
    record = loaded.run.record
    if record.run.domain != domain.name:
        raise ValueError(
            f"run={config.run}: a run of {record.run.domain}; use python -m {record.run.domain}.serve"
        )
    log_file = None if config.log is None else Path(config.log)
    service = Service(loaded, config.rows, config.batch_size, log_file, config.log_inputs)
    with bound(config.host, config.port) as listening:
        if config.host not in LOCAL:
            log.warning(
                "host=%s can be reached from other machines, without password or encryption: put a proxy with both "
                "before it",
                config.host,
            )
        if record.data.simulated:
            log.warning(SIMULATED_MODEL)
        host, port = listening.getsockname()[:2]
        print_lines(f"serving {Path(config.run).resolve()} at http://{host}:{port} (interrupt to stop)")
        settings = uvicorn.Config(application(service, config.bytes), log_level="warning", lifespan="off")
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # uvicorn raises it again once it has stopped in good order
            uvicorn.Server(settings).run(sockets=[listening])
    counted = service.counts()
    print_lines(f"{counted['rows']} rows of {counted['requests']} requests predicted")


def bound(host: str, port: int) -> socket.socket:
    """Listen at an address; ValueError where the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ValueError(
            f"host={host} port={port}: {error.strerror or error}; choose another (port=0: any free one)"
        ) from error
    return listening
