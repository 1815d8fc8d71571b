"""What the launcher (torchrun, or a sweep) set in this process's environment, read without torch."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class EndedElsewhere(Exception):  # noqa: N818 - it is no error of this process
    """Another process of the same run reports why the run ended; this one has nothing to add."""


def world_size() -> int:
    """Return the number of processes that were started together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Return the number of this process among those of its machine, from 0: its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def launch_command() -> str:
    """Return the command that started this process, to be typed again."""
    if world_size() == 1:
        return shlex.join(["python", *sys.orig_argv[1:]])
    here = os.environ.get("LOCAL_WORLD_SIZE", str(world_size()))
    given = [a for a in sys.orig_argv[1:] if a != "-u"]  # torchrun adds it
    return shlex.join(["torchrun", "--nproc-per-node", here, *given])


SWEEP = "PLINTH_SWEEP"
"""Environment variable with the position of this run in a sweep: ``2/6`` is the second of six."""


def sweep_position() -> tuple[int, int] | None:
    """Return which run of how many this is, from 1, where one command (-m) started several; else None."""
    position = os.environ.get(SWEEP)
    if not position:
        return None
    number, of = position.split("/")
    return int(number), int(of)


@contextmanager
def errors_from_main_only() -> Iterator[None]:
    """Let the main process alone report an error that all processes meet alike, such as a misspelt key."""
    try:
        yield
    except Exception as error:
        if rank() > 0:
            raise EndedElsewhere from error
        raise


def require_common_folder(named: bool) -> None:
    """Raise ValueError for several processes whose run has no named folder."""
    if world_size() > 1 and not named:
        raise ValueError(
            "hydra.run.dir=FOLDER must be given under torchrun: the default folder's name holds the time, which "
            "every process reads at another moment (and -m, several runs in one command, needs one process)"
        )


def require_single_process(verb: str) -> None:
    """Raise ValueError for several processes where one does the work alone: they would write the same file."""
    if world_size() > 1:
        raise ValueError(
            f"{verb} runs in one process, torchrun started {world_size()}: start it with python -m instead"
        )
