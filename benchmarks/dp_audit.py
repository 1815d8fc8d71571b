"""Does the audit see faults, and only faults? Honest private runs and runs with one planted fault each, audited alike.

python benchmarks/dp_audit.py [--json FILE] [--honest 20]

Every run is the project's own sampler, clipper, noise and update on a small network, with white-box canaries.
Rows: ``name``, ``claim`` (the epsilon promised), ``lower_bound`` (what the audit proves, 95 % confidence),
``planted_bug`` (null for an honest run), ``fails`` (whether the run would be stopped and nothing published).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.config import derive_seed
from core.data.types import Batch
from core.privacy.whitebox_audit import WhiteBoxAudit
from core.privacy.clipping import FlatClip, PerExampleClipper
from core.privacy.plan import PrivacyPlan
from core.privacy.rules.accumulate import GradAccumulator
from core.privacy.sampling import PoissonBatches
from core.training.parallel import ALONE
from core.training.dp_sgd import PrivateUpdate

UNITS, WIDTH, STEPS, RATE = 2000, 64, 100, 0.1
DELTA = 1e-6
CANARIES = 100_000


class Net(nn.Module):
    """Three layers."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.head = nn.Linear(128, 1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.head(self.body(inputs["numeric"]))


class Yes:
    """A binary target with one logit."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="none")


class Rows:
    """Rows whose labels are coins, one a unit: gradients that agree would blur what is measured."""

    unit_codes = None

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(UNITS, WIDTH, generator=generator)
        self.targets = torch.randint(0, 2, (UNITS,), generator=generator).float()

    def __len__(self) -> int:
        return UNITS

    def batch(self, index: Tensor, augmentation: object = None, generator: object = None) -> Batch:
        return Batch({"numeric": self.x[index]}, self.targets[index], index)


class HalfTheNoise(PrivateUpdate):
    """Fault: the noise has half the deviation that is accounted for."""

    def _start_with_noise(self, total: Tensor) -> None:
        super()._start_with_noise(total)
        total.div_(2)


class NothingClipped(FlatClip):
    """Fault: gradients keep their length."""

    def factors(self, norms_GU: Tensor) -> Tensor:
        return torch.ones_like(norms_GU)


class Shuffled(PoissonBatches):
    """Fault: every unit once an epoch, in an order that follows from the configured seed as in ordinary training."""

    def units(self, step: int) -> Tensor:
        batches = round(1 / self.plan.rate)
        epoch, place = divmod(step, batches)
        generator = torch.Generator().manual_seed(derive_seed(0, "order", epoch))
        order = torch.randperm(self._population, generator=generator)
        return order.chunk(batches)[place].sort().values

    def slots(self, step: int) -> Tensor | None:
        return self.canaries(step)  # whoever reads the seed in the record knows the order


@contextmanager
def one_layer_forgotten(layer: int) -> Iterator[None]:
    """Fault: one weight tensor is left out of the norm."""
    add = GradAccumulator._add_squares

    def forgetful(self: GradAccumulator, index: int, squares_U: Tensor) -> None:
        if index != layer:
            add(self, index, squares_U)

    GradAccumulator._add_squares = forgetful  # type: ignore[method-assign]
    try:
        yield
    finally:
        GradAccumulator._add_squares = add  # type: ignore[method-assign]


@dataclass(frozen=True)
class Fault:
    """What is planted, and the claim it is planted under."""

    name: str
    epsilon: float
    update: type[PrivateUpdate] = PrivateUpdate
    batches: type[PoissonBatches] = PoissonBatches
    rule: type[FlatClip] = FlatClip
    forgotten: int | None = None


FAULTS = (
    Fault("noise halved", 4.0, update=HalfTheNoise),
    Fault("clipping off", 4.0, rule=NothingClipped),
    Fault("shuffled instead of Poisson", 4.0, batches=Shuffled),
    Fault("one layer left out of the norm", 4.0, forgotten=2),
)


def audited(fault: Fault, seed: int) -> tuple[dict[str, Any], float]:
    """Train one audited run and give the verdict and the claim."""
    plan = PrivacyPlan.make(
        epsilon=fault.epsilon, delta=DELTA, units=UNITS, unit="row", batch=RATE * UNITS, steps=STEPS,
        clip_norm=1.0, accountant="prv",
    )  # fmt: skip
    secret = derive_seed(seed, "audit")
    model, rows = Net(seed), Rows(seed)
    batches = fault.batches(rows, plan, secret, canaries=CANARIES)  # type: ignore[arg-type]
    clipper = PerExampleClipper(model, rule=fault.rule(plan.clip_norm), scale=1 / plan.batch)
    audit = WhiteBoxAudit(clipper, batches, plan, CANARIES, secret)
    update = fault.update(
        model, Yes(), [torch.optim.SGD(model.parameters(), lr=0.01)], lambda step: 1.0, plan, clipper, secret,  # type: ignore[arg-type]
        precision="fp32", micro_batch=0, ema=None, channels_last=False, parallel=ALONE, audit=audit,
    )  # fmt: skip
    for batch in batches.from_step(0):
        update(batch)
    claim = plan.spend(plan.steps).epsilon
    return audit.found(), claim


def row(name: str, fault: Fault, seed: int, planted: str | None) -> dict[str, Any]:
    """One line of the table."""
    start = time.perf_counter()
    if fault.forgotten is None:
        found, claim = audited(fault, seed)
    else:
        with one_layer_forgotten(fault.forgotten):
            found, claim = audited(fault, seed)
    return {
        "name": name,
        "claim": claim,
        "lower_bound": found["lower_bound"],
        "planted_bug": planted,
        "fails": found["lower_bound"] > claim,
        "guesses": found["guesses"],
        "correct": found["correct"],
        "canaries": found["canaries"],
        "seconds": time.perf_counter() - start,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--honest", type=int, default=20, help="honest runs at epsilon 4")
    options = parser.parse_args()
    rows = []
    cases = [(f"honest {n}", Fault("", 4.0), n, None) for n in range(options.honest)]
    cases += [(f"{f.name}, epsilon {f.epsilon:g}", f, 100 + n, f.name) for n, f in enumerate(FAULTS)]
    for case in cases:
        rows.append(row(*case))
        r = rows[-1]
        print(
            f"{r['seconds']:5.1f} s  {r['name']:42} claim {r['claim']:.2f}  lower bound {r['lower_bound']:.2f}  "
            f"({r['correct']:,} of {r['guesses']:,} guesses right){'  FAILS' if r['fails'] else ''}",
            flush=True,
        )
    honest = [r for r in rows if r["planted_bug"] is None]
    planted = [r for r in rows if r["planted_bug"] is not None]
    print(f"honest: {sum(not r['fails'] for r in honest)} of {len(honest)} pass; "
          f"least lower bound {min(r['lower_bound'] for r in honest):.2f}")  # fmt: skip
    print(f"planted: {sum(r['fails'] for r in planted)} of {len(planted)} fail")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
