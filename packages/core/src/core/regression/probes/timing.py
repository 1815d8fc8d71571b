"""Ratios of processor times: two pieces of work in turn in one process, so that a busy machine slows both alike."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf

PAIRS, MORE_PAIRS = 9, 27
"""Pairs of blocks that are timed at first, and once more where the ratio looks like a regression."""


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


def ratios(
    work: Callable[[], object],
    reference: Callable[[], object],
    readers: Mapping[str, Callable[[], float]],
    limits: Mapping[str, float],
) -> dict[str, float]:
    """Return ratios of what two pieces of work use: the median over pairs of blocks, one piece after the other.

    ``readers``: name of a ratio -> what reads a clock or a counter of joules. Where a ratio is above its limit, it is
    measured again, longer: it would count as a regression. A ratio of nothing (no counter) is left out.
    """
    each: dict[str, list[float]] = {name: [] for name in readers}
    with steady():
        _blocks(each, work, reference, PAIRS, readers)
        if any(values and statistics.median(values) > limits.get(name, inf) for name, values in each.items()):
            _blocks(each, work, reference, MORE_PAIRS, readers)
    return {name: statistics.median(values) for name, values in each.items() if values}


def _blocks(
    each: dict[str, list[float]],
    work: Callable[[], object],
    reference: Callable[[], object],
    pairs: int,
    readers: Mapping[str, Callable[[], float]],
) -> None:
    for pair in range(pairs):
        used = {}
        # In turn who goes first: what warms up a cache does so for both.
        for piece in (work, reference) if pair % 2 else (reference, work):
            begun = [read() for read in readers.values()]
            piece()
            used[piece] = [read() - start for read, start in zip(readers.values(), begun, strict=True)]
        for name, own, other in zip(readers, used[work], used[reference], strict=True):
            if other > 0:
                each[name].append(own / other)
