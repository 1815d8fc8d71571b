"""The private gradient against plain loops: what it computes, how much noise it adds, what it never reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fakes.privacy import Rows, gradient_of, private, settings
from fakes.training import Net, Yes
from torch import Tensor

from core.config import PrivacyConfig
from core.data.types import Batch
from core.privacy.batch_norm import convert_batch_norm
from core.privacy.config import DifferentialPrivacy, NoPrivacy, batch_norm_policy, validate_run
from core.privacy.guarantee import Release
from core.training.config import SgdConfig, StandardTraining


def loop(model: Net, batch: Batch) -> list[Tensor]:
    """One flat gradient an example, one backward pass each."""
    target, found = Yes(), []
    for row in range(len(batch)):
        inputs = {"numeric": batch.inputs["numeric"][row : row + 1]}
        loss = target.losses(model(inputs), batch.targets[row : row + 1])[0]
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return found


def remove_noise(setup) -> None:
    """Set the plan's noise multiplier to 0: what is tested is the arithmetic around it."""
    object.__setattr__(setup.guarantee.plan, "noise_multiplier", 0.0)


def weights(model: Net) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("engine", ["bookkeeping", "opacus"])
@pytest.mark.parametrize("micro_batch_size", [0, 7])
def test_no_noise_no_clipping_and_full_batches_equal_plain_sgd(
    tmp_path: Path, engine: str, micro_batch_size: int
) -> None:
    config = settings(
        SgdConfig(lr=0.3, momentum=0.9), dp_batch_size=96.0, dp_l2_clip_norm=1e6, dp_engine=engine, steps=6,
        micro_batch_size=micro_batch_size,
    )  # fmt: skip
    setup = private(config, tmp_path)
    model = setup.step.model
    remove_noise(setup)
    assert setup.guarantee.plan.sampling_rate == 1
    for batch in setup.batches.from_step(0):
        setup.step(batch)
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
    setup = private(settings(dp_clipping=clipping, dp_l2_clip_norm=clip), tmp_path)
    model = setup.step.model
    remove_noise(setup)
    batch = next(setup.batches.from_step(0))
    sizes = [p.numel() for p in model.parameters()]
    names = [name.rpartition(".")[0] for name, _ in model.named_parameters()]
    layers = sorted(set(names))
    total = torch.zeros(sum(sizes))
    clipped = 0
    for gradient in loop(model, batch):
        squares = dict.fromkeys(layers, 0.0)
        for name, one in zip(names, gradient.split(sizes), strict=True):
            squares[name] += float(one.square().sum())
        norm = math.sqrt(sum(squares.values()))
        clipped += norm > clip
        if clipping == "per_layer":
            share = clip / math.sqrt(len(layers))
            factors = [min(1.0, share / math.sqrt(squares[name])) for name in names]
        elif clipping == "automatic":
            factors = [clip / (norm + 0.01)] * len(names)
        else:
            factors = [min(1.0, clip / norm)] * len(names)
        total += torch.cat([f * g for f, g in zip(factors, gradient.split(sizes), strict=True)])
    assert clipped > 0, "the clip norm must bind for the test to tell anything"
    before = weights(model)
    setup.step(batch)
    expected = before - 0.5 * total / setup.guarantee.plan.batch_size
    torch.testing.assert_close(weights(model), expected, rtol=1e-4, atol=1e-6)


def test_the_engines_agree(tmp_path: Path) -> None:
    ends = []
    for engine in ("bookkeeping", "opacus"):
        setup = private(settings(dp_engine=engine, dp_l2_clip_norm=0.2), tmp_path)
        model = setup.step.model
        for batch in setup.batches.from_step(0):
            setup.step(batch)
        ends.append(weights(model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_one_step_can_move_at_most_a_clip_norm_by_one_unit(tmp_path: Path) -> None:
    setup = private(settings(dp_l2_clip_norm=0.05), tmp_path)
    model = setup.step.model
    remove_noise(setup)
    batch = next(setup.batches.from_step(0))
    rows = torch.arange(len(batch))
    start = {n: p.detach().clone() for n, p in model.named_parameters()}

    def after(kept: Tensor) -> Tensor:
        model.load_state_dict(start)
        setup.step.step = 0
        setup.step(Batch({"numeric": batch.inputs["numeric"][kept]}, batch.targets[kept], batch.index[kept]))
        return weights(model)

    whole = after(rows)
    for left_out in range(0, len(batch), 5):
        moved = (whole - after(rows[rows != left_out])).norm() * setup.guarantee.plan.batch_size / 0.5
        assert moved <= 0.05 * 1.001


def test_noise_has_the_planned_size_and_is_new_each_step(tmp_path: Path) -> None:
    setup = private(settings(dp_l2_clip_norm=0.7, steps=60), tmp_path)
    model = setup.step.model
    empty = Batch({}, torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    noises, before = [], weights(model)
    for _ in range(60):
        event = setup.step(empty)
        assert (event.loss, event.examples) == (None, None)
        noises.append((before - weights(model)) * setup.guarantee.plan.batch_size / 0.5)
        before = weights(model)
    noise = torch.stack(noises) / (0.7 * setup.guarantee.plan.noise_multiplier)
    # Rounding of the weights adds about 1e-7 relative to steps of 1e-2: nothing beside five standard errors.
    error = 1 / noise.numel() ** 0.5
    assert abs(float(noise.mean())) < 5 * error
    assert float(noise.var()) == pytest.approx(1, abs=5 * error * 2**0.5)
    assert float(torch.corrcoef(noise).fill_diagonal_(0).abs().max()) < 6 / noise.shape[1] ** 0.5
    assert (noise.var(0) - 1).abs().max() < 6 * (2 / 60) ** 0.5, "every weight gets its share"


def test_adaptive_clipping_follows_the_quantile(tmp_path: Path) -> None:
    config = settings(
        SgdConfig(lr=1e-6, momentum=0.0), dp_clipping="adaptive", dp_quantile=0.7, dp_l2_clip_norm=20.0, steps=80,
        dp_batch_size=96.0, dp_epsilon=50.0,
    )  # fmt: skip
    setup = private(config, tmp_path)
    model = setup.step.model
    for batch in setup.batches.from_step(0):
        setup.step(batch)
    norms = torch.stack(loop(model, Rows().batch(torch.arange(96)))).norm(dim=1)
    within = float((norms <= gradient_of(setup).clipper.rule.clip_norm).float().mean())
    assert within == pytest.approx(0.7, abs=0.12)
    assert setup.guarantee.plan.count_noise_multiplier > 0


def test_spent_is_the_plans(tmp_path: Path) -> None:
    setup = private(settings(), tmp_path)
    guarantee = setup.guarantee
    assert (
        guarantee.section(setup.step.step, Release()).epsilon == setup.batches.plan.privacy_spent(12).epsilon
    )
    for batch in setup.batches.from_step(0):
        setup.step(batch)
    section = guarantee.section(setup.step.step, Release())
    assert (section.steps, section.delta, section.target_epsilon) == (12, guarantee.plan.delta, 3.0)
    assert section.epsilon == guarantee.plan.privacy_spent(12).epsilon
    assert 0.97 * 3 <= section.epsilon <= 3
    assert (section.scope, section.noise_source, section.unit) == ("weights", "configured_seed", "patient")


def test_bf16_computes_close_to_fp32(tmp_path: Path) -> None:
    ends = []
    for precision in ("fp32", "bf16"):
        setup = private(settings(precision=precision), tmp_path)
        model = setup.step.model
        assert setup.precision.precision == precision
        for batch in setup.batches.from_step(0):
            setup.step(batch)
        ends.append(weights(model))
    assert not torch.equal(*ends)
    assert (ends[0] - ends[1]).norm() < 0.02 * (ends[0] - weights(Net(0.0, False))).norm()


def test_a_forgotten_weight_is_noticed_in_the_first_step(tmp_path: Path) -> None:
    setup = private(settings(), tmp_path)
    setup.step._peak_lrs = [(group, 0.0) for group, _ in setup.step._peak_lrs]
    with pytest.raises(ValueError, match="did not move"):
        setup.step(next(setup.batches.from_step(0)))


@dataclass
class AnyConfig:
    """Stands for the options of other rooms, of which single keys are read."""

    class_weights: str = "none"
    logit_adjustment: float = 0.0
    linear_probe_epochs: int = 0
    knn_examples_per_class: int = 0


def validated(privacy: PrivacyConfig, training: dict[str, object], others: dict[str, object]) -> None:
    other = AnyConfig(**others)
    validate_run(privacy, training=StandardTraining(**training), target=other, encoder=other, adapter=other)


@pytest.mark.parametrize(
    ("training", "others", "key"),
    [
        ({"sampling": "class_balanced"}, {}, "training.sampling"),
        ({"compile": True}, {}, "training.compile"),
        ({"precision": "fp16"}, {}, "training.precision"),
        ({}, {"class_weights": "balanced"}, "target.class_weights"),
        ({}, {"logit_adjustment": 1.0}, "target.logit_adjustment"),
        ({}, {"linear_probe_epochs": 2}, "adapter.linear_probe_epochs"),
        ({}, {"knn_examples_per_class": 3}, "encoder.text.knn_examples_per_class"),
    ],
)
def test_what_couples_examples_is_refused_by_name(training, others, key: str) -> None:
    validated(DifferentialPrivacy(), {}, {})
    validated(NoPrivacy(), training, others)
    with pytest.raises(ValueError, match=key):
        validated(DifferentialPrivacy(), training, others)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: DifferentialPrivacy(engine="opacus", audit_canaries=100), "privacy.audit_canaries"),
        (lambda: DifferentialPrivacy(engine="opacus", clipping="per_layer"), "privacy.clipping"),
        (lambda: DifferentialPrivacy(epsilon=0.0), r"privacy\.epsilon=0\.0"),
        (lambda: DifferentialPrivacy(delta=1.0), r"privacy\.delta=1\.0"),
        (lambda: DifferentialPrivacy(l2_clip_norm=-1.0), r"privacy\.l2_clip_norm=-1\.0"),
        (lambda: DifferentialPrivacy(num_trials=0), r"privacy\.num_trials=0"),
        (lambda: NoPrivacy(attack="rmia", shadow_models=1), r"privacy\.shadow_models=1"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(make, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        make()


def test_auto_precision_times_no_private_rows(tmp_path: Path) -> None:
    setup = private(settings(precision="auto"), tmp_path)
    assert setup.precision.precision == "fp32"
    assert setup.precision.reason == "private"


def test_batch_norm_is_refused_frozen_or_replaced() -> None:
    for policy, kind in (("group", "GroupNorm"), ("frozen", "FrozenBatchNorm1d"), ("keep", "BatchNorm1d")):
        model = Net()
        converted = convert_batch_norm(model, policy)
        assert converted == ([] if policy == "keep" else ["body.1"])
        assert type(model.body[1]).__name__ == kind
    assert batch_norm_policy(NoPrivacy()) == "keep"
    with pytest.raises(ValueError, match=r"body\.1 .*privacy\.batch_norm"):
        convert_batch_norm(Net(), batch_norm_policy(DifferentialPrivacy()))
