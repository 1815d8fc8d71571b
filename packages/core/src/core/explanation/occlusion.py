"""Occlusion: each part removed in turn, the change of the number measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.explanation.masker import Masker
    from core.explanation.explained_output import ExplainedOutput
    from core.targets.scorer import Scorer
    from core.targets.types import Array


def occlusion(scorer: Scorer, cases: Masker, question: ExplainedOutput) -> Array:
    """Give each part's effect, (N, P): the number less its mean with the part gone; NaN where a row has no such part.

    Feature ablation over references (Zeiler and Fergus 2014, arXiv:1311.2901; Covert, Lundberg and Lee 2021, JMLR
    22:209, section 4.2): P forward passes a row and reference.
    """
    exists, tries = cases.exists(), cases.tries()
    rows, parts = np.nonzero(exists)
    many = np.repeat(np.arange(len(rows)), tries[parts])
    first = np.cumsum(tries[parts]) - tries[parts]
    gone = np.zeros((len(many), cases.count), bool)
    gone[np.arange(len(many)), parts[many]] = True
    n = len(cases)
    whole = question.ask(scorer, cases, np.arange(n), np.zeros((n, cases.count), bool), np.zeros(n, np.int64))
    without = question.ask(scorer, cases, rows[many], gone, np.arange(len(many)) - first[many])
    means = np.add.reduceat(without, first) / tries[parts] if len(rows) else np.zeros(0)
    effects = np.full(exists.shape, np.nan)
    effects[rows, parts] = whole[rows] - means
    return effects
