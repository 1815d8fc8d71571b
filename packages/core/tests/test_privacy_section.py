"""The record's sections on privacy and training, and the sentences made of their numbers and codes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
from fakes.privacy import private, settings
from pydantic import TypeAdapter, ValidationError

from core.config.section import Estimate
from core.data.types import ColumnRoles, Layout
from core.privacy.guarantee import NoGuarantee, Release, non_private_statistics
from core.privacy.section import AttackResult, DPSection, NoPrivacySection, PrivacySection, Statistic
from core.report.sentences import privacy, training
from core.training.section import BestValidation, FeatureCache, LinearProbe, TrainingSection
from core.training.torchrun_env import SWEEP


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> DPSection:
    release = Release("the weights in w.safetensors", ["numeric_scales", "target_scale"])
    setup = private(settings(dp_noise_seed=None, dp_num_trials=3), tmp_path_factory.mktemp("run"))
    return setup.guarantee.section(12, release)


def attacked(low: float) -> AttackResult:
    auc = Estimate(value=0.6, low=low, high=0.7)
    return AttackResult(
        attack="loss", shadow_models=0, members=10, non_members=10, auc=auc, tpr_at_fpr={"0.1": auc}
    )


def test_sections_are_read_back_as_they_were_written(section: DPSection) -> None:
    adapter: TypeAdapter[PrivacySection] = TypeAdapter(PrivacySection)
    for one in (section, NoPrivacySection(attack=attacked(0.4))):
        assert adapter.validate_json(adapter.dump_json(one)) == one
    with pytest.raises(ValidationError, match="extra"):
        adapter.validate_python({"mechanism": "none", "headline": "No promise"})


def test_the_statement_names_every_condition(section: DPSection) -> None:
    summary, conditions = privacy.summary(section), privacy.conditions(section)
    assert f"a factor of at most {math.exp(section.epsilon):.2f}" in summary[0]
    assert "96 patients were protected" in summary[1]
    assert privacy.headline(section) == f"ε = {section.epsilon:.3g} of the weights, given the preprocessing"
    assert "of the trained weights, given the preprocessing" in privacy.detail(section)
    assert conditions["Neighboring relation"].startswith(
        "adding or removing all training rows of one patient; for"
    )
    assert section.replace_one_epsilon is not None
    assert (
        f"at most {section.replace_one_epsilon:.2f} at the same delta" in conditions["Neighboring relation"]
    )
    assert 2 * section.epsilon < section.replace_one_epsilon < 3 * section.epsilon
    assert "12 steps, clipping" in conditions["Mechanism"]
    assert f"{section.noise_multiplier:.4g} clip norms" in conditions["Mechanism"]
    assert "destroyed after the run" in conditions["Random generator"]
    assert conditions["Pretraining"].startswith("started from the weights in w.safetensors")
    assert conditions["Fitted without noise"].startswith(
        "scales and quantiles of the numeric inputs; the target's"
    )
    assert f"at most epsilon {3 * section.epsilon:.2f}" in conditions["Configurations tried"]
    assert "Changed in the network" not in conditions


def test_what_would_make_a_statement_false_is_named(section: DPSection) -> None:
    changed = section.model_copy(
        update={
            "noise_source": "configured_seed",
            "accountant": "rdp",
            "accountant_fallback": "full_batch",
            "initial_weights": None,
            "non_private_statistics": [],
            "num_trials": 1,
            "batch_norm": section.batch_norm.model_copy(update={"policy": "frozen", "layers": ["body.1"]}),
        }
    )
    conditions = privacy.conditions(changed)
    assert "must not be released" in conditions["Random generator"]
    assert "every unit is in every batch; the looser Rényi bound holds" in conditions["Accounting"]
    older = section.model_copy(update={"replace_one_epsilon": None, "planned_steps": None})
    assert privacy.conditions(older)["Neighboring relation"].endswith("rows of one patient")
    assert "12 steps, clipping" in privacy.conditions(older)["Mechanism"]
    assert conditions["Pretraining"] == "started from random initialization"
    assert conditions["Fitted without noise"] == "nothing"
    assert "only configuration" in conditions["Configurations tried"]
    assert conditions["Changed in the network"] == "batch normalization was frozen in body.1"


def test_units_in_several_splits_are_told(section: DPSection) -> None:
    assert "same patients" not in privacy.summary(section)[1]
    declared = section.model_copy(update={"shared_units": "declare"})
    assert (
        "may be of the same patients, whose later rows are then not protected" in privacy.summary(declared)[1]
    )


def test_stopping_early_costs_what_was_planned(tmp_path: Path) -> None:
    guarantee = private(settings(), tmp_path).guarantee
    whole, early = guarantee.section(12, Release()), guarantee.section(3, Release())
    assert early.epsilon == whole.epsilon > 2.9
    assert (early.steps, early.planned_steps) == (3, 12)
    assert "3 of 12 planned steps (epsilon is that of all planned" in privacy.conditions(early)["Mechanism"]


@pytest.mark.parametrize(
    ("position", "declared", "trials", "words"),
    [
        (None, 1, 1, "declared as the only configuration tried on these data"),
        ("1/1", 1, 1, "declared as the only configuration"),
        (None, 4, 4, "4 configurations were tried on these data, as declared"),
        ("1/2", 1, 2, "2 configurations were tried on these data, all in this sweep"),
        (
            "2/2",
            3,
            4,
            "4 configurations were tried on these data, 2 of them in this sweep, the others as declared",
        ),
    ],
)
def test_runs_of_a_sweep_are_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    position: str | None,
    declared: int,
    trials: int,
    words: str,
) -> None:
    monkeypatch.delenv(SWEEP, raising=False)
    if position is not None:
        monkeypatch.setenv(SWEEP, position)
    section = private(settings(dp_num_trials=declared), tmp_path).guarantee.section(12, Release())
    assert section.num_trials == trials
    said = privacy.conditions(section)["Configurations tried"]
    assert said.startswith(words)
    assert trials == 1 or f"at most epsilon {trials * section.epsilon:.2f}" in said


def test_every_code_has_words() -> None:
    assert set(privacy.STATISTICS) == set(get_args(Statistic))
    assert set(privacy.ACCOUNTING) == set(get_args(DPSection.model_fields["accountant"].annotation))
    fallbacks = get_args(get_args(DPSection.model_fields["accountant_fallback"].annotation)[0])
    assert set(privacy.FALLBACK) == set(fallbacks)


def test_a_run_without_a_guarantee_says_so_and_how_an_attack_went(section: DPSection) -> None:
    plain = NoGuarantee().section(12, Release())
    assert privacy.headline(plain) == "No formal guarantee"
    assert privacy.summary(plain) == []
    assert "may reveal who was in the training data" in privacy.detail(plain)
    for low, verdict in ((0.4, "no better than chance"), (0.55, "better than chance")):
        found = privacy.detail(NoGuarantee().section(12, Release(attack=attacked(low))))
        assert f"AUC of 0.60 ({low:.2f} to 0.70; 0.5 is chance): {verdict}." in found
        assert "AUC of 0.60" in privacy.detail(section.model_copy(update={"attack": attacked(low)}))


def test_statistics_follow_from_inputs_and_roles() -> None:
    def found(layout: Layout, roles: ColumnRoles, tokenizer: bool = True, baseline: bool = False) -> set[str]:
        return set(non_private_statistics(layout, roles, has_baseline=baseline, trained_tokenizer=tokenizer))

    always = {"target_scale", "data_checks"}
    assert found(Layout(), ColumnRoles()) == always
    assert found(Layout(numeric=("age",)), ColumnRoles(sensitive=("sex",)), baseline=True) == always | {
        "numeric_scales",
        "group_names",
        "baseline_metrics",
    }
    assert found(Layout(vocab_size=9), ColumnRoles()) == always | {"vocabulary", "text_length"}
    assert found(Layout(vocab_size=9), ColumnRoles(), tokenizer=False) == always | {"text_length"}
    assert found(Layout(tfidf_size=4), ColumnRoles(), tokenizer=False) == always | {"vocabulary"}


@pytest.mark.parametrize(
    ("section", "function", "text"),
    [
        (TrainingSection(stop_reason="all_steps", steps=1200), "stop_reason", "all 1,200 steps were taken"),
        (
            TrainingSection(
                stop_reason="patience",
                best=BestValidation(monitor="accuracy", step=40, value=0.9, without_improvement=3),
            ),
            "stop_reason",
            "validation Accuracy was best after step 40 and not better 3 times since",
        ),
        (
            TrainingSection(stop_reason="time_limit", time_limit_minutes=0.5),
            "stop_reason",
            "the time limit of 0.5 minutes (training.max_minutes) was reached",
        ),
        (TrainingSection(stop_reason="energy_budget"), "stop_reason", "the energy budget (energy.budget_wh)"),
        (TrainingSection(weights="average"), "weights", "the exponential moving average"),
        (
            TrainingSection(precision="bf16", precision_reason="measured", bf16_speedup=1.3),
            "precision",
            "bf16 (measured on this model and batch: bf16 is 1.30 times as fast as fp32, 1.15 is required)",
        ),
        (
            TrainingSection(precision="fp32", precision_reason="private"),
            "precision",
            "under differential privacy no training rows are timed",
        ),
        (
            TrainingSection(precision="fp32", precision_reason="short_run"),
            "precision",
            "fp32 (not measured: the run has fewer than 200 steps)",
        ),
        (
            TrainingSection(feature_cache=FeatureCache(status="too_large", mib=9000.0, limit_mib=4096.0)),
            "feature_cache",
            "training.feature_cache_mib=4096 allows less",
        ),
        (TrainingSection(linear_probe=LinearProbe(steps=21)), "linear_probe", "for 21 steps (LP-FT)"),
    ],
)
def test_sentences_on_training(section: TrainingSection, function: str, text: str) -> None:
    assert text in getattr(training, function)(section)


def test_notes_on_training_are_of_several_processes_and_the_resume() -> None:
    found = training.notes(
        TrainingSection(processes=2, unsynchronized_batch_norm=True, warnings=["step-5 is torn"])
    )
    assert "each of 2 processes' share" in found[0]
    assert found[1:] == ["step-5 is torn"]
    assert training.notes(TrainingSection()) == []
