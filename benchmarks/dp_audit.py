"""Does the privacy audit detect faults, and only faults? Correct private runs and runs with one planted fault each.

python benchmarks/dp_audit.py [--json FILE] [--correct 20]

Every run is the project's own sampler, clipper, noise and optimizer step on a small network, with white-box canaries.
Rows: ``name``, ``claim`` (the epsilon guaranteed), ``lower_bound`` (of the audit, at 95 % confidence), ``planted_bug``
(null for a correct run), ``fails`` (whether the run would be refused and nothing published).
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
from core.privacy.clipping import FlatClip, PerExampleClipper
from core.privacy.mechanism import GaussianMechanism
from core.privacy.plan import PrivacyPlan
from core.privacy.rules.accumulate import GradAccumulator
from core.privacy.sampling import PoissonBatches
from core.privacy.section import AuditResult
from core.privacy.whitebox_audit import WhiteBoxAudit
from core.training.dp_sgd import DPGradient
from core.training.step import ExampleLosses, TrainStep

UNITS, WIDTH, STEPS, SAMPLING_RATE = 2000, 64, 100, 0.1
DELTA = 1e-6
CANARIES = 100_000


class Net(nn.Module):
    """Three layers."""

    def __init__(self, seed: int) -> None:
        """Draw the weights from a seed."""
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.head = nn.Linear(128, 1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return logits (B, 1)."""
        return self.head(self.body(inputs["numeric"]))


class OneLogit:
    """A binary target."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each row."""
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="none")


class CoinFlips:
    """Rows with random labels, one a unit: gradients that agree would hide the canaries."""

    unit_codes = None

    def __init__(self, seed: int) -> None:
        """Draw the rows from a seed."""
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(UNITS, WIDTH, generator=generator)
        self.targets = torch.randint(0, 2, (UNITS,), generator=generator).float()

    def __len__(self) -> int:
        """Return the number of rows."""
        return UNITS

    def batch(self, index: Tensor, augmentation: object = None, generator: object = None) -> Batch:
        """Return the batch of some rows."""
        return Batch({"numeric": self.x[index]}, self.targets[index], index)


class HalvedNoise(GaussianMechanism):
    """Fault: the noise has half the standard deviation that is accounted for."""

    def begin(self, step: int, *, add_noise: bool) -> None:
        """Overwrite the sum with half the noise of a step."""
        super().begin(step, add_noise=add_noise)
        self.total.div_(2)


class NoClipping(FlatClip):
    """Fault: gradients keep their norm."""

    def factors(self, norms_GU: Tensor) -> Tensor:
        """Return ones."""
        return torch.ones_like(norms_GU)


class Shuffled(PoissonBatches):
    """Fault: every unit once an epoch, in an order that follows from the configured seed as in non-private training."""

    def units(self, step: int) -> Tensor:
        """Return the units of a step."""
        batches = round(1 / self.plan.sampling_rate)
        epoch, place = divmod(step, batches)
        generator = torch.Generator().manual_seed(derive_seed(0, "order", epoch))
        order = torch.randperm(self._population, generator=generator)
        return order.chunk(batches)[place].sort().values

    def known_canaries(self, step: int) -> Tensor | None:
        """Return the canaries of a step: whoever reads the seed in the record knows the order."""
        return self.canaries(step)


@contextmanager
def without_layer_norm(layer: int) -> Iterator[None]:
    """Fault: one weight tensor is left out of the norm."""
    add = GradAccumulator._add_squares

    def add_others(self: GradAccumulator, index: int, squares_U: Tensor) -> None:
        if index != layer:
            add(self, index, squares_U)

    GradAccumulator._add_squares = add_others  # type: ignore[method-assign]
    try:
        yield
    finally:
        GradAccumulator._add_squares = add  # type: ignore[method-assign]


@dataclass(frozen=True)
class Fault:
    """What is planted, and the claim it is planted under."""

    name: str
    epsilon: float
    mechanism: type[GaussianMechanism] = GaussianMechanism
    batches: type[PoissonBatches] = PoissonBatches
    rule: type[FlatClip] = FlatClip
    without_layer: int | None = None
    """A weight tensor that is left out of the norm."""


FAULTS = (
    Fault("noise halved", 4.0, mechanism=HalvedNoise),
    Fault("clipping off", 4.0, rule=NoClipping),
    Fault("shuffled instead of Poisson", 4.0, batches=Shuffled),
    Fault("one layer left out of the norm", 4.0, without_layer=2),
)


def audited(fault: Fault, seed: int) -> AuditResult:
    """Train one audited run and return what the audit found."""
    plan = PrivacyPlan.make(
        epsilon=fault.epsilon, delta=DELTA, units=UNITS, unit="row", batch_size=SAMPLING_RATE * UNITS, steps=STEPS,
        l2_clip_norm=1.0, accountant="prv",
    )  # fmt: skip
    key = derive_seed(seed, "audit")
    model, rows = Net(seed), CoinFlips(seed)
    batches = fault.batches(rows, plan, key, canaries=CANARIES)  # type: ignore[arg-type]
    clipper = PerExampleClipper(model, rule=fault.rule(plan.l2_clip_norm), scale=1 / plan.batch_size)
    audit = WhiteBoxAudit(clipper, batches, plan, CANARIES, key)
    losses = ExampleLosses(model, OneLogit())  # type: ignore[arg-type]
    gradient = DPGradient(losses, fault.mechanism(plan, clipper, key), whitebox=audit)
    step = TrainStep(gradient, [torch.optim.SGD(model.parameters(), lr=0.01)], lambda step: 1.0)
    for batch in batches.from_step(0):
        step(batch)
    return audit.measure(plan.privacy_spent(plan.steps).epsilon)


def row(name: str, fault: Fault, seed: int, planted: str | None) -> dict[str, Any]:
    """Return a row of the table."""
    start = time.perf_counter()
    if fault.without_layer is None:
        found = audited(fault, seed)
    else:
        with without_layer_norm(fault.without_layer):
            found = audited(fault, seed)
    return {
        "name": name,
        "claim": found.claim,
        "lower_bound": found.lower_bound,
        "planted_bug": planted,
        "fails": found.lower_bound > found.claim,
        "guesses": found.guesses,
        "correct": found.correct,
        "canaries": found.canaries,
        "seconds": time.perf_counter() - start,
    }


def main() -> int:
    """Audit correct runs and faulty ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--correct", type=int, default=20, help="correct runs at epsilon 4")
    options = parser.parse_args()
    rows = []
    cases = [(f"correct {n}", Fault("", 4.0), n, None) for n in range(options.correct)]
    cases += [(f"{f.name}, epsilon {f.epsilon:g}", f, 100 + n, f.name) for n, f in enumerate(FAULTS)]
    for case in cases:
        rows.append(row(*case))
        r = rows[-1]
        print(
            f"{r['seconds']:5.1f} s  {r['name']:42} claim {r['claim']:.2f}  lower bound {r['lower_bound']:.2f}  "
            f"({r['correct']:,} of {r['guesses']:,} guesses right){'  FAILS' if r['fails'] else ''}",
            flush=True,
        )
    correct = [r for r in rows if r["planted_bug"] is None]
    planted = [r for r in rows if r["planted_bug"] is not None]
    print(f"correct: {sum(not r['fails'] for r in correct)} of {len(correct)} pass; "
          f"smallest lower bound {min(r['lower_bound'] for r in correct):.2f}")  # fmt: skip
    print(f"planted: {sum(r['fails'] for r in planted)} of {len(planted)} fail")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
