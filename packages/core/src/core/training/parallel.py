"""This process among those that train together: alone, or one of torchrun's."""

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

WAIT_LIMIT = timedelta(days=7)
"""How long a process waits for another, which may validate or write meanwhile; torchrun ends all when one dies."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank among ``world``; alone every method is the identity and costs nothing."""

    rank: int = 0
    world: int = 1
    local: int = 0
    """The rank among the processes of this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def all_reduce_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.world > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def reduce_sum(self, value: int) -> int:
        """Return the sum of a number over all processes."""
        if self.world == 1:
            return value
        backend = torch.distributed.get_backend_config()
        # A group of NCCL alone knows no tensors in main memory.
        summed = torch.tensor(value, device="cpu" if "cpu" in backend else "cuda")
        torch.distributed.all_reduce(summed)
        return int(summed)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process, so that all leave the loop at the same step."""
        return flag if self.world == 1 else self.reduce_sum(int(flag)) > 0

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        self.reduce_sum(0)

    def broadcast_from_main(self, compute: Callable[[], T]) -> T:
        """Return, in all processes, what the main one alone computes; it is pickled on its way."""
        if self.world == 1:
            return compute()
        held = [compute() if self.is_main else None]
        torch.distributed.broadcast_object_list(held, src=0)
        return held[0]  # type: ignore[return-value]

    def first_not_none(self, value: str | None) -> str | None:
        """Return the value of the lowest rank that has one."""
        if self.world == 1:
            return value
        held: list[str | None] = [None] * self.world
        torch.distributed.all_gather_object(held, value)
        return next((one for one in held if one is not None), None)


ALONE = ProcessGroup()

_runs = itertools.count()
"""Numbers of the runs of one program, the same in all processes, so that none reads what a former one left."""


@contextmanager
def join_process_group() -> Iterator[ProcessGroup]:
    """Join torchrun's process group for the time of a run; yield ``ALONE`` where there is but one process.

    Tensors on CPUs are reduced by gloo, those on GPUs by NCCL. Only the main process prints. Of errors only the
    first is raised as it is; the other processes raise ``EndedElsewhere``.
    """
    if torchrun_env.world_size() == 1:
        yield ALONE
        return
    parallel = ProcessGroup(torchrun_env.rank(), torchrun_env.world_size(), torchrun_env.local_rank())
    gpus = torch.cuda.device_count()
    if gpus > parallel.local:
        torch.cuda.set_device(parallel.local)
    shared, _, _ = next(rendezvous("env://"))
    store = PrefixStore(f"run {next(_runs)}", shared)
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpus else "gloo",
        store=store,
        rank=parallel.rank,
        world_size=parallel.world,
        timeout=WAIT_LIMIT,
    )
    try:
        with _quiet(parallel):
            yield parallel
    except BaseException as error:
        # The first to come here reports what happened; what the others meet then (a closed connection) only follows.
        if store.add("ended", 1) > 1:
            raise torchrun_env.EndedElsewhere from error
        raise
    torch.distributed.destroy_process_group()


@contextmanager
def _quiet(parallel: ProcessGroup) -> Iterator[None]:
    """Silence all processes but the main one, which would print the same."""
    if parallel.is_main:
        yield
        return
    with ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(redirect_stdout(nowhere))
        stack.enter_context(redirect_stderr(nowhere))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        yield
