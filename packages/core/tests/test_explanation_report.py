"""Faithfulness against models whose best order is known; sanity, stability, groups; the step on a whole run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fakes.explanation import VALUE, CountingScorer, alignment_of, fitted, masker_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from torch import Tensor, nn

from core.data.config import ColumnsEncoderConfig, TextEncoding
from core.data.types import ColumnRoles
from core.explanation.attribution import ModelUnderTest, occlusion, select_method
from core.explanation.config import MIN_ROWS, StandardExplanation
from core.explanation.examples import overlay, select_examples
from core.explanation.explain_and_test import (
    explain_and_test,
    n_check_rows,
    plan_budget,
    rank_correlation,
)
from core.explanation.explained_output import ExplainedOutput
from core.explanation.faithfulness import faithfulness, num_forward_passes
from core.explanation.masker import Masker
from core.explanation.report_section import concentration, report_section
from core.report.sentences import explanation as sentences
from core.run.steps.explain import sample_rows
from core.targets.types import Array, Predictions

NAMES = tuple("abcdefgh")
COLUMNS = ColumnRoles(numeric=NAMES)


class Sum(nn.Module):
    """Weights fall from 4 to 0; the last columns count for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([4.0, 3.0, 2.0, 1.0, 0.3, 0.1, 0.0, 0.0]))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return (inputs["numeric"] @ self.weight)[:, None]


def rows_of(count: int, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(count, 8)), columns=list(NAMES))


def made(count: int, model: nn.Module | None = None) -> tuple[Masker, ExplainedOutput]:
    frame = rows_of(count)
    encoder = fitted(frame, COLUMNS)
    masker = masker_of(model or Sum(), encoder, frame, num_references=1)
    return masker, ExplainedOutput(VALUE, np.zeros(count, np.int64))


def measured(masker: Masker, output: ExplainedOutput, effects: np.ndarray) -> tuple[float, float, float]:
    """Return the mean gains of deletion and insertion, and the lower end of the first's 95 % interval."""
    full, empty = output.full_and_empty(masker.scorer, masker)
    found = faithfulness(masker.scorer, masker, output, effects, full, empty, 3, np.random.default_rng(0))
    gain = found.deletion_gain()
    return gain.mean(), found.insertion_gain().mean(), gain.mean() - 1.96 * gain.std() / len(gain) ** 0.5


def test_true_effects_are_faithful_and_random_ones_are_not() -> None:
    masker, output = made(120)
    true = occlusion(masker.scorer, masker, output)
    deletion, insertion, low = measured(masker, output, true)
    assert low > 0.5
    assert insertion > 0.5
    lows = []
    for seed in range(8):
        random = np.random.default_rng(100 + seed).normal(size=true.shape)
        mean, _, low = measured(masker, output, random)
        assert abs(mean) < 0.5 * deletion
        lows.append(low)
    assert sum(low > 0 for low in lows) <= 1
    backwards, _, _ = measured(masker, output, -true)
    assert backwards < -0.5


def test_areas_of_a_linear_model_are_those_of_its_terms() -> None:
    masker, output = made(1)
    effects = occlusion(masker.scorer, masker, output)
    full, empty = output.full_and_empty(masker.scorer, masker)
    asked = masker.scorer.calls
    found = faithfulness(masker.scorer, masker, output, effects, full, empty, 2, np.random.default_rng(0))
    assert masker.scorer.calls - asked <= num_forward_passes(2)
    sign = 1.0 if full[0] >= empty[0] else -1.0
    terms = np.sort(sign * effects[0])[::-1]
    lost = [terms[:k].sum() for k in (0, 1, 4, 7, 8)]
    assert found.deletion[0] == pytest.approx(np.trapezoid(lost, [0, 1 / 8, 0.5, 7 / 8, 1]), abs=1e-5)
    assert found.insertion[0] == pytest.approx(
        found.deletion[0], abs=1e-5
    )  # a linear model has no order of its own
    assert found.full_effect[0] == pytest.approx(terms.sum(), abs=1e-5)


def test_rank_agreement_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (6, 9)).astype(float), rng.normal(size=(6, 9))
    a[0, :2] = np.nan
    a[1] = 1.0
    found = rank_correlation(a, b)
    assert np.isnan(found[1])
    for row in (0, 2, 3, 4, 5):
        known = ~np.isnan(a[row])
        assert found[row] == pytest.approx(spearmanr(a[row][known], b[row][known]).statistic)


def subject(masker: Masker) -> ModelUnderTest:
    asked = masker.scorer
    assert isinstance(asked, CountingScorer)
    return ModelUnderTest(
        asked.model,  # type: ignore[arg-type]
        asked,  # type: ignore[arg-type]
        lambda model: CountingScorer(model, asked.encoder),  # type: ignore[arg-type,return-value]
        alignment_of(asked.encoder),
    )


def test_the_section_says_what_was_found_and_hides_small_groups() -> None:
    masker, output = made(60)
    settings = StandardExplanation()
    report = explain_and_test(
        subject(masker), masker, output, "occlusion", ("integrated_gradients",), settings, 0
    )
    weights = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=300).astype(float)
    names = np.where(np.arange(60) < 25, "p", np.where(np.arange(60) < 55, "q", "rare"))
    found = report_section(report, weights, 0.95, {"g": names}, {"g": {"p", "q", "rare"}}, 10)
    assert sentences.headline(found) == "Mostly a, b and c"
    assert [line.name for line in found.importance[:4]] == ["a", "b", "c", "d"]
    assert found.faithfulness is not None
    assert found.faithfulness.above_random is True
    for line in found.importance:
        assert line.low <= line.mean_abs <= line.high
    for estimate in (found.faithfulness.deletion, found.stability):
        assert estimate.low <= estimate.value <= estimate.high
    assert found.stability.value > 0.9
    assert found.comparison["integrated_gradients"].value > 0.99, "both are exact on a linear model"
    assert set(found.by_group["g"].groups) == {"p", "q"}
    assert found.by_group["g"].suppressed == ["rare"]
    disparity = found.by_group["g"].disparity
    assert disparity.low < 0 < disparity.high, "the model explains both groups alike"
    hidden = report_section(report, weights, 0.95, {"g": names}, {"g": {"p"}}, 10)
    assert hidden.by_group["g"].disparity is None
    again = explain_and_test(
        subject(masker), masker, output, "occlusion", ("integrated_gradients",), settings, 0
    )
    repeated = report_section(again, weights, 0.95, {"g": names}, {"g": {"p", "q"}}, 10)
    assert repeated.faithfulness == found.faithfulness


class Constant(Sum):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return 0.0 * super().forward(inputs) + 1.0


def test_a_constant_model_is_not_explained() -> None:
    masker, output = made(30, Constant())
    report = explain_and_test(subject(masker), masker, output, "occlusion", (), StandardExplanation(), 0)
    found = report_section(report, np.ones((50, 30)), 0.95, {}, {}, 10)
    assert sentences.headline(found) == "Not explained better than at random"
    assert found.faithfulness is not None
    assert found.faithfulness.above_random is False
    assert "does not change the output" in sentences.detail(found)


def test_rare_words_are_not_named() -> None:
    texts = [
        "we saw danger",
        "it was danger",
        "danger here",
        "see danger",
        "danger is",
        "danger Xaver",
        "all well",
    ]
    frame = pd.DataFrame({"note": texts * 2})
    frame.loc[13, "note"] = "all well Xaver"
    encoder = fitted(
        frame,
        ColumnRoles(text=("note",)),
        ColumnsEncoderConfig(text=TextEncoding(tokenizer="words", max_length=6, tfidf_features=0)),
    )

    class Count(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return (inputs["tokens"] * self.scale).sum(dim=1, keepdim=True)

    masker = masker_of(Count(), encoder, frame)
    output = ExplainedOutput(VALUE, np.zeros(14, np.int64))  # type: ignore[arg-type]
    report = explain_and_test(subject(masker), masker, output, "occlusion", (), StandardExplanation(), 0)
    found = report_section(report, np.ones((50, 14)), 0.95, {}, {}, 10)
    assert [line.name for line in found.importance] == ["danger"], (
        "names in fewer rows than five may be people's"
    )
    assert sentences.headline(found) == "Mostly “danger”"


def test_the_method_and_its_budget_follow_the_number_of_features_and_passes() -> None:
    masker, _ = made(64)
    settings = StandardExplanation()
    assert select_method(settings, masker)[0] == "occlusion"
    assert select_method(StandardExplanation(max_occluded_features=7), masker)[0] == "integrated_gradients"
    assert select_method(StandardExplanation(method="rollout"), masker)[0] == "rollout"
    rich, poor = (
        plan_budget(settings, masker, "occlusion", 1e9),
        plan_budget(settings, masker, "occlusion", 10),
    )
    assert (rich.rows, rich.compared) == (64, ("rollout", "integrated_gradients"))
    assert (poor.rows, poor.compared) == (MIN_ROWS, ("rollout",))
    asked = masker.scorer.calls  # type: ignore[attr-defined]
    for budget in (800.0, 1500.0):
        some = plan_budget(settings, masker, "occlusion", budget)
        assert MIN_ROWS < some.rows < 64
        part = masker.head(some.rows)
        output = ExplainedOutput(VALUE, np.zeros(some.rows, np.int64))  # type: ignore[arg-type]
        explain_and_test(subject(part), part, output, "occlusion", (), settings, 0)
        used = masker.scorer.calls - asked  # type: ignore[attr-defined]
        asked += used
        assert used <= budget + 3 * some.rows, "what was planned is what was used, but for whole rows"
    assert n_check_rows(400) == 100


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "shap"),
        ("rows", 1),
        ("compute_fraction", 0.0),
        ("examples", 51),
        ("steps", 1),
        ("patches", 1),
    ],
)
def test_what_cannot_be_meant_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"explanation.{key}="):
        StandardExplanation(**{key: value})  # type: ignore[call-arg]


def test_rare_decisions_are_explained_too() -> None:
    scores = np.column_stack([np.ones(500), np.zeros(500)])
    labels = (np.arange(500) < 5).astype(np.int64)
    test = Predictions(scores, labels, labels, ("no", "yes"))
    rows = sample_rows(test, 20, 0)
    assert labels[rows].sum() == 5
    assert len(set(rows.tolist())) == 20
    assert rows.tolist() == sample_rows(test, 20, 0).tolist()


def test_examples_show_right_wrong_and_unsure_rows() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6, 0.55])
    right = np.array([True, False, True, False, True])
    assert select_examples(sure, right, 3) == [(0, "confident_correct"), (1, "wrong"), (4, "least_confident")]
    assert len(select_examples(sure, right, 9)) == 5


def test_an_overlay_is_small() -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 96, 96)).astype(np.uint8)
    drawn = overlay(image, np.random.default_rng(1).normal(size=(96, 96)))
    assert drawn.startswith("data:image/png;base64,")
    assert len(drawn) < 24_000  # the worst case: noise


EFFECTS = arrays(np.float64, (2, 6), elements=st.one_of(st.just(np.nan), st.integers(-9, 9).map(float)))


@given(EFFECTS, EFFECTS)
def test_a_rank_correlation_is_symmetric_and_bounded(one: Array, other: Array) -> None:
    found = rank_correlation(one, other)
    np.testing.assert_allclose(found, rank_correlation(other, one))
    np.testing.assert_allclose(found, -rank_correlation(one, -other), atol=1e-12)
    assert (np.isnan(found) | (np.abs(found) <= 1 + 1e-12)).all()


@given(EFFECTS)
def test_concentration_lies_between_a_quarter_and_all(effects: Array) -> None:
    found = concentration(effects)
    assert (found is None) == (not np.nan_to_num(effects).any())
    assert found is None or 0.25 - 1e-12 <= found <= 1 + 1e-12


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=12), st.integers(0, 15))
def test_no_row_is_shown_twice(rows: list[tuple[float, bool]], count: int) -> None:
    confidence, correct = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], bool)
    found = [row for row, _ in select_examples(confidence, correct, count)]
    assert len(found) == len(set(found)) == min(count, len(rows))
