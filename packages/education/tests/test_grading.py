"""Detector, review threshold and words: what they must find is planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.evaluation.deferral import accuracy_threshold
from core.explanation.word_occlusion import word_effects
from core.oversight.decision_rule import DEFER_ALL
from education.grading.adversarial import KINDS, make_adversarial
from education.grading.gaming_detection import texts_of
from education.grading.gaming_detector import FILE, GamingDetector, read_detector
from education.simulate.answers import simulate


def test_review_threshold_by_hand() -> None:
    sure = np.linspace(1.0, 0.05, 20)
    right = np.array([True] * 12 + [False] * 8)
    # 15 answers: 12 of 15 = 0.8; 16: 0.75
    assert accuracy_threshold(sure, right, 0.8) == pytest.approx(sure[14])
    assert accuracy_threshold(sure, right, 0.1) == sure[-1]
    assert accuracy_threshold(sure, ~right, 0.9) == DEFER_ALL
    assert accuracy_threshold(np.full(20, 0.5), right, 0.7) == DEFER_ALL, (
        "ties go together: 12 of 20 are right"
    )


def test_altered_answers_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    texts, prompts = ["a b c d e f", "one two"], ["why is it so", "how so"]
    for i, text in make_adversarial("shuffled", texts, prompts, rng):
        assert sorted(text.split()) == sorted(texts[i].split())
        assert text != texts[i]
    assert [i for i, _ in make_adversarial("shuffled", texts, prompts, rng)] == [0], (
        "two words have no order to lose"
    )
    assert make_adversarial("repeated", texts, prompts, rng)[0] == (0, "a b c a b c a b c a b c")
    assert make_adversarial("copied prompt", texts, prompts, rng)[1] == (1, "how so one two")
    assert all(text == texts[1 - i] for i, text in make_adversarial("off-topic", texts, prompts, rng))
    assert make_adversarial("off-topic", texts, ["same", "same"], rng) == []


def test_detector_catches_and_survives_its_file(tmp_path: Path) -> None:
    dataset = simulate(1200, 0, 0.0)
    texts = texts_of(dataset.frame.sample(frac=1.0, random_state=0), dataset.roles)
    train = [part[:800] for part in texts]
    held = [part[800:] for part in texts]
    detector = GamingDetector.fit(*train, np.random.default_rng(0), known_prompts=True)
    honest = detector.gaming_probability(detector.probabilities(*held))
    detector.set_threshold(honest, 0.05)
    assert (honest > detector.threshold).mean() <= 0.05
    rng = np.random.default_rng(1)
    for kind in KINDS:
        changed = make_adversarial(kind, held[0], held[1], rng)
        places = [i for i, _ in changed]
        probabilities = detector.probabilities(
            [t for _, t in changed], [held[1][i] for i in places], [held[2][i] for i in places]
        )
        assert (detector.gaming_probability(probabilities) > detector.threshold).mean() > (
            0.6 if kind == "off-topic" else 0.8
        ), kind
    (tmp_path / "studies").mkdir()
    detector.to_table().to_csv(tmp_path / "studies" / FILE, index=False)
    again = read_detector(tmp_path)
    assert again is not None
    assert again.threshold == pytest.approx(detector.threshold)
    np.testing.assert_allclose(again.probabilities(*held), detector.probabilities(*held), atol=1e-9)
    table = detector.to_table()
    old = GamingDetector.from_table(table[table["part"] != "stemmer"])
    assert (again.stemmer, old.stemmer) == ("porter2", "suffix"), "runs before 0.2.0 had their own stemmer"
    assert read_detector(tmp_path / "elsewhere") is None
    (tmp_path / "studies" / FILE).write_text("part,key,value\nstem,a,1\n")
    with pytest.raises(ValueError, match="not a detector"):
        read_detector(tmp_path)


def test_new_prompts_are_no_sign_of_gaming() -> None:
    dataset = simulate(1200, 0, 0.0)
    texts = texts_of(dataset.frame, dataset.roles)
    first = [part[:600] for part in texts]
    middle, last = ([part[a:b] for part in texts] for a, b in ((600, 900), (900, 1200)))
    detector = GamingDetector.fit(*first, np.random.default_rng(0), known_prompts=False)
    assert not detector.answered
    detector.set_threshold(detector.gaming_probability(detector.probabilities(*middle)), 0.05)
    alarms = (detector.gaming_probability(detector.probabilities(*last)) > detector.threshold).mean()
    assert alarms < 0.2, "answers to prompts that neither training nor validation had"


class _Counts:
    """A scorer that likes one word and dislikes another."""

    def scores(self, rows: pd.DataFrame) -> np.ndarray:
        odds = (
            rows["t"]
            .map(lambda t: 2.0 * t.split().count("good") - 1.0 * t.split().count("bad"))
            .to_numpy(float)
        )
        p = 1 / (1 + np.exp(-odds))
        return np.column_stack([1 - p, p])


def test_words_that_move_a_grade_are_found() -> None:
    rows = pd.DataFrame({"t": ["a good answer, not bad", "", "plain"]})
    effects = word_effects(_Counts(), rows, "t", lambda s, _: s[:, 1])  # type: ignore[arg-type]
    by = {e.word: e.effect for e in effects[0]}
    assert max(by, key=lambda w: by[w]) == "good"
    assert min(by, key=lambda w: by[w]) == "bad"
    assert by["a"] == pytest.approx(0.0)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    assert by["good"] == pytest.approx(sigmoid(1.0) - sigmoid(-1.0))
    assert [e.start for e in effects[0]] == [0, 2, 7, 15, 19]
    assert effects[1] == []
    assert len(word_effects(_Counts(), rows, "t", lambda s, _: s[:, 1], max_words=2)[0]) == 2  # type: ignore[arg-type]
