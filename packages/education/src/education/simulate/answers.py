"""Simulated short answers: the key ideas of an answer, and so its grade, are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

# Question -> key ideas; an idea is (reference wording, paraphrases, contradiction).
Idea = tuple[str, tuple[str, ...], str]
QUESTIONS: dict[str, tuple[Idea, ...]] = {
    "Why does the bulb stay dark when the switch is open?": (
        (
            "the circuit has a gap",
            ("the loop is broken", "there is a break in the path"),
            "the circuit is complete",
        ),
        (
            "no current flows",
            ("electricity cannot go round", "the charge stops moving"),
            "the current flows faster",
        ),
    ),
    "What happens to the salt when the water evaporates?": (
        (
            "the salt stays in the dish",
            ("crystals are left behind", "the solid remains"),
            "the salt goes into the air",
        ),
        (
            "only water becomes vapour",
            ("the water turns to gas", "the liquid leaves"),
            "the water turns to salt",
        ),
    ),
    "Why do plants near the window lean to one side?": (
        (
            "they grow towards light",
            ("the stems bend to the sun", "they reach for brightness"),
            "they avoid the light",
        ),
        (
            "light lets them make food",
            ("photosynthesis needs sun", "leaves make sugar with it"),
            "light makes no food",
        ),
    ),
    "Why is the shadow shorter at noon?": (
        ("the sun is high", ("the sun stands overhead", "rays come from above"), "the sun is low"),
        (
            "light falls steeply",
            ("the angle is steep", "beams hit nearly straight down"),
            "light comes from the side",
        ),
    ),
    "Why does a metal spoon feel colder than a wooden one?": (
        (
            "metal conducts heat well",
            ("heat moves fast through metal", "it is a good conductor"),
            "metal keeps heat in",
        ),
        (
            "heat leaves the hand",
            ("warmth flows from your skin", "the fingers lose warmth"),
            "the hand gains heat",
        ),
    ),
    "How can you tell which rock sample is harder?": (
        (
            "scratch one with the other",
            ("rub them together", "try to mark it with the first"),
            "weigh both samples",
        ),
        (
            "the harder one leaves a mark",
            ("the softer is scratched", "a line shows on the weaker"),
            "the softer marks it",
        ),
    ),
    "Why does the guitar string sound higher when tightened?": (
        ("it vibrates faster", ("it shakes more quickly", "vibrations speed up"), "it vibrates slower"),
        (
            "faster vibration gives high pitch",
            ("pitch rises with speed", "the note goes up"),
            "pitch falls with speed",
        ),
    ),
    "Why did the mould grow on the damp bread only?": (
        (
            "mould needs moisture",
            ("fungi must have water", "it lives where it is wet"),
            "mould needs dry places",
        ),
        (
            "dry bread has no water",
            ("the other slice was dry", "water was missing there"),
            "dry bread is wet inside",
        ),
    ),
}
OPENINGS = (
    "i think",
    "because",
    "it is that",
    "my group saw that",
    "well",
    "",
    "we found that",
    "the reason is",
    "i believe",
    "what happens is",
    "you can see that",
    "in the test",
    "my answer is that",
    "in my opinion",
)
FILLERS = (
    "we did this in class",
    "it was fun",
    "i am not sure",
    "the teacher showed us",
    "it just happens",
    "i saw it twice",
    "that is what the book says",
    "my partner agrees",
    "we wrote it down",
    "it took ten minutes",
    "i learned that before",
    "nobody knew it at first",
    "we tried again",
    "it looked strange",
    "my sister told me",
    "i drew a picture of it",
)


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return answers of about ``rows / 8`` pupils to eight questions.

    Correct: both key ideas, in any paraphrase; incorrect: one or none; contradictory: the contradiction of one. Two
    raters know the true grade and err in 5 % of the answers. The planted bias: learners of English
    misspell each longer word with probability ``0.6 * bias``, which human raters ignore and word matching does
    not. The true grade is in ``true_grade``, which no model sees.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated answers"))
    questions = list(QUESTIONS)
    pupils = max(3, rows // len(questions))
    learner = rng.random(pupils) < 0.3
    gender = rng.choice(["girl", "boy"], pupils)
    ability = rng.normal(0.4, 1.0, pupils)
    records = []
    for n in range(rows):
        pupil = n % pupils
        question = questions[(n // pupils) % len(questions)]
        ideas = QUESTIONS[question]
        knows = rng.random(2) < 1.0 / (1.0 + np.exp(-ability[pupil] - 0.3))
        wrong = not knows.all() and rng.random() < 0.35
        text = _answer(rng, ideas, knows, wrong)
        if learner[pupil]:
            text = " ".join(_misspelt(rng, w) if rng.random() < 0.6 * bias else w for w in text.split())
        grade = "contradictory" if wrong else "correct" if knows.all() else "incorrect"
        records.append(
            {
                "answer_id": f"A{n:06d}",
                "pupil": f"P{pupil:05d}",
                "question": question,
                "references": ["; ".join(i[0] for i in ideas), "; ".join(i[1][0] for i in ideas)],
                "answer": text,
                "english_learner": "yes" if learner[pupil] else "no",
                "gender": gender[pupil],
                "true_grade": grade,
                "rater1": _rated(rng, grade),
                "rater2": _rated(rng, grade),
            }
        )
    # A duplicate answer to the same question could land in two splits.
    frame = pd.DataFrame(records).drop_duplicates(["question", "answer"], ignore_index=True)
    frame["grade"] = frame["rater1"]
    return Dataset(
        frame,
        ColumnRoles(
            target=("grade",),
            text=("answer",),
            references=("references",),
            prompt="question",
            sensitive=("english_learner", "gender"),
            unit="pupil",
        ),
        name="simulated short answers",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="pupil",
        ground_truth={
            "grade": "true_grade",
            "bias": {"attribute": "english_learner", "against": "yes", "strength": bias, "through": "answer"},
        },
    )


def _answer(rng: Generator, ideas: tuple[Idea, ...], knows: NDArray[np.bool_], wrong: bool) -> str:
    sentences = [str(rng.choice([idea[0], *idea[1]])) for idea, has in zip(ideas, knows, strict=True) if has]
    if wrong:
        missing = [idea for idea, has in zip(ideas, knows, strict=True) if not has]
        sentences.append(missing[int(rng.integers(len(missing)))][2])
    sentences += list(rng.choice(FILLERS, size=int(rng.integers(0 if sentences else 1, 3)), replace=False))
    rng.shuffle(sentences)
    return f"{rng.choice(OPENINGS)} {' and '.join(sentences)}".strip()


def _misspelt(rng: Generator, word: str) -> str:
    """Return the word with two letters swapped or one dropped; short words are unchanged."""
    if len(word) < 4:
        return word
    i = int(rng.integers(1, len(word) - 1))
    return word[:i] + (word[i + 1] + word[i] + word[i + 2 :] if rng.random() < 0.5 else word[i + 1 :])


def _rated(rng: Generator, grade: str) -> str:
    if rng.random() >= 0.05:
        return grade
    return str(rng.choice([g for g in ("contradictory", "incorrect", "correct") if g != grade]))
