"""The private update against plain loops: what it computes, how much noise it adds, what it never tells."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from privacy_fakes import Rows, private, settings
from training_fakes import Net, Yes

from core.data.types import Batch
from core.privacy.config import DifferentialPrivacy
from core.training.config import SgdConfig


def loop(model: Net, batch: Batch) -> list[Tensor]:
    """One flat gradient an example, one backward pass each."""
    target, found = Yes(), []
    for row in range(len(batch)):
        inputs = {"numeric": batch.inputs["numeric"][row : row + 1]}
        loss = target.losses(model(inputs), batch.targets[row : row + 1])[0]
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return found


def quiet(made, noise: float = 0.0):
    """Exchange the plan's noise multiplier: what is tested is the arithmetic around it."""
    object.__setattr__(made.plan, "noise_multiplier", noise)
    return made


def weights(model: Net) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("engine", ["one_pass", "opacus"])
@pytest.mark.parametrize("micro_batch", [0, 7])
def test_no_noise_no_clipping_and_full_batches_equal_plain_sgd(
    tmp_path: Path, engine: str, micro_batch: int
) -> None:
    config = settings(
        SgdConfig(rate=0.3, momentum=0.9), dp_batch_size=96.0, dp_clip_norm=1e6, dp_engine=engine, steps=6,
        micro_batch=micro_batch,
    )  # fmt: skip
    made, model = private(config, tmp_path)
    quiet(made)
    assert made.plan.rate == 1
    for batch in made.batches.from_step(0):
        made.update(batch)
    plain, target, rows = Net(dropout=0.0, norm=False), Yes(), Rows()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.3, momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        target.losses(plain({"numeric": rows.encoded.tensors["numeric"]}), rows.targets).mean().backward()
        optimizer.step()
    torch.testing.assert_close(weights(model), weights(plain), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clipping", ["flat", "per_layer", "automatic", "adaptive"])
def test_a_step_is_the_sum_of_clipped_gradients_over_the_expected_batch(
    tmp_path: Path, clipping: str
) -> None:
    clip = 0.3
    made, model = private(settings(dp_clipping=clipping, dp_clip_norm=clip), tmp_path)
    quiet(made)
    batch = next(made.batches.from_step(0))
    sizes = [p.numel() for p in model.parameters()]
    names = [name.rpartition(".")[0] for name, _ in model.named_parameters()]
    layers = sorted(set(names))
    total = torch.zeros(sum(sizes))
    clipped = 0
    for gradient in loop(model, batch):
        pieces = dict.fromkeys(layers, 0.0)
        for name, piece in zip(names, gradient.split(sizes), strict=True):
            pieces[name] += float(piece.square().sum())
        norm = math.sqrt(sum(pieces.values()))
        clipped += norm > clip
        if clipping == "per_layer":
            share = clip / math.sqrt(len(layers))
            factors = [min(1.0, share / math.sqrt(pieces[name])) for name in names]
        elif clipping == "automatic":
            factors = [clip / (norm + 0.01)] * len(names)
        else:
            factors = [min(1.0, clip / norm)] * len(names)
        total += torch.cat([f * g for f, g in zip(factors, gradient.split(sizes), strict=True)])
    assert clipped > 0, "the clip norm must bind for the test to tell anything"
    before = weights(model)
    made.update(batch)
    expected = before - 0.5 * total / made.plan.batch
    torch.testing.assert_close(weights(model), expected, rtol=1e-4, atol=1e-6)


def test_the_engines_agree(tmp_path: Path) -> None:
    ends = []
    for engine in ("one_pass", "opacus"):
        made, model = private(settings(dp_engine=engine, dp_clip_norm=0.2), tmp_path)
        for batch in made.batches.from_step(0):
            made.update(batch)
        ends.append(weights(model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_one_step_can_move_at_most_a_clip_norm_by_one_unit(tmp_path: Path) -> None:
    made, model = private(settings(dp_clip_norm=0.05), tmp_path)
    quiet(made)
    batch = next(made.batches.from_step(0))
    rows = torch.arange(len(batch))
    start = {n: p.detach().clone() for n, p in model.named_parameters()}

    def after(kept: Tensor) -> Tensor:
        model.load_state_dict(start)
        made.update.step = 0
        made.update(Batch({"numeric": batch.inputs["numeric"][kept]}, batch.targets[kept], batch.index[kept]))
        return weights(model)

    whole = after(rows)
    for left_out in range(0, len(batch), 5):
        moved = (whole - after(rows[rows != left_out])).norm() * made.plan.batch / 0.5
        assert moved <= 0.05 * 1.001


def test_noise_has_the_planned_size_and_is_new_each_step(tmp_path: Path) -> None:
    made, model = private(settings(dp_clip_norm=0.7, steps=60), tmp_path)
    empty = Batch({}, torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    noises, before = [], weights(model)
    for _ in range(60):
        event = made.update(empty)
        assert (event.loss, event.examples) == (None, None)
        noises.append((before - weights(model)) * made.plan.batch / 0.5)
        before = weights(model)
    noise = torch.stack(noises) / (0.7 * made.plan.noise_multiplier)
    # Rounding of the weights adds about 1e-7 relative to steps of 1e-2: nothing beside five standard errors.
    error = 1 / noise.numel() ** 0.5
    assert abs(float(noise.mean())) < 5 * error
    assert float(noise.var()) == pytest.approx(1, abs=5 * error * 2**0.5)
    assert float(torch.corrcoef(noise).fill_diagonal_(0).abs().max()) < 6 / noise.shape[1] ** 0.5
    assert (noise.var(0) - 1).abs().max() < 6 * (2 / 60) ** 0.5, "every weight gets its share"


def test_adaptive_clipping_follows_the_quantile(tmp_path: Path) -> None:
    config = settings(
        SgdConfig(rate=1e-6, momentum=0.0), dp_clipping="adaptive", dp_quantile=0.7, dp_clip_norm=20.0, steps=80,
        dp_batch_size=96.0, dp_epsilon=50.0,
    )  # fmt: skip
    made, model = private(config, tmp_path)
    for batch in made.batches.from_step(0):
        made.update(batch)
    norms = torch.stack(loop(model, Rows().batch(torch.arange(96)))).norm(dim=1)
    within = float((norms <= made.update.clipper.rule.clip_norm).float().mean())
    assert within == pytest.approx(0.7, abs=0.12)
    assert made.plan.adaptive_noise > 0


def test_spent_is_the_plans(tmp_path: Path) -> None:
    made, _ = private(settings(), tmp_path)
    assert made.update.spent() == {"epsilon": 0.0, "delta": made.plan.delta}
    for batch in made.batches.from_step(0):
        made.update(batch)
    assert made.update.spent()["epsilon"] == made.plan.spend(12).epsilon
    assert 0.97 * 3 <= made.update.spent()["epsilon"] <= 3


def test_bf16_computes_close_to_fp32(tmp_path: Path) -> None:
    ends = []
    for precision in ("fp32", "bf16"):
        made, model = private(settings(precision=precision), tmp_path)
        assert made.precision.precision == precision
        for batch in made.batches.from_step(0):
            made.update(batch)
        ends.append(weights(model))
    assert not torch.equal(*ends)
    assert (ends[0] - ends[1]).norm() < 0.02 * (ends[0] - weights(Net(0.0, False))).norm()


def test_a_forgotten_weight_is_noticed_in_the_first_step(tmp_path: Path) -> None:
    made, _ = private(settings(), tmp_path)
    made.update.optimizers[0].param_groups[0]["lr"] = 0.0
    made.update._rates = [(group, 0.0) for group, _ in made.update._rates]
    with pytest.raises(ValueError, match="did not move"):
        made.update(next(made.batches.from_step(0)))


@pytest.mark.parametrize(
    ("training", "target", "privacy", "key"),
    [
        ({"sampling": "class_balanced"}, {}, {}, "training.sampling"),
        ({"compile": True}, {}, {}, "training.compile"),
        ({"precision": "fp16"}, {}, {}, "training.precision"),
        ({}, {"class_weights": "balanced"}, {}, "target.class_weights"),
        ({}, {"logit_adjustment": 1.0}, {}, "target.logit_adjustment"),
        ({}, {}, {"engine": "opacus", "audit": 100}, "privacy.audit_canaries"),
        ({}, {}, {"engine": "opacus", "clipping": "per_layer"}, "privacy.clipping"),
    ],
)
def test_what_couples_examples_is_refused_by_name(training, target, privacy, key: str) -> None:
    config = settings()
    config.target = SimpleNamespace(class_weights="none", logit_adjustment=0.0)
    config.encoder = SimpleNamespace(examples=0)
    DifferentialPrivacy().check_run(config)
    vars(config.target).update(target)
    for name, value in training.items():
        setattr(config.training, name, value)
    with pytest.raises(ValueError, match=key):
        DifferentialPrivacy(**privacy).check_run(config)


def test_auto_precision_times_no_private_rows(tmp_path: Path) -> None:
    made, _ = private(settings(precision="auto"), tmp_path)
    assert made.precision.precision == "fp32"
    assert "times no training rows" in made.precision.reason


def test_batch_norm_is_refused_frozen_or_replaced() -> None:
    for how, kind in (("group", "GroupNorm"), ("frozen", "FrozenBatchNorm1d")):
        model = Net()
        assert DifferentialPrivacy(normalisation=how).settle(model) == ["body.1"]
        assert type(model.body[1]).__name__ == kind
    with pytest.raises(ValueError, match=r"body\.1 .*privacy\.normalisation"):
        DifferentialPrivacy().settle(Net())
