"""Ctrl-C and SIGTERM end training after the step in hand, with its checkpoint written."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):  # noqa: N818 - the user asked for it; it is no error
    """Training was interrupted and kept: the same command in the same folder goes on after ``step``."""

    def __init__(self, step: int, steps: int, kept: bool) -> None:
        """Say after which of how many steps it stopped, and whether a checkpoint holds them."""
        how = "run the same command in the same folder to go on" if kept else "no checkpoint was kept"
        super().__init__(f"stopped after step {step} of {steps}; {how}")
        self.step = step
        self.kept = kept


class Interrupts:
    """Within it the first signal only raises ``asked``; a second one acts as it would have without us."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        # Python lets only the main thread set handlers; elsewhere (a notebook's worker) signals stay as they are.
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._give_back()
        print("\nstopping after this step; once more stops at once", file=sys.stderr)

    def _give_back(self) -> None:
        for number, handler in self._former.items():
            # None stands for a handler that was not set from Python and can't be put back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former = {}
