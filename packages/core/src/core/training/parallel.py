"""Where this process stands among those that train together: alone, or one of torchrun's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


@dataclass(frozen=True)
class Parallel:
    """This process's rank among ``world``; alone every method is the identity and costs nothing."""

    rank: int = 0
    world: int = 1

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
        summed = torch.tensor(value)
        torch.distributed.all_reduce(summed)
        return int(summed)

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is up in any process, so that all leave the loop at the same step."""
        return flag if self.world == 1 else self.total(int(flag)) > 0


ALONE = Parallel()
