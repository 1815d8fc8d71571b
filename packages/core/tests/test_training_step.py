"""The optimizer step against hand-written steps, the schedules and optimizers against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from fakes.training import Held, Net, Stream, plain_step
from torch import nn

from core.config import build
from core.data.types import Batch
from core.training import config as options
from core.training.ema import Ema
from core.training.optimizers import load_optimizer_state, optimizer_state
from core.training.step import TrainStep, microbatches


def constant(step: int) -> float:
    return 1.0


def fixed_batch(rows: int = 24) -> Batch:
    held = Held(rows)
    return Batch(held.encoded.take(torch.arange(rows)), held.targets, torch.arange(rows))


def test_equals_a_hand_written_loop_bit_for_bit() -> None:
    ours, theirs = Net(), Net()
    schedule = build(options.CosineSchedule(0.1), 8)
    update = plain_step(ours, options.AdamWConfig(), schedule, max_grad_norm=0.5)
    plain = [p for p in theirs.parameters() if p.ndim < 2]
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.01},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    for step, batch in enumerate(Stream(Held(), 20, 8).from_step(0)):
        torch.manual_seed(step)
        event = update(batch)
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * schedule(step)
        loss = (
            nn.functional.binary_cross_entropy_with_logits(
                theirs(batch.inputs)[:, 0], batch.targets.float(), reduction="none"
            )
            .sum()
            .div(20)
        )
        loss.backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        assert event.loss == loss.item()
        assert event.lr == 1e-3 * schedule(step)
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("micro", [1, 5, 24, 100])
def test_accumulation_gives_the_gradient_of_the_whole_batch(micro: int) -> None:
    batch = fixed_batch()
    gradients = []
    for size in (0, micro):
        model = Net(dropout=0.0, norm=False)
        update = plain_step(model, options.SgdConfig(), constant, micro_batch_size=size)
        loss = update.gradient.accumulate(batch, len(batch))
        gradients.append([loss, *(p.grad for p in model.parameters())])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-7)


def test_micro_batches_cover_a_batch_once() -> None:
    batch = fixed_batch(10)
    cut = list(microbatches(batch, 4))
    assert [len(p) for p in cut] == [4, 4, 2]
    assert torch.equal(torch.cat([p.index for p in cut]), batch.index)
    assert torch.equal(torch.cat([p.inputs["numeric"] for p in cut]), batch.inputs["numeric"])


class Weighted:
    """Weighs rows by their number in the part."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.weights = weights

    def __call__(self, losses: torch.Tensor, batch: Batch, outputs: torch.Tensor) -> torch.Tensor:
        return losses * self.weights[batch.index]


def test_example_weights_equal_repeated_rows() -> None:
    batch = fixed_batch(8)
    weights = torch.tensor([3.0, 1, 1, 1, 1, 1, 1, 0]) * 8 / 9
    rows = torch.tensor([0, 0, 0, 1, 2, 3, 4, 5, 6])
    repeated = Batch({"numeric": batch.inputs["numeric"][rows]}, batch.targets[rows], rows)
    found = []
    for chosen, objective in ((batch, Weighted(weights)), (repeated, None)):
        model = Net(dropout=0.0, norm=False)
        update = plain_step(model, options.SgdConfig(), constant, objective=objective)
        # mean weight 1 over 8 rows against 9 rows counted once each
        update.gradient.accumulate(chosen, len(chosen))
        found.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(found[0], found[1])


def test_gradients_are_clipped_to_the_norm() -> None:
    model = Net(dropout=0.0, norm=False)
    before = [p.detach().clone() for p in model.parameters()]
    lr, norm = 1.0, 1e-3
    update = plain_step(model, options.SgdConfig(lr=lr, momentum=0.0), constant, max_grad_norm=norm)
    update(fixed_batch())
    moved = torch.cat([(b - p).flatten() for b, p in zip(before, model.parameters(), strict=True)])
    assert float(moved.detach().norm()) == pytest.approx(lr * norm, rel=1e-3)


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do() -> None:
    model = Net()
    update = plain_step(model, options.SgdConfig(), constant)
    batch = fixed_batch()
    batch.inputs["numeric"][0, 0] = math.inf
    with pytest.raises(ValueError, match=r"became nan at step 1: lower optimizer\.lr"):
        update(batch)


def test_frozen_weights_stay_and_are_known_by_their_hash() -> None:
    model, other = Net(), Net()
    for net in (model, other):
        net.body[0].weight.requires_grad_(False)
    with torch.no_grad():
        other.body[0].weight[0, 0] += 1
    update = plain_step(model, options.SgdConfig(), constant)
    before = model.body[0].weight.clone()
    update(fixed_batch())
    assert torch.equal(model.body[0].weight, before)
    state = update.state_dict()
    assert "model.body.0.weight" not in state
    with pytest.raises(ValueError, match="frozen weights differ"):
        plain_step(other, options.SgdConfig(), constant).load_state_dict(state)


def test_ema_is_the_textbook_average_and_gives_the_live_weights_back() -> None:
    model = nn.Linear(2, 1)
    ema = Ema(model, 0.5)
    expected = model.weight.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        ema.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    live = model.weight.detach().clone()
    with ema.average_parameters():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert torch.equal(model.weight, live)


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 1)

    def forward(self, inputs):
        return self.head(self.conv(inputs["image"].float() / 255).mean((2, 3)))


def image_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (6, 3, 9, 9), dtype=torch.uint8, generator=generator)
    return Batch({"image": image}, torch.tensor([0, 1, 0, 1, 1, 0]), torch.arange(6))


@pytest.mark.parametrize("optimizer", [options.AdamWConfig(), options.AdamConfig(), options.SgdConfig()])
def test_optimizer_state_survives_channels_last(optimizer) -> None:
    """Fused kernels walk memory in order, so a state of another layout than its weight's would be garbage."""
    batch = image_batch()

    def fresh() -> TrainStep:
        model = Conv()
        return plain_step(model, optimizer, constant, channels_last=True)

    straight = fresh()
    for _ in range(4):
        straight(batch)
    first = fresh()
    first(batch)
    first(batch)
    state = {
        k: v.clone(memory_format=torch.contiguous_format) if isinstance(v, torch.Tensor) else v
        for k, v in first.state_dict().items()
    }
    resumed = fresh()
    resumed.load_state_dict(state)
    resumed(batch)
    resumed(batch)
    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    plain = Conv()
    contiguous = plain_step(plain, optimizer, constant)
    for _ in range(4):
        contiguous(batch)
    torch.testing.assert_close(plain.conv.weight, straight.model.conv.weight, rtol=1e-4, atol=1e-5)


def test_muon_takes_matrices_inside_and_adamw_the_rest() -> None:
    model = Net()
    muon, adamw = build(options.MuonConfig(), model)
    inside = {id(p) for g in muon.param_groups for p in g["params"]}
    assert inside == {id(model.body[0].weight), id(model.body[4].weight)}
    rest = {id(p) for g in adamw.param_groups for p in g["params"]}
    assert inside | rest == {id(p) for p in model.parameters()}
    assert not inside & rest


def test_muon_in_full_precision_is_torchs_muon() -> None:
    from core.training.muon import ExactMuon, newton_schulz

    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(size, generator=draw) for size in ((8, 24), (24, 8), (8, 8))]
    slopes = [[torch.randn(w.shape, generator=draw) for w in start] for _ in range(4)]
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9, "adjust_lr_fn": "match_rms_adamw"}
    found = []
    for kind in (torch.optim.Muon, ExactMuon):
        weights = [torch.nn.Parameter(w.clone()) for w in start]
        optimizer = kind(weights, **settings)
        for step in slopes:
            for weight, slope in zip(weights, step, strict=True):
                weight.grad = slope.clone()
            optimizer.step()
        found.append((weights, optimizer.state_dict()["state"]))
    (theirs, their_state), (ours, our_state) = found
    for before, a, b in zip(start, theirs, ours, strict=True):
        assert (a - before).norm() > 0.05
        assert (a - b).norm() < 0.02 * (a - before).norm(), "only bf16's rounding may tell them apart"
    for key, state in their_state.items():
        torch.testing.assert_close(our_state[key]["momentum_buffer"], state["momentum_buffer"])
    u, s, v = torch.linalg.svd(torch.randn(6, 6, generator=draw))
    near = torch.linalg.svdvals(newton_schulz(u @ torch.diag(s) @ v, (3.4445, -4.775, 2.0315), 5, 1e-7))
    assert near.min() > 0.5
    assert near.max() < 1.3


def test_muon_is_refused_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no trainable 2-D weight"):
        build(options.MuonConfig(), Conv())
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match="has no Muon"):
        build(options.MuonConfig(), Net())


def test_biases_and_norms_do_not_decay() -> None:
    model = Net()
    (optimizer,) = build(options.AdamWConfig(weight_decay=0.3), model)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert all(decays[id(p)] == (0.3 if p.ndim >= 2 else 0.0) for p in model.parameters())


def test_optimizer_state_of_another_model_is_refused() -> None:
    model = Net()
    update = plain_step(model, options.AdamWConfig(), constant)
    update(fixed_batch())
    state = optimizer_state(update.optimizers, model)
    assert {k.rsplit(".", 1)[1] for k in state} == {"step", "exp_avg", "exp_avg_sq"}
    other = Conv()
    with pytest.raises(ValueError, match="not trained here"):
        load_optimizer_state(build(options.AdamWConfig(), other), other, state)


def test_compiled_forward_equals_eager() -> None:
    batch = fixed_batch()
    losses = []
    for compiled in (False, True):
        torch._dynamo.reset()
        model = Net(dropout=0.0)
        update = plain_step(model, options.SgdConfig(), constant)
        if (
            compiled
        ):  # the eager backend: what is tested is our wiring, not inductor, which needs a C++ compiler
            update.gradient.losses._forward = torch.compile(model, backend="eager")
        losses.append([update(batch).loss for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "onecycle", "multistep"])
def test_schedules_rise_peak_and_stay_within_bounds(name: str) -> None:
    schedule = {
        "constant": options.ConstantSchedule(warmup=0.1),
        "cosine": options.CosineSchedule(warmup=10),
        "linear": options.LinearSchedule(warmup=0.1),
        "onecycle": options.OneCycleSchedule(),
        "multistep": options.MultiStepSchedule(warmup=10),
    }[name]
    built = build(schedule, 100)
    factors = [built(step) for step in range(100)]
    assert all(0 <= f <= 1 for f in factors)
    assert max(factors) == pytest.approx(1.0)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert peak == (30 if name == "onecycle" else 10)
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_schedules_of_very_short_runs_are_finite(steps: int) -> None:
    for schedule in (options.OneCycleSchedule(), options.CosineSchedule(), options.LinearSchedule(warmup=5)):
        assert all(0 < build(schedule, steps)(step) <= 1 for step in range(steps))


def test_cosine_and_onecycle_equal_torchs() -> None:
    def torchs(make, steps: int) -> list[float]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
        scheduler = make(optimizer)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return rates

    lr = torch.optim.lr_scheduler
    cosine = build(options.CosineSchedule(warmup=0.0, min_lr_ratio=0.1), 50)
    assert [cosine(s) for s in range(50)] == pytest.approx(
        torchs(lambda o: lr.CosineAnnealingLR(o, 50, 0.1), 50)
    )
    onecycle = build(options.OneCycleSchedule(warmup=14, start_lr_ratio=0.04, min_lr_ratio=4e-6), 51)
    theirs = torchs(
        lambda o: lr.OneCycleLR(o, 1.0, total_steps=51, pct_start=15 / 51, cycle_momentum=False), 51
    )
    assert [onecycle(s) for s in range(51)] == pytest.approx(theirs, abs=1e-6)


def test_multistep_falls_at_its_milestones() -> None:
    built = build(options.MultiStepSchedule(milestones=[0.5, 0.75], gamma=0.1), 8)
    assert [built(s) for s in range(8)] == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: options.SgdConfig(lr=0), r"optimizer\.lr=0"),
        (lambda: options.SgdConfig(lr=math.nan), r"optimizer\.lr=nan"),
        (lambda: options.AdamConfig(lr=-1.0), r"optimizer\.lr=-1\.0"),
        (lambda: options.SgdConfig(momentum=0.0, nesterov=True), r"optimizer\.nesterov"),
        (lambda: options.AdamWConfig(beta2=1.0), r"optimizer\.beta2=1\.0"),
        (lambda: options.MuonConfig(momentum=1.0), r"optimizer\.momentum=1\.0"),
        (lambda: options.CosineSchedule(warmup=-1), r"schedule\.warmup=-1"),
        (lambda: options.LinearSchedule(min_lr_ratio=1.5), r"schedule\.min_lr_ratio=1\.5"),
        (lambda: options.MultiStepSchedule(milestones=[1.5]), r"schedule\.milestones=\[1\.5\]"),
        (lambda: options.StandardTraining(precision="int8"), r"training\.precision='int8'.*bf16"),
        (lambda: options.StandardTraining(batch_size=0), r"training\.batch_size=0"),
        (lambda: options.StandardTraining(tta_views=3), r"training\.tta_views=3"),
        (lambda: options.StandardTraining(ema=1.0), r"training\.ema=1\.0"),
        (lambda: options.StandardTraining(epochs=0), r"training\.epochs=0"),
        (lambda: options.StandardTraining(sampling="sex"), r"training\.sampling='sex'"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_defaults_pass_and_count_steps() -> None:
    config = options.StandardTraining(epochs=3, batch_size=10)
    assert (config.epoch_steps(25), config.total_steps(25)) == (2, 6)
    assert options.StandardTraining(batch_size=10, drop_last=False).epoch_steps(25) == 3
    assert options.StandardTraining(batch_size=100).epoch_steps(25) == 1
    assert options.StandardTraining(steps=7).total_steps(25) == 7
    assert set(options.MAY_CHANGE_ON_RESUME) < set(vars(config))
