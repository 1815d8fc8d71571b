"""Ratios of processor times: two pieces of work in turn in one process, so that a busy machine slows both alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PAIRS, MORE_PAIRS = 9, 27
"""Pairs of blocks that are timed at first, and once more where the ratio looks like a regression."""


@dataclass
class Ratio:
    """Ratios of the processor time, or of anything that adds up, of two pieces of work."""

    each: list[float] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The median over pairs of blocks."""
        return statistics.median(self.each)


@contextmanager
def steady() -> Iterator[None]:
    """Keep the garbage collector from running inside a block."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def processor_ratio(
    work: Callable[[], object],
    reference: Callable[[], object],
    limit: float | None,
    read: Callable[[], float] = time.process_time,
) -> Ratio:
    """Return the ratio of what two pieces of work use, block against block, in turn.

    ``limit``: from which ratio on it is measured again, longer, because it would be a regression; None: never.
    """
    found = Ratio()
    with steady():
        _blocks(found, work, reference, PAIRS, read)
        if limit is not None and found.value > limit:
            _blocks(found, work, reference, MORE_PAIRS, read)
    return found


def _blocks(
    found: Ratio,
    work: Callable[[], object],
    reference: Callable[[], object],
    pairs: int,
    read: Callable[[], float],
) -> None:
    for pair in range(pairs):
        used = {}
        # In turn who goes first: what warms up a cache does so for both.
        for piece in (work, reference) if pair % 2 else (reference, work):
            begun = read()
            piece()
            used[piece] = read() - begun
        if used[reference] > 0:
            found.each.append(used[work] / used[reference])
