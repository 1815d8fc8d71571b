"""What the packages log, printed by commands on standard error: messages as they are, warnings with their level."""

from __future__ import annotations

import logging
import sys


class _Plain(logging.Formatter):
    """Messages of level INFO stand for themselves; from WARNING on the level comes first."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``warning: no unit column`` or ``training will take about 3 s``."""
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


class _CurrentStderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to what standard error is at that moment: a progress bar or a test may have exchanged it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        """Return today's ``sys.stderr``."""
        return sys.stderr


def log_to_stderr(*packages: str) -> None:
    """Print what these packages log from INFO on; a library's user, who does not call it, configures logging instead.

    >>> import logging
    >>> log_to_stderr("ward")
    >>> log_to_stderr("ward")  # once is enough
    >>> len(logging.getLogger("ward").handlers)
    1
    """
    for package in packages:
        logger = logging.getLogger(package)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        if not any(isinstance(handler, _CurrentStderr) for handler in logger.handlers):
            handler = _CurrentStderr()
            handler.setFormatter(_Plain())
            logger.addHandler(handler)
