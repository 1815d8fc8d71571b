"""A text compared with its references and its prompt: how much they overlap, fitted on training rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, log1p
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from core.data.coercion import to_texts
from core.data.text_similarity import (
    STEMMERS,
    TextProfile,
    dice_coefficient,
    lcs_length,
    profile_text,
    soft_coverage,
    weighted_overlap,
)

if TYPE_CHECKING:
    from core.data.encoder_config import TextEncoding
    from core.data.types import ColumnRoles, Json

_MAX_PROFILES = 100_000
PAIR_COLUMN = "prompt and references"
"""Column of the joined texts that tokens may hold after the text itself."""
_MIN_IDF = 1.0 + log(15.0)
"""A word is worth reporting to a pupil if fewer than about one in fifteen training texts hold it."""
_BEST_ONLY = (
    "novel_precision",
    "lcs_precision",
    "soft_precision",
    "negation",
    "negations",
    "missing",
    "extra",
    "length",
)
_UNION = (
    "idf_precision",
    "idf_recall",
    "novel_precision",
    "novel_recall",
    "soft_recall",
    "soft_precision",
    "soft_novel",
    "extra",
    "trigram_recall",
)
_PROMPT = ("idf_precision", "idf_recall", "soft_precision", "trigram_dice")
Array = NDArray[np.float64]


@dataclass
class TextPairFeatures:
    """The first text column compared with each reference, with all references together, and with the prompt.

    Words count by inverse document frequency in training texts (Sparck Jones 1972); words that the prompt has already
    count for nothing in the ``novel`` features; ``soft`` ones count misspellings in part. ``lsa`` is the cosine in the
    first components of the training texts' TF-IDF (latent semantic analysis, Deerwester et al. 1990).
    """

    text: str
    references: tuple[str, ...]
    prompt: str | None
    texts: int
    """Distinct training texts that frequencies were counted in."""
    idf: dict[str, float]
    """Stems that two or more training texts hold: one that a single text holds may name a person."""
    components: NDArray[np.float64]
    """(stems, components) of latent semantic analysis, rows in the order of ``idf``."""
    stemmer: str = "porter2"
    """Name in ``text_similarity.STEMMERS``."""
    _profiles: dict[str, TextProfile] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(cls, config: TextEncoding, columns: ColumnRoles, frame: pd.DataFrame) -> TextPairFeatures:
        """Fit frequencies and components to the distinct training texts: answers, references, prompts."""
        assert columns.references, "nothing to compare with"
        text = compared_text(columns)
        fitted = cls(text, columns.references, columns.prompt, 0, {}, np.zeros((0, 0)))
        answers, references, prompts = fitted._read(frame)
        distinct = list(dict.fromkeys([*answers, *(r for row in references for r in row), *prompts]))
        counts: Counter[str] = Counter()
        for one in distinct:
            counts.update(set(fitted._profile(one).stems))
        fitted.texts = len(distinct)
        fitted.idf = {
            s: log((1 + len(distinct)) / (1 + n)) + 1.0 for s, n in sorted(counts.items()) if n >= 2
        }
        fitted.components = fitted._lsa(distinct, config.lsa_components)
        return fitted

    def _lsa(self, texts: Sequence[str], components: int) -> Array:
        most = min(components, len(self.idf) - 1, len(texts) - 1)
        if most < 2:
            return np.zeros((len(self.idf), 0))
        _, size, right = randomized_svd(self._weights(texts), n_components=most, random_state=0)
        return np.asarray(right.T[:, size > 1e-9 * size[0]], np.float64)

    def _weights(self, texts: Sequence[str]) -> csr_array:
        """Compute TF-IDF of stems as a sparse matrix of unit rows (N, stems)."""
        position = {s: i for i, s in enumerate(self.idf)}
        data, columns, starts = [], [], [0]
        for one in texts:
            known = [
                (position[s], (1.0 + log(n)) * self.idf[s])
                for s, n in self._profile(one).counts.items()
                if s in position
            ]
            length = float(np.sqrt(sum(w * w for _, w in known))) or 1.0
            columns += [i for i, _ in known]
            data += [w / length for _, w in known]
            starts.append(len(columns))
        return csr_array(
            (np.array(data, np.float64), np.array(columns, np.int64), starts), (len(texts), len(position))
        )

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the features of each row, (N, features) float64 under names that start with ``pair:``."""
        answers, references, prompts = self._read(frame)
        joined = [" ".join(row) for row in references]
        distinct = list(dict.fromkeys([*answers, *(r for row in references for r in row), *prompts, *joined]))
        position = {t: i for i, t in enumerate(distinct)}
        weights = self._weights(distinct)
        lsa = weights @ self.components
        lsa /= np.maximum(np.linalg.norm(lsa, axis=1, keepdims=True), 1e-12)
        cosines = _Cosines(weights, lsa)
        rows = [
            list(self._row(answer, row, prompt, together, position, cosines).values())
            for answer, row, prompt, together in zip(answers, references, prompts, joined, strict=True)
        ]
        values = np.array(rows, np.float64).reshape(len(rows), -1)
        assert np.isfinite(values).all(), "a comparison is a number for any two texts"
        return pd.DataFrame(values, columns=self.names(), index=frame.index)

    def names(self) -> list[str]:
        """Return the names of the features."""
        return [f"pair: {name}" for name in self._row("a", ["b"], "c", "b", {"a": 0, "b": 1, "c": 2}, None)]

    def pair_texts(self, frame: pd.DataFrame) -> list[str]:
        """Return each row's prompt and references joined, for tokens that hold the pair."""
        _, references, prompts = self._read(frame)
        return ["\n".join([*([p] if p else []), *row]) for p, row in zip(prompts, references, strict=True)]

    def missing(self, answer: str, references: Sequence[str], prompt: str = "") -> tuple[str, list[str]]:
        """Return the reference that is nearest to the answer, and its words that the answer lacks, weightiest first.

        Words of the prompt, frequent words, and words that the answer spells similarly are not missing.
        """
        mine, asked = self._profile(answer), self._profile(prompt)
        if not references:
            return "", []
        best = max(
            references, key=lambda r: weighted_overlap(mine.counts, self._profile(r).counts, self._idf)[2]
        )
        wanted = self._profile(best)
        lacking: dict[str, str] = {}
        for word, one in zip(wanted.words, wanted.stems, strict=True):
            informative = self._idf(one) > _MIN_IDF and one not in asked.counts
            if informative and not soft_coverage([one], mine.stems, lambda _: 1.0):
                lacking.setdefault(one, word)
        return best, [lacking[s] for s in sorted(lacking, key=lambda s: -self._idf(s))]

    def _row(
        self,
        answer: str,
        references: Sequence[str],
        prompt: str,
        together: str,
        position: Mapping[str, int],
        cosines: _Cosines | None,
    ) -> dict[str, float]:
        a, q, u = self._profile(answer), self._profile(prompt), self._profile(together)
        each = [self._one(a, self._profile(r), q) for r in references] or [self._one(a, self._profile(""), q)]
        if cosines is not None:
            for one, reference in zip(each, references, strict=False):
                one["cosine"], one["lsa"] = cosines.of(position[answer], position[reference])
        best = max(each, key=lambda one: one["idf_dice"] + one["trigram_dice"])
        row: dict[str, float] = {}
        for name in each[0]:
            row[f"best {name}"] = best[name]
            if name not in _BEST_ONLY:
                values = [one[name] for one in each]
                row[f"most {name}"], row[f"mean {name}"] = max(values), sum(values) / len(values)
        union = self._one(a, u, q)
        row |= {f"all {name}": union[name] for name in _UNION}
        asked = self._one(a, q, self._profile(""))
        row |= {f"prompt {name}": asked[name] for name in _PROMPT}
        if cosines is not None:
            row["all cosine"], row["all lsa"] = cosines.of(position[answer], position[together])
            row["prompt cosine"], row["prompt lsa"] = cosines.of(position[answer], position[prompt])
        else:
            row |= dict.fromkeys(("all cosine", "all lsa", "prompt cosine", "prompt lsa"), 0.0)
        known = len(a.counts) or 1
        return row | {
            "words": log1p(len(a.words)),
            "negated": float(a.negations > 0),
            "references": float(len(references)),
            "prompt words": log1p(len(q.words)),
            "reference words": log1p(len(u.words) / max(len(references), 1)),
            "unknown words": sum(s not in self.idf for s in a.counts) / known,
            "mean idf": sum(self._idf(s) for s in a.counts) / known,
        }

    def _one(self, a: TextProfile, r: TextProfile, q: TextProfile) -> dict[str, float]:
        """Compare the answer with one reference; what the prompt has counts for nothing in ``novel``."""
        precision, recall, both = weighted_overlap(a.counts, r.counts, lambda _: 1.0)
        idf_precision, idf_recall, idf_dice = weighted_overlap(a.counts, r.counts, self._idf)
        new_a = {s: n for s, n in a.counts.items() if s not in q.counts}
        new_r = {s: n for s, n in r.counts.items() if s not in q.counts}
        novel_precision, novel_recall, novel_dice = weighted_overlap(new_a, new_r, self._idf)
        trigram_precision, trigram_recall, trigram_dice = weighted_overlap(
            a.char_trigrams, r.char_trigrams, lambda _: 1.0
        )
        lcs = lcs_length(a.stems, r.stems)
        return {
            "precision": precision,
            "recall": recall,
            "dice": both,
            "idf_precision": idf_precision,
            "idf_recall": idf_recall,
            "idf_dice": idf_dice,
            "novel_precision": novel_precision,
            "novel_recall": novel_recall if new_r else 1.0,
            "novel_dice": novel_dice,
            "bigram_dice": dice_coefficient(a.pairs, r.pairs),
            "trigram_precision": trigram_precision,
            "trigram_recall": trigram_recall,
            "trigram_dice": trigram_dice,
            "char_4gram_dice": dice_coefficient(a.char_4grams, r.char_4grams),
            "soft_recall": soft_coverage(list(r.counts), list(a.counts), self._idf),
            "soft_precision": soft_coverage(list(a.counts), list(r.counts), self._idf),
            "soft_novel": soft_coverage(list(new_r), list(a.counts), self._idf),
            "lcs_recall": lcs / max(len(r.stems), 1),
            "lcs_precision": lcs / max(len(a.stems), 1),
            "negation": float((a.negations > 0) != (r.negations > 0)),
            "negations": float(a.negations - r.negations),
            "missing": sum(self._idf(s) for s in new_r if s not in a.counts),
            "extra": sum(self._idf(s) for s in new_a if s not in r.counts),
            "length": log((1 + len(a.words)) / (1 + len(r.words))),
            "cosine": 0.0,
            "lsa": 0.0,
        }

    def _idf(self, one: str) -> float:
        found = self.idf.get(one)
        return found if found is not None else log(1 + self.texts) + 1.0

    def _profile(self, text: str) -> TextProfile:
        found = self._profiles.get(text)
        if found is None:
            if len(self._profiles) >= _MAX_PROFILES:
                self._profiles.clear()
            found = self._profiles[text] = profile_text(text, STEMMERS[self.stemmer])
        return found

    def _read(self, frame: pd.DataFrame) -> tuple[list[str], list[list[str]], list[str]]:
        prompts = to_texts(frame[self.prompt]) if self.prompt else [""] * len(frame)
        return to_texts(frame[self.text]), reference_lists(frame, self.references), prompts

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {
            "texts": self.texts, "idf": self.idf, "topics": self.components.tolist(), "stemmer": self.stemmer,
        }  # fmt: skip

    @classmethod
    def restore(cls, columns: ColumnRoles, state: Mapping[str, Json]) -> TextPairFeatures:
        """Rebuild from ``state()``."""
        components = np.array(state["topics"], np.float64).reshape(len(state["idf"]), -1)
        return cls(
            compared_text(columns),
            columns.references,
            columns.prompt,
            state["texts"],
            dict(state["idf"]),
            components,
            state.get("stemmer", "suffix"),  # of runs written before 0.2.0
        )


class _Cosines:
    """Cosines between texts: of TF-IDF and of latent semantic analysis."""

    def __init__(self, weights: csr_array, lsa: Array) -> None:
        starts, columns, data = weights.indptr, weights.indices, weights.data
        self.rows = [
            dict(zip(columns[i:j].tolist(), data[i:j].tolist(), strict=True)) for i, j in pairwise(starts)
        ]
        self.lsa = lsa

    def of(self, a: int, b: int) -> tuple[float, float]:
        """Return both cosines of two texts by their positions."""
        first, second = self.rows[a], self.rows[b]
        return sum(w * second[k] for k, w in first.items() if k in second), float(self.lsa[a] @ self.lsa[b])


def compared_text(columns: ColumnRoles) -> str:
    """Return the column that is compared with the references; raises ValueError where there is not one alone."""
    if len(columns.text) != 1:
        raise ValueError(
            f"data.references={list(columns.references)}: one text column is compared with them, the data names "
            f"{', '.join(columns.text) or 'none'}; set data.text to the answer's column"
        )
    return columns.text[0]


def reference_lists(frame: pd.DataFrame, columns: Sequence[str]) -> list[list[str]]:
    """Read each row's references from one or more columns; a cell is a text or a list of texts, empty ones left out.

    Raises ValueError with column and row for a cell that holds anything else.
    """
    rows: list[list[str]] = [[] for _ in range(len(frame))]
    for column in columns:
        values = frame[column]
        texts = to_texts(values.map(lambda v: "" if isinstance(v, list | tuple | np.ndarray) else v))
        for row, (name, value, text) in enumerate(
            zip(values.index, values.to_numpy(object), texts, strict=True)
        ):
            cell = list(value) if isinstance(value, list | tuple | np.ndarray) else [text]
            odd = [v for v in cell if not isinstance(v, str)]
            if odd:
                raise ValueError(
                    f"column {column!r}, row {name}: a reference is a text or a list of texts, not {odd[0]!r}"
                )
            rows[row] += [v for v in cell if v.strip()]
    return rows
