"""Where this process stands among those that train together: alone, or one of torchrun's."""

from __future__ import annotations

import itertools
import logging
import os
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from core.training import torchrun_env

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long a process waits for another, which may judge, write or attack meanwhile; torchrun ends all when one dies."""


@dataclass(frozen=True)
class Parallel:
    """This process's rank among ``world``; alone every method is the identity and costs nothing."""

    rank: int = 0
    world: int = 1
    local: int = 0
    """The rank among the processes of this machine."""

    @property
    def main(self) -> bool:
        """Tell whether this process writes files and shows progress."""
        return self.rank == 0

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.world > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def total(self, value: int) -> int:
        """Add a number up over all processes."""
        if self.world == 1:
            return value
        backend = torch.distributed.get_backend_config()
        # A group of NCCL alone knows no tensors in main memory.
        summed = torch.tensor(value, device="cpu" if "cpu" in backend else "cuda")
        torch.distributed.all_reduce(summed)
        return int(summed)

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is up in any process, so that all leave the loop at the same step."""
        return flag if self.world == 1 else self.total(int(flag)) > 0

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.total(0)

    def from_main(self, make: Callable[[], T]) -> T:
        """Make something in the main process alone and give it to all; it is pickled on its way."""
        if self.world == 1:
            return make()
        held = [make() if self.main else None]
        torch.distributed.broadcast_object_list(held, src=0)
        return held[0]  # type: ignore[return-value]

    def first(self, found: str | None) -> str | None:
        """Give the sentence of the lowest rank that has one."""
        if self.world == 1:
            return found
        held: list[str | None] = [None] * self.world
        torch.distributed.all_gather_object(held, found)
        return next((sentence for sentence in held if sentence is not None), None)


ALONE = Parallel()

_runs = itertools.count()
"""Numbers the runs of one program, the same in all processes, so that none reads what a former one left."""


@contextmanager
def join() -> Iterator[Parallel]:
    """Take part in the run of torchrun's processes, or go alone where there is but one; the group is left at the end.

    Tensors of the processor travel by gloo, those of a card by NCCL. Only the main process prints. Of errors the
    first alone is raised as it is; the other processes raise ``EndedElsewhere``.
    """
    if torchrun_env.world() == 1:
        yield ALONE
        return
    parallel = Parallel(torchrun_env.rank(), torchrun_env.world(), torchrun_env.local_rank())
    cards = torch.cuda.device_count()
    if cards > parallel.local:
        torch.cuda.set_device(parallel.local)
    shared, _, _ = next(rendezvous("env://"))
    store = PrefixStore(f"run {next(_runs)}", shared)
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if cards else "gloo",
        store=store,
        rank=parallel.rank,
        world_size=parallel.world,
        timeout=PATIENCE,
    )
    try:
        with _quiet(parallel):
            yield parallel
    except BaseException as error:
        # The first to come here says what happened; what the others meet then (a closed connection) only follows.
        if store.add("ended", 1) > 1:
            raise torchrun_env.EndedElsewhere from error
        raise
    torch.distributed.destroy_process_group()


@contextmanager
def _quiet(parallel: Parallel) -> Iterator[None]:
    """Silence all processes but the main one, which would say the same."""
    if parallel.main:
        yield
        return
    with ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(redirect_stdout(nowhere))
        stack.enter_context(redirect_stderr(nowhere))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        yield
