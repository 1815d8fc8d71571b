"""Precision, prediction, validation and callbacks: what chooses, evaluates and reports without changing the run."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.training import Encoded, Held, Net, Stream, Yes, plain_step, run
from torch import nn

from core.backbones.contexts import eval_mode
from core.data.types import Batch
from core.targets.metrics import monitored
from core.training import precision as room
from core.training.callbacks import LearningCurve, LogProgress, ProgressBar, StepTimer
from core.training.config import AdamWConfig, ConstantSchedule, SgdConfig, StandardTraining
from core.training.loop import fit
from core.training.prediction import outputs, predict, scores
from core.training.setup import TrainingInputs, measure_precision
from core.training.trainer import TimeLimit
from core.training.types import Callback, StepEvent
from core.training.validator import Validator

CPU = torch.device("cpu")


def first_batch() -> Batch:
    return next(Stream(Held(), 20, 300).from_step(0))


def decide(folder: Path, asked: str = "auto", steps: int = 300, model: nn.Module | None = None):
    model = Net() if model is None else model
    cache = folder / "cache" / "precision.json"
    return room.choose_precision(asked, model, Yes(), first_batch(), steps, folder, device=CPU, cache=cache)


def test_measuring_touches_neither_weights_nor_buffers_nor_gradients_nor_randomness() -> None:
    model = Net()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    batch = first_batch()
    stream = torch.random.get_rng_state()
    ratio = room.measure_speedup(model, Yes(), batch, CPU)
    assert ratio > 0
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model.training


@pytest.mark.parametrize(("ratio", "chosen"), [(1.3, "bf16"), (1.15, "bf16"), (1.1, "fp32"), (0.4, "fp32")])
def test_auto_takes_bf16_only_where_clearly_faster(tmp_path, monkeypatch, ratio: float, chosen: str) -> None:
    monkeypatch.setattr(room, "native_bf16", lambda device: True)
    monkeypatch.setattr(room, "measure_speedup", lambda *_: ratio)
    found = decide(tmp_path)
    assert found.precision == chosen
    assert (found.reason, found.speedup) == ("measured", ratio)


def test_auto_decides_once_for_folder_and_machine(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "native_bf16", lambda device: True)
    ratios = iter([1.5, 0.5])
    monkeypatch.setattr(room, "measure_speedup", lambda *_: next(ratios))
    (tmp_path / "cache").mkdir()
    one, two = tmp_path / "one", tmp_path / "two"

    def of(folder: Path, model: nn.Module) -> str:
        cache = tmp_path / "cache" / "precision.json"
        return room.choose_precision(
            "auto", model, Yes(), first_batch(), 300, folder, device=CPU, cache=cache
        ).precision

    assert of(one, Net()) == "bf16"
    assert of(one, Net()) == "bf16"
    assert of(two, Net()) == "bf16"  # the machine remembers
    assert of(one, Net(norm=False)) == "fp32"  # another model is measured anew


def test_tiny_runs_and_processors_without_bf16_are_not_measured(tmp_path: Path, monkeypatch) -> None:
    def forbidden(*_):
        raise AssertionError("measured")

    monkeypatch.setattr(room, "measure_speedup", forbidden)
    monkeypatch.setattr(room, "native_bf16", lambda device: False)
    assert decide(tmp_path / "a").reason == "no_native_bf16"
    monkeypatch.setattr(room, "native_bf16", lambda device: True)
    assert decide(tmp_path / "b", steps=199).reason == "short_run"
    assert decide(tmp_path / "c", asked="bf16").precision == "bf16"
    with pytest.raises(ValueError, match=r"training\.precision='fp16'.*CUDA"):
        decide(tmp_path / "d", asked="fp16")


def test_a_cache_that_cannot_be_written_is_warned_of(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(room, "native_bf16", lambda device: True)
    monkeypatch.setattr(room, "measure_speedup", lambda *_: 1.5)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert decide(tmp_path).reason == "measured"
    assert "can't be written" in caplog.text


def test_a_damaged_cache_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "native_bf16", lambda device: True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "precision.json").write_text("{")
    with pytest.raises(ValueError, match=r"precision\.json is damaged .*delete it"):
        decide(tmp_path)


def test_measuring_precision_leaves_the_random_state(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PLINTH_CACHE", str(tmp_path))
    model = Net()
    before = torch.random.get_rng_state()
    inputs = TrainingInputs(
        StandardTraining(),
        AdamWConfig(),
        ConstantSchedule(),
        model,
        Yes(),
        Held(),
        Held(),
        seed=0,
        folder=tmp_path / "run",
    )
    found = measure_precision(inputs, Stream(Held(), 20, 300))
    assert found.precision in ("fp32", "bf16")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bf16_computes_in_bf16_and_keeps_weights_in_fp32() -> None:
    model = Net(dropout=0.0, norm=False)
    seen = []
    model.head.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    update = plain_step(model, SgdConfig(), lambda step: 1.0, precision="bf16")
    update(first_batch())
    assert seen == [torch.bfloat16]
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_predictions_equal_one_plain_forward_pass_whatever_the_batch_size() -> None:
    model, held = Net(), Held()
    with torch.no_grad():
        expected = torch.sigmoid(model.eval()(held.encoded.tensors)[:, 0]).double().numpy()
    model.train()
    for size in (7, 96, 500):
        found = predict(model, Yes(), held, batch_size=size)
        np.testing.assert_allclose(found.scores[:, 1], expected, rtol=1e-5)
        assert found.scores.dtype == np.float64
    assert (found.index == held.rows).all()
    assert (found.targets == held.targets.numpy()).all()
    assert list(found.groups) == ["sex"]
    assert model.training
    np.testing.assert_allclose(scores(model, Yes(), held.encoded.tensors), found.scores, rtol=1e-5)
    with pytest.raises(ValueError, match="no rows"):
        outputs(model, {"numeric": torch.empty(0, 6)})


def test_each_module_gets_its_own_mode_back() -> None:
    model = Net()
    model.body[1].eval()
    with eval_mode(model):
        assert not model.training
    assert model.training
    assert not model.body[1].training
    assert model.body[3].training


class Corner(nn.Module):
    """Reads one corner pixel, so that every view of an image gives another output."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, inputs):
        return inputs["image"][:, 0, :1, 0].float() * self.scale


@pytest.mark.parametrize(
    ("views", "corners"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (8, [1, 2, 3, 4, 1, 2, 3, 4])]
)
def test_views_average_the_scores_of_turned_and_mirrored_images(views: int, corners: list[int]) -> None:
    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 0, 0], image[0, 0, 0, 2], image[0, 0, 2, 0], image[0, 0, 2, 2] = 1, 2, 3, 4
    found = scores(Corner(), Yes(), Encoded(image=image), views=views)
    expected = np.mean([1 / (1 + np.exp(-c)) for c in corners])
    assert found[0, 1] == pytest.approx(expected, rel=1e-6)


def test_views_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="needs an image"):
        scores(Net(), Yes(), Held().encoded, views=2)
    with pytest.raises(ValueError, match=r"not square \(3 x 4\)"):
        scores(Corner(), Yes(), {"image": torch.zeros(1, 1, 3, 4, dtype=torch.uint8)}, views=8)


def validated(values: list[float], metric: str = "accuracy", **changes) -> tuple[Validator, Net]:
    """Validate with these metrics, the model's bias counting the validations."""
    model = Net()
    given = iter(values)
    validation = Validator(
        model, lambda: {metric: next(given)}, metric, every=1, steps=len(values), **{"patience": 2, **changes}
    )
    for step in range(1, len(values) + 1):
        with torch.no_grad():
            model.head.bias.fill_(float(step))
        validation.after_step(step)
        if validation.should_stop():
            break
    return validation, model


def test_best_weights_come_back_and_patience_runs_out() -> None:
    validation, model = validated([0.1, 0.5, 0.4, 0.5, 0.9])
    assert [point.step for point in validation.history] == [1, 2, 3, 4]
    assert validation.should_stop() == "patience"
    assert (validation.best().step, validation.best().without_improvement) == (2, 2)
    assert validation.restore_best()
    assert model.head.bias.item() == 2.0


def test_losses_are_better_when_lower_and_undefined_figures_select_nothing(caplog) -> None:
    validation, _ = validated([0.5, 0.3, float("nan"), 0.4], metric="loss", patience=0)
    assert (validation.best_step, validation.best_value) == (2, 0.3)
    assert "undefined after step 3" in caplog.text
    assert validation.history[2].validation == {"loss": None}
    json.dumps([point.model_dump() for point in validation.history], allow_nan=False)
    by_rmse, _ = validated([0.5, 0.3], metric="rmse")
    assert by_rmse.best_step == 2


def test_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match=r"training\.monitor='f7': this target has loss, accuracy"):
        monitored(Yes(), "f7")
    assert monitored(Yes(), "auto") == "accuracy"


def test_trained_model_learns_and_holds_the_best_validation_weights(tmp_path: Path) -> None:
    trained, model = run(tmp_path, "adamw", steps=120)
    best = trained.best
    found = predict(model, Yes(), Held(seed=5))
    assert float((found.labels == found.targets).mean()) == pytest.approx(best.value)
    assert best.value == max(p.validation["accuracy"] for p in trained.history if p.validation)
    assert best.value > 0.8
    assert (trained.weights, best.monitor, trained.stop_reason) == ("best", "accuracy", "all_steps")
    json.dumps([point.model_dump() for point in trained.history], allow_nan=False)


def test_average_is_kept_where_no_best_is_asked_for(tmp_path: Path) -> None:
    trained, _ = run(tmp_path, "muon", restore_best=False)
    assert trained.weights == "average"
    trained, _ = run(tmp_path / "sgd", "sgd", restore_best=False)
    assert trained.weights == "last"


def test_time_limit_stops_and_counts_time_before_a_resume(tmp_path: Path) -> None:
    trained, _ = run(tmp_path, "adamw", max_minutes=1e-9)
    assert trained.steps == 0
    assert trained.stop_reason == "time_limit"
    clock = TimeLimit(1.0)
    assert clock.should_stop() is None
    clock.load_state_dict({"seconds": 61.0})
    assert clock.should_stop() == "time_limit"
    unlimited = TimeLimit(0.0)
    unlimited.load_state_dict({"seconds": 1e9})
    assert unlimited.should_stop() is None


def events(loss: float | None, examples: int | None = 8, steps: int = 40) -> list[StepEvent]:
    return [StepEvent(step, examples, loss, 0.01) for step in range(1, steps + 1)]


def test_nothing_of_a_private_loss_or_batch_size_is_shown_or_kept() -> None:
    text, bar_text = io.StringIO(), io.StringIO()
    curve, timer = LearningCurve(40), StepTimer()
    shown = [LogProgress(40, 0, text), ProgressBar(40, 0, bar_text), curve, timer]
    for event in events(None, None):
        for callback in shown:
            callback.on_step(event)
    assert "loss" not in text.getvalue() + bar_text.getvalue()
    assert "lr 1.00e-02" in text.getvalue()
    assert curve.points == []
    timings = timer.timings()
    assert timings.steps == 40
    assert timings.examples_per_second is timings.step_ms_median is timings.step_ms_p95 is None


def test_lines_show_loss_rate_and_time_left_ten_times() -> None:
    text = io.StringIO()
    lines = LogProgress(40, 0, text)
    for event in events(0.25):
        lines.on_step(event)
    rows = text.getvalue().splitlines()
    assert len(rows) == 10
    assert rows[0].startswith("step 4/40  loss 0.2500  lr 1.00e-02  ")
    assert rows[0].endswith("s left")


def test_bar_draws_loss_rate_and_count() -> None:
    text = io.StringIO()
    bar = ProgressBar(40, 0, text)
    for event in events(0.25):
        bar.on_step(event)
    bar.on_end()
    assert "40/40" in text.getvalue()
    assert "loss 0.2500" in text.getvalue()


def test_learning_curve_is_the_corrected_exponential_mean() -> None:
    curve = LearningCurve(3)
    for step, loss in enumerate([4.0, 2.0, 1.0], 1):
        curve.on_step(StepEvent(step, 8, loss, 0.1))
    memory = 0.95
    weights = np.array([memory**2, memory, 1.0])
    assert curve.points[-1].loss == pytest.approx(float(weights @ [4.0, 2.0, 1.0] / weights.sum()))


def test_step_timer_measures_the_steps() -> None:
    timer = StepTimer()
    for event in events(0.1, steps=5):
        time.sleep(0.01)
        timer.on_step(event)
    found = timer.timings()
    assert found.steps == 5
    assert 10 <= found.step_ms_median < 100
    assert found.examples_per_second == pytest.approx(40 / found.seconds)


def test_loop_hands_each_event_to_each_callback_and_stops_where_asked() -> None:
    seen: list[int] = []

    class Three(Callback):
        def on_step(self, event: StepEvent) -> None:
            seen.append(event.step)

        def on_end(self) -> None:
            seen.append(-1)

        def should_stop(self) -> str | None:
            return "three are enough" if seen[-1:] == [3] else None

    three = Three()
    update = plain_step(Net(), SgdConfig(), lambda step: 1.0)
    reason = fit(update, Stream(Held(), 20, 9), seed=0, callbacks=[three], stopping=[three])
    assert reason == "three are enough"
    assert seen == [1, 2, 3, -1]
    assert three.findings() == {}
