"""Simulated essays: the quality of each, and the bias of its raters, are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.random import Generator

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

TOPICS = {
    1: ("computers", "Write a letter about what computers do to people."),
    2: ("libraries", "Should a library remove a book that offends somebody?"),
}
PLAIN = (
    "i think {t} are good", "{t} are very nice", "people like {t} a lot", "some people do not like {t}",
    "{t} can be bad too", "this is what i think", "there are many {t}", "my friend has {t}",
)  # fmt: skip
STRONG = (
    "for example a survey of my class showed that {t} changed how we learn",
    "although critics object to {t} their evidence is thin",
    "consequently communities that invest in {t} prosper",
    "on the other hand we must weigh the cost of {t} against their benefit",
    "this argument overlooks how {t} connect distant families",
    "in conclusion the advantages of {t} clearly outweigh the risks",
    "moreover {t} give every pupil access to knowledge",
    "a thoughtful reader would ask whether {t} serve everyone equally",
)  # fmt: skip
DIALECT = ("we was glad", "it do help", "them things be useful", "ain't nobody mad about it")
MAX_SCORE = 6


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return essays to two prompts, scored 1 to 6 by two raters.

    The quality of an essay (``true_quality``, which no model sees) sets how many of its sentences argue. Raters observe
    it with an error of half a point. The planted bias: both raters take ``1.2 * bias`` points off essays of
    pupils who write a dialect, whose phrases stand in their texts, so a model learns to do so too. The ground truth is
    ``true_score``: what unbiased raters would give on average, rounded.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated essays"))
    dialect = rng.random(rows) < 0.3
    gender = rng.choice(["girl", "boy"], rows)
    prompt = rng.choice(list(TOPICS), rows)
    quality = np.clip(rng.normal(3.5, 1.2, rows), 1.0, 6.0)
    texts = [
        _essay(rng, TOPICS[int(p)][0], float(q), bool(d))
        for p, q, d in zip(prompt, quality, dialect, strict=True)
    ]
    observed = quality - np.where(dialect, 1.2 * bias, 0.0)
    ratings = [
        np.clip(np.rint(observed + rng.normal(0.0, 0.5, rows)), 1, MAX_SCORE).astype(int) for _ in range(2)
    ]
    frame = pd.DataFrame(
        {
            "essay_id": [f"E{n:06d}" for n in range(rows)],
            "essay_set": [str(p) for p in prompt],
            "prompt": [TOPICS[int(p)][1] for p in prompt],
            "essay": texts,
            "dialect": np.where(dialect, "yes", "no"),
            "gender": gender,
            "true_quality": quality,
            "true_score": np.rint(quality).astype(int),
            "rater1": ratings[0],
            "rater2": ratings[1],
            "score": pd.Categorical(ratings[0], categories=range(1, MAX_SCORE + 1), ordered=True),
        }
    )
    # A duplicate essay could land in two splits.
    frame = frame.drop_duplicates("essay", ignore_index=True)
    return Dataset(
        frame,
        ColumnRoles(
            target=("score",),
            text=("essay",),
            prompt="prompt",
            sensitive=("dialect", "gender"),
            unit="essay_id",
        ),
        name="simulated essays",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="essay",
        ordinal_target=True,
        ground_truth={
            "grade": "true_score",
            "bias": {"attribute": "dialect", "against": "yes", "strength": bias, "through": "score"},
        },
    )


def _essay(rng: Generator, topic: str, quality: float, dialect: bool) -> str:
    sentences = int(np.clip(rng.normal(3 + quality, 1.5), 3, 12))
    argued = np.clip((quality - 1.0) / 5.0, 0.02, 0.98)
    said = [
        str(rng.choice(STRONG if rng.random() < argued else PLAIN)).format(t=topic) for _ in range(sentences)
    ]
    if dialect:
        said += [str(s) for s in rng.choice(DIALECT, size=2, replace=False)]
    rng.shuffle(said)
    return ". ".join(said) + "."
