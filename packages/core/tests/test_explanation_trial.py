"""Faithfulness against models whose best order is known; sanity, stability, groups; the step on a whole run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from explanation_fakes import VALUE, Asked, cut, fitted, reading

from core.data.config import ColumnsEncoderConfig
from core.data.types import ColumnRoles
from core.explanation.masker import Masker
from core.explanation.config import LEAST_ROWS, StandardExplanation
from core.explanation.examples import select_examples, overlay
from core.explanation.faithfulness import faithfulness, num_forward_passes
from core.explanation.occlusion import occlusion
from core.explanation.explained_output import ExplainedOutput
from core.explanation.ranks import rank_correlation
from core.explanation.report_section import section
from core.explanation.explain_and_test import ModelUnderTest, plan_budget, n_check_rows, select_method, explain_and_test
from core.steps.explain import sample_rows
from core.targets.types import Predictions

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
    cases = cut(model or Sum(), encoder, frame, references=1)
    return cases, ExplainedOutput(VALUE, np.zeros(count, np.int64))  # type: ignore[arg-type]


def measured(cases: Masker, question: ExplainedOutput, effects: np.ndarray) -> tuple[float, float, float]:
    """Give the mean gains of deletion and insertion, and the lower end of the first's 95 % interval."""
    whole, empty = question.whole(cases.scorer, cases)
    found = faithfulness(cases.scorer, cases, question, effects, whole, empty, 3, np.random.default_rng(0))
    gain = found.deletion_gain()
    return gain.mean(), found.insertion_gain().mean(), gain.mean() - 1.96 * gain.std() / len(gain) ** 0.5


def test_true_effects_are_faithful_and_random_ones_are_not() -> None:
    cases, question = made(120)
    true = occlusion(cases.scorer, cases, question)
    deletion, insertion, low = measured(cases, question, true)
    assert low > 0.5
    assert insertion > 0.5
    lows = []
    for seed in range(8):
        random = np.random.default_rng(100 + seed).normal(size=true.shape)
        mean, _, low = measured(cases, question, random)
        assert abs(mean) < 0.5 * deletion
        lows.append(low)
    assert sum(low > 0 for low in lows) <= 1
    backwards, _, _ = measured(cases, question, -true)
    assert backwards < -0.5


def test_areas_of_a_linear_model_are_those_of_its_terms() -> None:
    cases, question = made(1)
    effects = occlusion(cases.scorer, cases, question)
    whole, empty = question.whole(cases.scorer, cases)
    asked = cases.scorer.calls
    found = faithfulness(cases.scorer, cases, question, effects, whole, empty, 2, np.random.default_rng(0))
    assert cases.scorer.calls - asked <= num_forward_passes(2)
    sign = 1.0 if whole[0] >= empty[0] else -1.0
    terms = np.sort(sign * effects[0])[::-1]
    lost = [terms[:k].sum() for k in (0, 1, 4, 7, 8)]
    assert found.deletion[0] == pytest.approx(np.trapezoid(lost, [0, 1 / 8, 0.5, 7 / 8, 1]), abs=1e-5)
    assert found.insertion[0] == pytest.approx(
        found.deletion[0], abs=1e-5
    )  # a linear model has no order of its own
    assert found.whole[0] == pytest.approx(terms.sum(), abs=1e-5)


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


def subject(cases: Masker) -> ModelUnderTest:
    asked = cases.scorer
    assert isinstance(asked, Asked)
    return ModelUnderTest(
        asked.model,  # type: ignore[arg-type]
        asked,  # type: ignore[arg-type]
        lambda model: Asked(model, asked.encoder),  # type: ignore[arg-type,return-value]
        reading(asked.encoder),
    )


def test_the_section_says_what_was_found_and_hides_small_groups() -> None:
    cases, question = made(60)
    settings = StandardExplanation()
    trial = explain_and_test(
        subject(cases), cases, question, "occlusion", "test", ("integrated_gradients",), settings, 0
    )
    weights = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=300).astype(float)
    names = np.where(np.arange(60) < 25, "p", np.where(np.arange(60) < 55, "q", "rare"))
    found = section(trial, weights, 0.95, {"g": names}, {"g": {"p", "q", "rare"}}, 10)
    assert found["headline"] == "Mostly a, b and c"
    assert [line["name"] for line in found["importance"][:4]] == ["a", "b", "c", "d"]
    assert found["faithfulness"]["above_random"] is True
    for line in (*found["importance"], found["faithfulness"]["deletion"], found["stability"]):
        assert line["low"] <= line.get("mean_abs", line.get("value")) <= line["high"]
    assert found["stability"]["value"] > 0.9
    assert found["comparison"]["integrated_gradients"]["value"] > 0.99, "both are exact on a linear model"
    assert set(found["by_group"]["g"]["groups"]) == {"p", "q"}
    assert found["by_group"]["g"]["suppressed"] == ["rare"]
    gap = found["by_group"]["g"]["gap"]
    assert gap["low"] < 0 < gap["high"], "the model explains both groups alike"
    hidden = section(trial, weights, 0.95, {"g": names}, {"g": {"p"}}, 10)
    assert hidden["by_group"]["g"]["gap"] is None
    again = explain_and_test(
        subject(cases), cases, question, "occlusion", "test", ("integrated_gradients",), settings, 0
    )
    assert (
        section(again, weights, 0.95, {"g": names}, {"g": {"p", "q"}}, 10)["faithfulness"]
        == found["faithfulness"]
    )


class Deaf(Sum):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return 0.0 * super().forward(inputs) + 1.0


def test_a_model_that_hears_nothing_is_not_explained() -> None:
    cases, question = made(30, Deaf())
    trial = explain_and_test(subject(cases), cases, question, "occlusion", "", (), StandardExplanation(), 0)
    found = section(trial, np.ones((50, 30)), 0.95, {}, {}, 10)
    assert found["headline"] == "Not explained better than at random"
    assert found["faithfulness"]["above_random"] is False
    assert "does not move the answer" in found["detail"]


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
    encoder = fitted(frame, ColumnRoles(text=("note",)), ColumnsEncoderConfig(tokenizer="words", length=6, bag=0))

    class Count(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return (inputs["tokens"] * self.scale).sum(dim=1, keepdim=True)

    cases = cut(Count(), encoder, frame)
    question = ExplainedOutput(VALUE, np.zeros(14, np.int64))  # type: ignore[arg-type]
    trial = explain_and_test(subject(cases), cases, question, "occlusion", "", (), StandardExplanation(), 0)
    found = section(trial, np.ones((50, 14)), 0.95, {}, {}, 10)
    assert [line["name"] for line in found["importance"]] == ["danger"], (
        "names in fewer rows than five may be people's"
    )
    assert found["headline"] == "Mostly “danger”"


def test_the_method_and_its_extent_follow_the_number_of_parts_and_passes() -> None:
    cases, _ = made(64)
    settings = StandardExplanation()
    assert select_method(settings, cases)[0] == "occlusion"
    assert select_method(StandardExplanation(parts=7), cases)[0] == "integrated_gradients"
    assert select_method(StandardExplanation(method="rollout"), cases)[0] == "rollout"
    rich, poor = plan_budget(settings, cases, "occlusion", 1e9), plan_budget(settings, cases, "occlusion", 10)
    assert (rich.rows, rich.compared) == (64, ("rollout", "integrated_gradients"))
    assert (poor.rows, poor.compared) == (LEAST_ROWS, ("rollout",))
    asked = cases.scorer.calls  # type: ignore[attr-defined]
    for budget in (800.0, 1500.0):
        some = plan_budget(settings, cases, "occlusion", budget)
        assert LEAST_ROWS < some.rows < 64
        part = cases.first(some.rows)
        question = ExplainedOutput(VALUE, np.zeros(some.rows, np.int64))  # type: ignore[arg-type]
        explain_and_test(subject(part), part, question, "occlusion", "", (), settings, 0)
        used = cases.scorer.calls - asked  # type: ignore[attr-defined]
        asked += used
        assert used <= budget + 3 * some.rows, "what was planned is what was used, but for whole rows"
    assert n_check_rows(400) == 100


@pytest.mark.parametrize(
    ("key", "value"),
    [("method", "shap"), ("rows", 1), ("share", 0.0), ("examples", 51), ("steps", 1), ("patches", 1)],
)
def test_what_cannot_be_meant_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"explanation.{key}="):
        StandardExplanation(**{key: value}).check()  # type: ignore[call-arg]


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
    assert select_examples(sure, right, 3) == [(0, "right and sure"), (1, "wrong"), (4, "least sure")]
    assert len(select_examples(sure, right, 9)) == 5


def test_an_overlay_is_small() -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 96, 96)).astype(np.uint8)
    drawn = overlay(image, np.random.default_rng(1).normal(size=(96, 96)))
    assert drawn.startswith("data:image/png;base64,")
    assert len(drawn) < 24_000  # the worst case: noise
