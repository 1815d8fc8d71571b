"""Mitigation in training and after it: by hand, against fairlearn, in pieces, in processes, over a resume."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fairlearn.metrics import equalized_odds_difference
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.preprocessing import CorrelationRemover
from fakes.privacy import gradient_of, settings
from fakes.privacy import private as private_training
from fakes.training import Net, plain_step
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.metrics import balanced_accuracy_score

import core.data.config
import core.privacy.config
import core.training.config  # noqa: F401 - they register the options
from core.config import OPTIONS, FairnessConfig, build, option_name
from core.data.encoders.decorrelated import restore_encoder as restore
from core.data.groups import Groups
from core.data.types import Batch, ColumnRoles, Dataset
from core.fairness.config import (
    DecorrelateConfig,
    GroupDROConfig,
    PenaltyConfig,
    ReweightConfig,
    ThresholdConfig,
    validate_run,
)
from core.fairness.group_dro import GroupDRO
from core.fairness.group_thresholds import decide_by_group
from core.fairness.penalty import DisparityPenalty
from core.fairness.reweighing import counted_weights
from core.fairness.subgroups import SubgroupIndex, select_attributes
from core.fairness.threshold_optimizer import optimize_thresholds
from core.targets.binary import BinaryTarget
from core.targets.multiclass import MulticlassTarget
from core.targets.regression import RegressionTarget
from core.targets.types import Predictions, Target
from core.training.config import SgdConfig
from core.training.parallel import ALONE
from core.training.step import TrainStep

BINARY = BinaryTarget("y", ("no", "yes"))
ROWS = 400


@dataclass
class Rows:
    """Training rows: two attributes, a class that depends on the first."""

    inputs: dict[str, torch.Tensor]
    targets: torch.Tensor
    group_codes: dict[str, torch.Tensor]
    frame: pd.DataFrame = field(repr=False)

    @classmethod
    def make(cls, seed: int = 0) -> tuple[Rows, Groups]:
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {"sex": rng.choice(["f", "m"], ROWS, p=[0.3, 0.7]), "skin": rng.choice(["d", "l"], ROWS)}
        )
        y = (rng.random(ROWS) < np.where(frame["sex"] == "f", 0.25, 0.6)).astype(int)
        groups = Groups.fit(frame, Dataset(frame, ColumnRoles(sensitive=("sex", "skin")), "made"))
        codes = {k: torch.from_numpy(v) for k, v in groups.codes(groups.names(frame)).items()}
        x = torch.from_numpy(rng.normal(size=(ROWS, 6)) + y[:, None]).float()
        return cls({"numeric": x}, torch.from_numpy(y), codes, frame), groups

    def batch(self, rows: torch.Tensor) -> Batch:
        return Batch(
            {"numeric": self.inputs["numeric"][rows]},
            self.targets[rows],
            rows,
            {name: codes[rows] for name, codes in self.group_codes.items()},
        )


def objective_of(config: FairnessConfig, rows: Rows, groups: Groups, target: Target = BINARY) -> Any:
    """Return how an option weighs the losses of these rows."""
    return build(config).objective(rows, groups, target)


def step_of(objective, micro_batch_size: int = 0) -> TrainStep:
    model = Net(dropout=0.0, norm=False)
    return plain_step(
        model,
        SgdConfig(lr=0.1),
        lambda step: 1.0,
        target=BINARY,
        objective=objective,
        micro_batch_size=micro_batch_size,
    )


def trained(step: TrainStep, rows: Rows, steps: range) -> list[torch.Tensor]:
    for number in steps:
        generator = torch.Generator().manual_seed(number)
        step(rows.batch(torch.randperm(ROWS, generator=generator)[:60]))
    return [p.detach().clone() for p in step.model.parameters()]


def test_reweighing_makes_group_and_class_independent() -> None:
    rows, groups = Rows.make()
    weigh = objective_of(ReweightConfig(), rows, groups)
    batch = rows.batch(torch.arange(ROWS))
    weights = weigh(torch.ones(ROWS), batch, torch.zeros(ROWS, 1)).double()
    assert float(weights.mean()) == pytest.approx(1.0)
    female = rows.frame["sex"].to_numpy() == "f"
    y = rows.targets.numpy()
    expected = female.mean() * y.mean() / (female & (y == 1)).mean()  # Kamiran and Calders, by hand
    assert weights[np.flatnonzero(female & (y == 1))[0]] == pytest.approx(expected, rel=1e-6)
    share = [
        float(weights[(female == f) & (y == 1)].sum() / weights[female == f].sum()) for f in (True, False)
    ]
    assert share[0] == pytest.approx(share[1], rel=1e-6) == pytest.approx(y.mean(), rel=1e-6)


def test_groups_weigh_alike_where_asked_and_joined_attributes_are_four_groups() -> None:
    rows, groups = Rows.make()
    weigh = objective_of(ReweightConfig(attribute="sex+skin", reweigh_by="group"), rows, groups)
    weights = weigh(torch.ones(ROWS), rows.batch(torch.arange(ROWS)), torch.zeros(ROWS, 1))
    cells = (rows.frame["sex"] + rows.frame["skin"]).to_numpy()
    sums = {name: float(weights[cells == name].sum()) for name in np.unique(cells)}
    assert list(sums.values()) == pytest.approx([ROWS / 4] * 4, rel=1e-5)


def test_given_weights_count_nothing_and_name_their_groups() -> None:
    rows, groups = Rows.make()
    weigh = objective_of(ReweightConfig(weights={"f": 3.0}), rows, groups)
    rows.targets = torch.zeros_like(rows.targets)  # were they counted, the weights would follow
    weights = weigh(torch.ones(ROWS), rows.batch(torch.arange(ROWS)), torch.zeros(ROWS, 1)).numpy()
    assert np.array_equal(weights, np.where(rows.frame["sex"] == "f", 3.0, 1.0).astype(np.float32))
    with pytest.raises(ValueError, match=r"fairness\.weights=.*no group 'x'; there are f, m"):
        objective_of(ReweightConfig(weights={"x": 2.0}), rows, groups)


def test_group_robust_weights_follow_the_paper() -> None:
    rows, groups = Rows.make()
    index = SubgroupIndex.of("sex", groups, BINARY, by_class=False)
    counts = index.counts(rows)
    dro = GroupDRO(index, counts, step_size=0.5, min_group_rows=1)
    batch = rows.batch(torch.arange(100))
    losses = torch.rand(100, generator=torch.Generator().manual_seed(1))
    share = (counts / counts.sum()).numpy()
    weights = dro(losses, batch, torch.zeros(100, 1)) / losses
    sex = batch.groups["sex"].numpy()
    assert weights.numpy() == pytest.approx((0.5 / share[:2])[sex], rel=1e-5)  # q starts even
    dro.after_step(ALONE)
    mean = np.array([losses.numpy()[sex == g].mean() for g in range(2)])
    q = np.exp(0.5 * mean) / np.exp(0.5 * mean).sum()
    again = dro(torch.ones(100), batch, torch.zeros(100, 1))
    assert again.numpy() == pytest.approx((q / share[:2])[sex], rel=1e-5)


def test_small_groups_are_left_as_they_are() -> None:
    rows, groups = Rows.make()
    few = Rows(rows.inputs, rows.targets, {"sex": torch.zeros(ROWS, dtype=torch.int64)}, rows.frame)
    few.group_codes["sex"][:200] = 1
    few.group_codes["sex"][:5] = 2  # "other"
    index = SubgroupIndex.of("sex", groups, BINARY, by_class=False)
    dro = GroupDRO(index, index.counts(few), 0.5, min_group_rows=50)
    weights = dro(torch.ones(ROWS), few.batch(torch.arange(ROWS)), torch.zeros(ROWS, 1))
    assert weights[:5].tolist() == [1.0] * 5
    assert float(weights.mean()) == pytest.approx(1.0)


@pytest.mark.parametrize("constraint", ["demographic_parity", "equal_opportunity", "equalized_odds"])
def test_the_penalty_has_the_gradient_of_the_squared_disparities(constraint: str) -> None:
    """With the means of all rows known, the slope of the batch of all rows is that of the penalty itself."""
    rows, groups = Rows.make()
    batch = rows.batch(torch.arange(ROWS))
    model = Net(dropout=0.0, norm=False)
    by_class = constraint != "demographic_parity"
    index = SubgroupIndex.of("sex", groups, BINARY, by_class)
    penalty = DisparityPenalty(index, index.counts(rows), BINARY, constraint, weight=3.0, min_group_rows=1)
    outputs = model(batch.inputs)
    losses = BINARY.losses(outputs, batch.targets)
    penalty(losses, batch, outputs)
    penalty.after_step(ALONE)
    penalised = penalty(losses, batch, outputs).mean()
    found = torch.autograd.grad(penalised, list(model.parameters()), retain_graph=True)

    chance = torch.sigmoid(outputs[:, 0])
    sex = batch.groups["sex"]
    classes = {"demographic_parity": [None], "equal_opportunity": [1], "equalized_odds": [0, 1]}[constraint]
    total = losses.mean()
    for y in classes:
        inside = torch.ones(ROWS, dtype=torch.bool) if y is None else batch.targets == y
        means = torch.stack([chance[inside & (sex == g)].mean() for g in (0, 1)])
        total = total + 3.0 * ((means - means.mean()) ** 2).sum()
    expected = torch.autograd.grad(total, list(model.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_equal_loss_never_trains_a_group_to_be_served_worse() -> None:
    rows, groups = Rows.make()
    index = SubgroupIndex.of("sex", groups, BINARY, by_class=False)
    penalty = DisparityPenalty(index, index.counts(rows), BINARY, "equal_loss", weight=1e6, min_group_rows=1)
    batch = rows.batch(torch.arange(ROWS))
    losses = torch.where(batch.groups["sex"] == 0, 2.0, 1.0)
    penalty(losses, batch, torch.zeros(ROWS, 1))
    penalty.after_step(ALONE)
    weighted = penalty(losses, batch, torch.zeros(ROWS, 1))
    assert float(weighted[batch.groups["sex"] == 1].abs().max()) == 0.0
    assert float(weighted[batch.groups["sex"] == 0].min()) > 2.0


OBJECTIVES = {
    "dro": GroupDROConfig(step_size=0.3, min_group_rows=5),
    "penalty": PenaltyConfig(weight=5.0, min_group_rows=5),
}


@pytest.mark.parametrize("kind", list(OBJECTIVES))
def test_a_batch_in_pieces_is_a_batch(kind: str) -> None:
    rows, groups = Rows.make()
    ends = [
        trained(step_of(objective_of(OBJECTIVES[kind], rows, groups), micro), rows, range(8))
        for micro in (0, 7)
    ]
    for whole, pieces in zip(*ends, strict=True):
        torch.testing.assert_close(whole, pieces, rtol=1e-4, atol=1e-6)
    plain = trained(step_of(None), rows, range(8))
    assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(ends[0], plain, strict=True))


@pytest.mark.parametrize("kind", list(OBJECTIVES))
def test_two_processes_see_what_one_sees(kind: str) -> None:
    """Each notes its half; the sums of both, as all-reduce gives them, make the state of one process."""
    rows, groups = Rows.make()
    batch = rows.batch(torch.arange(80))
    outputs = torch.randn(80, 1, generator=torch.Generator().manual_seed(0))
    losses = BINARY.losses(outputs, batch.targets)
    alone, *two = (objective_of(OBJECTIVES[kind], rows, groups) for _ in range(3))
    alone(losses, batch, outputs)
    alone.after_step(ALONE)
    for rank, own in enumerate(two):
        half = torch.arange(80)[rank::2]
        own(losses[half], rows.batch(half), outputs[half])
    means = [own.losses if kind == "dro" else own.means for own in two]
    seen = [[m._sums.clone(), m._counts.clone()] for m in means]

    def all_reduced(tensors: list[torch.Tensor]) -> None:
        for tensor, a, b in zip(tensors, *seen, strict=True):
            tensor.copy_(a + b)

    for own in two:
        own.after_step(SimpleNamespace(all_reduce_=all_reduced))
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(own.state_dict()[name], value)


@pytest.mark.parametrize("kind", list(OBJECTIVES))
def test_a_resumed_run_ends_with_the_same_bits(kind: str) -> None:
    rows, groups = Rows.make()
    straight = trained(step_of(objective_of(OBJECTIVES[kind], rows, groups)), rows, range(9))
    first = step_of(objective_of(OBJECTIVES[kind], rows, groups))
    trained(first, rows, range(4))
    state = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state_dict().items()}
    assert any(name.startswith("gradient.") for name in state)
    second = step_of(objective_of(OBJECTIVES[kind], rows, groups))
    second.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(trained(second, rows, range(4, 9)), straight, strict=True))


def biased(seed: int = 0, rows: int = 3000, classes: int = 2) -> Predictions:
    """Scores of group b are too low by one on the scale of logits."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b"], rows, p=[0.6, 0.4])
    truth = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth]
    logits[:, -1] -= 1.2 * (group == "b")
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = tuple(f"c{k}" for k in range(classes)) if classes > 2 else ("no", "yes")
    groups = {"g": group.astype(np.str_)}
    labels = scores.argmax(1)
    kind = "binary" if classes == 2 else "multiclass"
    return Predictions(scores, labels, truth, names, kind, groups, None, np.arange(rows))


def test_group_thresholds_close_the_gap_on_new_rows_and_cost_little() -> None:
    validation, test = biased(0), biased(1)
    by_group = optimize_thresholds(validation, BINARY, {"yes": 0.5}, ["g"], "equalized_odds", 1.0, 50)
    labels = decide_by_group(BINARY, test.scores, {"yes": 0.5}, by_group, test.groups)

    def gap(decisions: np.ndarray) -> float:
        return float(equalized_odds_difference(test.targets, decisions, sensitive_features=test.groups["g"]))

    common = BINARY.labels(test.scores, {"yes": 0.5})
    assert gap(common) > 0.2
    assert gap(labels) < gap(common) / 2
    assert by_group.disparity < by_group.disparity_common / 2
    assert (
        balanced_accuracy_score(test.targets, labels) > balanced_accuracy_score(test.targets, common) - 0.01
    )


def test_group_thresholds_are_as_good_as_fairlearn_s_randomised_ones() -> None:
    """fairlearn's optimum may draw lots, so it bounds what thresholds alone can reach; a point is lost at most."""
    validation = biased(0)
    by_group = optimize_thresholds(validation, BINARY, {"yes": 0.5}, ["g"], "equal_opportunity", 1.0, 50)
    labels = decide_by_group(BINARY, validation.scores, None, by_group, validation.groups)

    class Scores(BaseEstimator):
        def fit(self, x, y):
            return self

        def predict(self, x):
            return np.asarray(x)[:, 0]

    theirs = ThresholdOptimizer(
        estimator=Scores(), constraints="true_positive_rate_parity", objective="balanced_accuracy_score",
        prefit=True, predict_method="predict",
    )  # fmt: skip
    x, y, g = validation.scores[:, 1:], validation.targets, validation.groups["g"]
    theirs.fit(x, y, sensitive_features=g)
    chance = theirs._pmf_predict(x, sensitive_features=g)[:, 1]
    best = (chance[y == 1].mean() + (1 - chance[y == 0]).mean()) / 2
    ours = balanced_accuracy_score(y, labels)
    assert ours == pytest.approx(best, abs=0.01)
    assert by_group.disparity < 0.02


def test_thresholds_of_several_classes_close_the_gap() -> None:
    target = MulticlassTarget("y", ("c0", "c1", "c2"), (1.0, 1.0, 1.0), ())
    validation, test = biased(0, classes=3), biased(1, classes=3)
    by_group = optimize_thresholds(validation, target, {}, ["g"], "equalized_odds", 1.0, 50)
    labels = decide_by_group(target, test.scores, None, by_group, test.groups)

    def recall_gap(decisions: np.ndarray) -> float:
        inside = test.groups["g"] == "b"
        rates = [
            [(decisions[side & (test.targets == k)] == k).mean() for k in range(3)]
            for side in (inside, ~inside)
        ]
        return float(np.abs(np.subtract(*rates)).mean())

    assert recall_gap(labels) < recall_gap(test.labels) / 2
    assert (labels == test.targets).mean() > (test.labels == test.targets).mean() - 0.01


def test_rows_without_the_attribute_are_refused_and_unknown_groups_share_the_common_threshold() -> None:
    validation = biased(0)
    by_group = optimize_thresholds(validation, BINARY, {"yes": 0.5}, ["g"], "equalized_odds", 1.0, 50)
    scores = np.array([[0.45, 0.55], [0.45, 0.55]])
    with pytest.raises(ValueError, match=r"column 'g': not in the table; .*fairness=threshold"):
        decide_by_group(BINARY, scores, {"yes": 0.5}, by_group, {})
    found = decide_by_group(BINARY, scores, {"yes": 0.5}, by_group, {"g": np.array(["other", "other"])})
    assert found.tolist() == [1, 1]
    few = validation.take(np.arange(40))
    with pytest.raises(ValueError, match=r"fairness\.attribute='g': needs two groups of 50 validation rows"):
        optimize_thresholds(few, BINARY, {"yes": 0.5}, ["g"], "equalized_odds", 1.0, 50)


def test_correlation_is_removed_as_fairlearn_removes_it_and_comes_back_from_its_state() -> None:
    rows, groups = Rows.make()
    frame = rows.frame.assign(
        a=rows.inputs["numeric"][:, 0].numpy().astype(float) + 2 * (rows.frame["sex"] == "f"),
        b=np.arange(ROWS) * 1.0,
    )
    roles = ColumnRoles(target=("y",), numeric=("a", "b"), sensitive=("sex", "skin"))
    plain = build(OPTIONS["encoder", "columns"](numeric="none"), roles)
    made = build(DecorrelateConfig()).wrap_encoder(plain, frame, roles, groups)
    made.fit(frame)
    removed = made.decorrelate(frame)
    female = (frame["sex"] == "f").astype(float).to_numpy()
    theirs = CorrelationRemover(sensitive_feature_ids=[0]).fit_transform(
        np.column_stack([female, frame[["a", "b"]].to_numpy()])
    )
    assert removed[["a", "b"]].to_numpy() == pytest.approx(theirs)
    assert (
        abs(np.corrcoef(removed["a"], female)[0, 1]) < 1e-9 < 0.3 < abs(np.corrcoef(frame["a"], female)[0, 1])
    )
    back = restore(made.state())
    assert torch.equal(back.transform(frame)["numeric"], made.transform(frame)["numeric"])
    missing = frame.assign(a=np.where(np.arange(ROWS) < 3, np.nan, frame["a"]))
    assert np.isnan(made.decorrelate(missing)["a"][:3]).all()
    with pytest.raises(ValueError, match=r"column 'sex': not in the table; .*fairness=decorrelate"):
        back.transform(frame.drop(columns="sex"))
    seen = ColumnRoles(target=("y",), numeric=("a",), categorical=("sex",), sensitive=("sex", "skin"))
    with pytest.raises(ValueError, match="is an input itself"):
        build(DecorrelateConfig()).wrap_encoder(plain, frame, seen, groups)


def private(option, clipping: str = "flat") -> SimpleNamespace:
    return SimpleNamespace(
        fairness=option, privacy=OPTIONS["privacy", "dp"](clipping=clipping), evaluation=SimpleNamespace()
    )


@pytest.mark.parametrize(
    "option",
    [GroupDROConfig(), PenaltyConfig(), DecorrelateConfig(), ReweightConfig()],
    ids=lambda o: type(o).__name__,
)
def test_what_reads_or_couples_training_rows_is_refused_under_privacy(option) -> None:
    with pytest.raises(ValueError, match=rf"fairness='{option_name(option)}'.*fairness\.weights"):
        validate_run(private(option))
    plain = SimpleNamespace(
        fairness=option, privacy=OPTIONS["privacy", "none"](), evaluation=SimpleNamespace()
    )
    validate_run(plain)


def test_given_weights_are_allowed_under_privacy_unless_clipping_undoes_them() -> None:
    validate_run(private(ReweightConfig(weights={"f": 2.0})))
    with pytest.raises(ValueError, match=r"privacy\.clipping='automatic'.*undoes weights"):
        validate_run(private(ReweightConfig(weights={"f": 2.0}), "automatic"))


def test_a_weighted_example_is_clipped_after_it_was_weighed(tmp_path: Path) -> None:
    """So no weight lets a row of the training set move the sum further than the clip norm."""
    clip = 0.3
    setup = private_training(settings(dp_l2_clip_norm=clip), tmp_path)
    model, gradient = setup.step.model, gradient_of(setup)
    plan = gradient.mechanism.plan
    object.__setattr__(plan, "noise_multiplier", 0.0)
    batch = next(setup.batches.from_step(0))
    weights = torch.linspace(0.0, 4.0, len(batch))
    gradient.losses.objective = lambda losses, batch, outputs: losses * weights
    total = torch.zeros(sum(p.numel() for p in model.parameters()))
    longest = 0.0
    for row, weight in enumerate(weights):
        outputs = model({"numeric": batch.inputs["numeric"][row : row + 1]})
        loss = weight * torch.nn.functional.binary_cross_entropy_with_logits(
            outputs[:, 0], batch.targets[row : row + 1].float()
        )
        own = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        norm = float(own.norm())
        longest = max(longest, norm)
        total += own * min(1.0, clip / max(norm, 1e-12))
    assert longest > clip, "the clip norm must bind for the test to tell anything"
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    setup.step(batch)
    moved = before - torch.cat([p.detach().flatten() for p in model.parameters()])
    lr = setup.step.optimizers[0].param_groups[0]["lr"]
    torch.testing.assert_close(moved, lr * total / plan.batch_size, rtol=1e-3, atol=1e-6)


def test_settings_name_what_is_wrong() -> None:
    rows, groups = Rows.make()
    regression = RegressionTarget("y")
    wrong = {
        r"fairness\.reweigh_by='both'": lambda: ReweightConfig(reweigh_by="both"),
        r"fairness\.weight=-1": lambda: PenaltyConfig(weight=-1),
        r"fairness\.step_size=0": lambda: GroupDROConfig(step_size=0),
        r"fairness\.constraint='calibration'": lambda: ThresholdConfig(constraint="calibration"),
        r"fairness\.weight=2": lambda: DecorrelateConfig(weight=2),
        r"fairness\.weights=\{'f': -1": lambda: ReweightConfig(weights={"f": -1.0}),
        r"fairness\.attribute='race': no .*'race'; there are sex, skin": lambda: select_attributes(
            "race", ["sex", "skin"]
        ),
        "no sensitive attribute": lambda: select_attributes("", []),
        r"evaluation\.threshold_rule='f1'": lambda: validate_run(
            SimpleNamespace(
                fairness=ThresholdConfig(),
                privacy=OPTIONS["privacy", "none"](),
                evaluation=SimpleNamespace(threshold_rule="f1"),
            )
        ),
        "fairness='threshold': a regression target": lambda: build(ThresholdConfig()).check_groups({}, regression),
        r"fairness\.reweigh_by='group_class': .*regression": lambda: objective_of(
            ReweightConfig(reweigh_by="group_class"), rows, groups, regression
        ),
        r"fairness\.constraint='equalized_odds': .*equal_loss": lambda: objective_of(
            PenaltyConfig(constraint="equalized_odds"), rows, groups, regression
        ),
        r"fairness\.min_group_rows=500": lambda: objective_of(GroupDROConfig(min_group_rows=500), rows, groups),
        r"fairness\.reference_run='nowhere': no record\.json": lambda: ThresholdConfig(reference_run="nowhere"),
    }  # fmt: skip
    for message, act in wrong.items():
        with pytest.raises(ValueError, match=message):
            act()


def fitted(rows: Rows, objective, steps: int = 150) -> np.ndarray:
    """Train a linear model and give the probabilities of its training rows (a test of the mechanism, not a figure)."""
    model = torch.nn.Linear(6, 1)
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    batch = rows.batch(torch.arange(ROWS))
    for _ in range(steps):
        outputs = model(batch.inputs["numeric"])
        losses = BINARY.losses(outputs, batch.targets)
        loss = (losses if objective is None else objective(losses, batch, outputs)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if objective is not None and hasattr(objective, "after_step"):
            objective.after_step(ALONE)
    return torch.sigmoid(model(batch.inputs["numeric"]))[:, 0].detach().numpy()


def gapped(seed: int = 0) -> tuple[Rows, Groups]:
    """Labels of f are set to no by those who gave them, half of the time; an input tells the sex apart."""
    rows, groups = Rows.make(seed)
    rng = np.random.default_rng(seed + 1)
    female = (rows.frame["sex"] == "f").to_numpy()
    signal = rng.normal(size=ROWS)
    fair = signal + 0.5 * rng.normal(size=ROWS) > 0
    given = fair & ~(female & (rng.random(ROWS) < 0.5))
    x = np.column_stack([signal, female + 0.3 * rng.normal(size=ROWS), rng.normal(size=(ROWS, 4))])
    rows.inputs = {"numeric": torch.from_numpy(x).float()}
    rows.targets = torch.from_numpy(given.astype(np.int64))
    return rows, groups


@pytest.mark.parametrize(
    "option",
    [ReweightConfig(), PenaltyConfig(constraint="demographic_parity", weight=30.0)],
    ids=lambda o: type(o).__name__,
)
def test_a_planted_gap_of_labels_is_at_least_halved_in_training(option) -> None:
    rows, groups = gapped()
    female = (rows.frame["sex"] == "f").to_numpy()
    before, after = (
        abs(p[female].mean() - p[~female].mean())
        for p in (fitted(rows, None), fitted(rows, objective_of(option, rows, groups)))
    )
    assert before > 0.08
    assert after < before / 2


def test_group_robust_training_halves_the_gap_of_losses() -> None:
    """What tells the classes apart differs between groups; the larger group's way wins without DRO."""
    rng = np.random.default_rng(0)
    rows, groups = Rows.make()
    female = (rows.frame["sex"] == "f").to_numpy()
    y = rng.integers(0, 2, ROWS)
    sign = 2.0 * y - 1
    x = rng.normal(size=(ROWS, 6))
    x[:, 0] += sign * np.where(female, -0.5, 2.0)
    x[:, 1] += sign * np.where(female, 2.0, 0.0)
    rows.inputs, rows.targets = {"numeric": torch.from_numpy(x).float()}, torch.from_numpy(y)

    def gap(p: np.ndarray) -> float:
        loss = -np.log(np.where(y == 1, p, 1 - p))
        return float(loss[female].mean() - loss[~female].mean())

    before = gap(fitted(rows, None))
    after = gap(
        fitted(
            rows,
            objective_of(GroupDROConfig(step_size=0.3, by_class=False, min_group_rows=20), rows, groups),
        )
    )
    assert before > 0.1
    assert abs(after) < before / 2


def test_mitigations_stand_in_the_register_and_explain_their_keys() -> None:
    for name in ("audit", "reweight", "dro", "penalty", "threshold", "decorrelate"):
        assert hasattr(OPTIONS["fairness", name](), "reference_run")


@given(st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=2), min_size=2, max_size=4))
def test_whatever_the_counts_reweighing_makes_group_and_class_independent(counts: list[list[int]]) -> None:
    counts_GY = torch.tensor(counts)
    names = tuple("abcd"[: len(counts)])
    numbers = torch.repeat_interleave(torch.arange(counts_GY.numel()), counts_GY.flatten())
    rows: Any = SimpleNamespace(group_codes={"sex": numbers // 2}, targets=numbers % 2)
    weighed = counted_weights(SubgroupIndex(("sex",), names, (len(names),), 2), rows)
    table = weighed.weights.double().reshape(-1, 2) * counts_GY / counts_GY.sum()
    assert float(table.sum()) == pytest.approx(1.0, abs=1e-5)
    independent = table.sum(1, keepdim=True) * table.sum(0, keepdim=True)
    assert torch.allclose(table, independent, atol=1e-5)
    by_group = counted_weights(SubgroupIndex(("sex",), names, (len(names),), 1), rows)
    sums = by_group.weights.double() * counts_GY.sum(1)
    assert torch.allclose(sums, sums.mean().expand_as(sums), rtol=1e-5)
