"""What the launcher (torchrun) told this process, read from its environment without torch; who speaks for all."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class EndedElsewhere(Exception):  # noqa: N818 - it is no error of this process
    """Another process of the same run says why the run ended; this one has nothing to add."""


def world() -> int:
    """Count the processes that were started together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number this process among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Number this process among those of its machine, from 0: its graphics card."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def command() -> str:
    """Give the command that this process was started by, to be typed again."""
    if world() == 1:
        return shlex.join(["python", *sys.orig_argv[1:]])
    here = os.environ.get("LOCAL_WORLD_SIZE", str(world()))
    given = [a for a in sys.orig_argv[1:] if a != "-u"]  # torchrun puts it in
    return shlex.join(["torchrun", "--nproc-per-node", here, *given])


SWEEP = "PLINTH_SWEEP"
"""Environment variable that says which run of a sweep this is: ``2/6`` is the second of six."""


def sweep() -> tuple[int, int] | None:
    """Tell which run of how many this is, from 1, where one command (-m) asked for several; else None."""
    told = os.environ.get(SWEEP)
    if not told:
        return None
    number, of = told.split("/")
    return int(number), int(of)


@contextmanager
def said_once() -> Iterator[None]:
    """Let the main process alone tell of an error that all processes meet alike, such as a misspelt key."""
    try:
        yield
    except Exception as error:
        if rank() > 0:
            raise EndedElsewhere from error
        raise


def require_common_folder(named: bool) -> None:
    """Refuse several processes whose run has no named folder."""
    if world() > 1 and not named:
        raise ValueError(
            "hydra.run.dir=FOLDER must be given under torchrun: the default folder's name holds the time, which "
            "every process reads at another moment (and -m, several runs in one command, needs one process)"
        )


def require_alone(verb: str) -> None:
    """Refuse several processes for what one does alone: they would write the same file."""
    if world() > 1:
        raise ValueError(
            f"{verb} runs in one process, torchrun started {world()}: start it with python -m instead"
        )
