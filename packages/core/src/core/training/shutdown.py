"""Ctrl-C and SIGTERM end training after the current step, with its checkpoint written."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, TracebackType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(Exception):  # noqa: N818 - the user asked for it; it is no error
    """Training was interrupted after ``step``; the same command in the same folder resumes it."""

    def __init__(self, step: int, steps: int, kept: bool) -> None:
        """Compose the message: after which of how many steps, and whether a checkpoint holds them (``kept``)."""
        how = "run the same command in the same folder to resume" if kept else "no checkpoint was kept"
        super().__init__(f"stopped after step {step} of {steps}; {how}")
        self.step = step
        self.kept = kept


class GracefulShutdown:
    """Within it the first signal only sets ``requested``; a second one acts as it would have without us."""

    def __init__(self) -> None:
        """Start with nothing requested."""
        self.requested = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        # Python lets only the main thread set handlers; elsewhere (a notebook's worker) signals stay as they are.
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._request) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore_handlers()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore_handlers()
        log.warning("stopping after this step; another signal stops at once")

    def _restore_handlers(self) -> None:
        for number, handler in self._former.items():
            # None stands for a handler that was not set from Python and can't be restored from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former = {}
