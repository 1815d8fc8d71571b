"""The membership attacks on losses whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from core.privacy.membership_inference import RankedScores, evaluate_attack, lira, rmia


def simulated(gap: float, models: int, rows: int = 3000, seed: int = 0):
    """Losses whose logit-scaled confidence is N(difficulty + gap if trained on, 1)."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 3, rows)
    member = np.arange(rows) < rows // 2
    inside = rng.random((models, rows)) < 0.5

    def losses(trained):
        phi = difficulty + gap * trained + rng.normal(0, 1, trained.shape)
        return np.logaddexp(0, -phi)

    return losses(member), losses(inside), inside, member


def test_curve_is_sklearns_also_with_ties() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 30, 500).astype(float)
    member = rng.random(500) < 0.3
    curve = RankedScores(scores, member, np.arange(500)).roc()
    assert curve.auc() == pytest.approx(roc_auc_score(member, scores))
    fpr, tpr, _ = roc_curve(member, scores, drop_intermediate=False)
    for rate in (0.01, 0.1, 0.5):
        assert curve.tpr_at(rate) == pytest.approx(tpr[fpr <= rate].max())


@pytest.mark.parametrize("models", [4, 32])
def test_both_attacks_see_through_the_rows_difficulty(models: int) -> None:
    losses, references, inside, member = simulated(2.0, models)
    plain = roc_auc_score(member, -losses)
    best = norm.cdf(2.0 / 2**0.5)  # whoever knows each row's difficulty
    for scores in (rmia(losses, references), lira(losses, references, inside)):
        assert plain + 0.05 < roc_auc_score(member, scores) < best + 0.03
    if models == 32:
        assert roc_auc_score(member, lira(losses, references, inside)) > best - 0.04


def test_nothing_learnt_nothing_found() -> None:
    losses, references, inside, member = simulated(0.0, 8)
    for scores in (rmia(losses, references), lira(losses, references, inside)):
        found = evaluate_attack("rmia", scores, member, np.arange(len(member)), shadow_models=8, seed=0)
        # One row in twenty lies outside its interval; three half-widths are never exceeded.
        reach = 1.5 * (found.auc.high - found.auc.low)
        assert abs(found.auc.value - 0.5) < reach < 0.1
        assert found.tpr_at_fpr["0.01"].value < 0.03
        assert (found.members, found.non_members) == (int(member.sum()), int((~member).sum()))


def test_intervals_resample_units_whole() -> None:
    rng = np.random.default_rng(2)
    unit_score = rng.normal(size=100)
    scores = np.repeat(unit_score, 30) + 1e-6 * rng.normal(size=3000)
    member = np.repeat(np.arange(100) < 50, 30)
    wide, narrow = (
        evaluate_attack("loss", scores, member, units, shadow_models=0, seed=0).auc
        for units in (np.repeat(np.arange(100), 30), np.arange(3000))
    )
    assert wide.value == narrow.value
    assert (wide.high - wide.low) > 3 * (narrow.high - narrow.low)


def test_rows_without_a_shadow_model_on_one_side_are_undecided() -> None:
    losses, references, inside, _ = simulated(2.0, 4)
    inside[:, 7] = True
    assert lira(losses, references, inside)[7] == 0
    assert np.isfinite(lira(losses, references, inside)).all()
    assert np.isfinite(rmia(np.array([0.0, 800.0]), np.array([[0.0, 900.0], [1e-9, 20.0]]))).all()
