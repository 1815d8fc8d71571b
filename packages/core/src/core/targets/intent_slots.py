"""One intent for an utterance and one slot label for each of its words, learnt together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch.nn import functional

from core.config import derive_seed
from core.data.coercion import to_texts
from core.data.slot_alignment import decode_bio, encode_bio, parse_slots, word_spans
from core.targets import crf
from core.targets.bootstrap_metrics import (
    calibration_error,
    means,
    per_class,
    probability_scores,
    ratio,
    summed,
)
from core.targets.class_fairness import calibration_metric
from core.targets.fairness_metrics import TPR, FairnessMetric
from core.targets.labels import encode_classes, listed, require_columns, single_column
from core.targets.multiclass import MulticlassTarget, class_list
from core.targets.perceptron_tagger import fit_tagger
from core.targets.prediction_sets import CalibrationScores, ConformalRule, SetRegion
from core.targets.recalibration import Recalibration
from core.targets.row_class import class_log_odds
from core.targets.slot_metrics import (
    all_right,
    correct_intents,
    exact_match,
    intent_accuracy,
    intents,
    slot_counts,
    slot_f1,
    slot_precision,
    slot_recall,
)
from core.targets.types import Array, MetricSettings, Predictions, Statistic, TableColumn, Target

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Encoder, Json
    from core.targets.config import IntentSlotsOption
    from core.targets.types import BaselineSettings, FittedBaseline, Flags, Labels, Metric

OUTSIDE = -1
"""Code of a place beyond an utterance's last word."""
PROBABILITY = "slots_probability"
"""Column of the probability of the words' labels."""


@dataclass
class IntentSlotsTarget(Target):
    """A probability for each intent, and the likeliest BIO labels of the words under a linear-chain CRF.

    Encoded targets (B, 1 + T) int64: the intent, then each word's code (see ``core.data.slot_alignment``), -1 beyond
    the last.
    Scores (B, K + 1 + T): intents' probabilities, the probability of the decoded labels, and the labels.
    """

    kind: ClassVar[str] = "intent_slots"
    reads: ClassVar[str] = "joint"
    recalibrations: ClassVar[tuple[str, ...]] = ("temperature",)
    conformal_methods: ClassVar[tuple[str, ...]] = ("lac", "aps")
    explained_output: ClassVar[str] = "intent_log_odds"
    own_baselines: ClassVar[tuple[str, ...]] = ("tfidf", "logistic")
    item: ClassVar[str] = "intent"

    column: str
    text: str
    slots_column: str
    classes: tuple[str, ...]
    slots: tuple[str, ...]
    max_words: int
    slot_weight: float = 1.0
    explanation: str = ""

    @property
    def labels_count(self) -> int:
        """Number of labels a word may have: outside, and first and further word of each slot."""
        return 1 + 2 * len(self.slots)

    @property
    def width(self) -> int:
        """One output an intent and one a label."""
        return len(self.classes) + self.labels_count

    @classmethod
    def fit(cls, config: IntentSlotsOption, frame: pd.DataFrame, roles: ColumnRoles) -> IntentSlotsTarget:
        """Fit intents and slots to training rows.

        Raises ValueError where the data has no column of slots or no text, or names a single intent.
        """
        column = single_column(frame, roles, "intent_slots")
        if roles.slots is None or len(roles.text) != 1:
            raise ValueError(
                "target=intent_slots needs one text column and a column of slots, lists of [start, end, name]; "
                f"this data has text {', '.join(roles.text) or 'none'}, slots {roles.slots or 'none'}"
            )
        require_columns(frame, (roles.slots,))
        cells = zip(frame.index, frame[roles.slots], strict=True)
        names = {
            name for row, cell in cells for _, _, name in parse_slots(cell, f"{roles.slots!r}, row {row}")
        }
        if config.slots:
            unknown = sorted(names - set(config.slots))
            if unknown:
                raise ValueError(
                    f"target.slots lacks {listed(unknown)}, which column {roles.slots!r} has in the training rows"
                )
            names = set(config.slots)
        classes = class_list(frame, column, [])
        return cls(
            column,
            roles.text[0],
            roles.slots,
            tuple(classes),
            tuple(sorted(names)),
            config.max_words,
            config.slot_weight,
            f"The intents are {listed(classes)}; the slots are {listed(sorted(names)) or 'none'}.",
        )

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's intent and its words' labels, (B, 1 + T) int64.

        Raises ValueError naming column and row for what can't be read, and for more than ``target.max_words`` words.
        """
        require_columns(frame, (self.text, self.slots_column))
        codes = np.full((len(frame), 1 + self.max_words), OUTSIDE, np.int64)
        codes[:, 0] = encode_classes(frame, self.column, self.classes).numpy()
        rows = zip(frame.index, to_texts(frame[self.text]), frame[self.slots_column], strict=True)
        for n, (row, text, cell) in enumerate(rows):
            where = f"column {self.slots_column!r}, row {row}"
            spans = word_spans(text)
            if len(spans) > self.max_words:
                raise ValueError(
                    f"column {self.text!r}, row {row}: {len(spans)} words are more than "
                    f"target.max_words={self.max_words}: raise it and encoder.text.max_length, or shorten the text"
                    "shorten the text"
                )
            labels = encode_bio(spans, parse_slots(cell, where), self.slots, where)
            codes[n, 1 : 1 + len(spans)] = labels
        return torch.from_numpy(codes)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's loss (B,) in nats: of its intent, plus ``slot_weight`` times of its labels."""
        intents_BK, transitions, emissions, real_BT = self._parts(outputs)
        labels_BT = targets[:, 1 : 1 + emissions.shape[1]]
        labels_BT = functional.pad(labels_BT, (0, emissions.shape[1] - labels_BT.shape[1]), value=OUTSIDE)
        known_BT = real_BT & (labels_BT != OUTSIDE)
        losses_B = functional.cross_entropy(intents_BK, targets[:, 0], reduction="none")
        if not self.slots:
            return losses_B
        whole_B = crf.partition(emissions, transitions, known_BT)
        own_B = crf.score(emissions, transitions, known_BT, labels_BT)
        return losses_B + self.slot_weight * torch.where(known_BT[:, 0], whole_B - own_B, 0.0)

    def scores(self, outputs: Tensor) -> Tensor:
        """Return from outputs (B, 1 + W + T, W + 1) scores (B, K + 1 + max_words): see the class."""
        intents_BK, transitions, emissions, real_BT = self._parts(outputs)
        labels_BT, top_B = crf.viterbi(emissions, transitions, real_BT)
        chance_B = torch.exp((top_B - crf.partition(emissions, transitions, real_BT)).clamp_max(0.0))
        chance_B = torch.where(real_BT[:, 0], chance_B, 1.0)
        rows_BT = torch.where(real_BT, labels_BT, OUTSIDE)[:, : self.max_words]
        rows_BT = functional.pad(rows_BT, (0, self.max_words - rows_BT.shape[1]), value=OUTSIDE)
        return torch.cat([torch.softmax(intents_BK, dim=-1), chance_B[:, None], rows_BT.float()], dim=1)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Split outputs into intents (B, K), transitions (B, L, L), emissions (B, T', L), real (B, T').

        T' is the most words of this batch: what comes after is beyond every utterance.
        """
        outputs = outputs.float()
        w, k = self.width, len(self.classes)
        words = outputs[:, 1 + w :]
        real_BT = words[..., w] > 0.5
        used = max(int(real_BT.any(dim=0).sum()), 1)
        allowed = crf.allowed_bio(self.labels_count).to(outputs.device)
        emissions = words[:, :used, k:w]
        first = torch.zeros(used, 1, device=outputs.device)
        first[0] = 1.0
        emissions = emissions + first * allowed[-1]
        return outputs[:, 0, :k], outputs[:, 1 + k : 1 + w, k:w] + allowed[:-1], emissions, real_BT[:, :used]

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the likeliest intent and return the words' labels as decoded, (N, 1 + T) int64."""
        assert not thresholds, "intents are decided by the highest probability"
        k = len(self.classes)
        decided: Labels = np.column_stack([scores[:, :k].argmax(axis=1), scores[:, k + 1 :]])
        return decided.astype(np.int64)

    def truth(self, targets: Tensor) -> Labels:
        """Return encoded targets in the shape of ``labels``, (N, 1 + T) int64."""
        return targets.cpu().numpy().astype(np.int64)

    def predictions(
        self,
        scores: Array,
        labels: Labels,
        truth: Labels,
        groups: Mapping[str, NDArray[np.str_]] | None = None,
        units: NDArray[np.str_] | None = None,
        index: NDArray[np.int64] | None = None,
        sure: Array | None = None,
    ) -> Predictions:
        """Return predictions with the names of the slots."""
        made = super().predictions(scores, labels, truth, groups, units, index, sure)
        return replace(made, slots=self.slots)

    def decoded_slots(self, labels: Labels, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        """Return the slots (start, end, name), in characters, of predicted labels (N, 1 + T)."""
        return [
            decode_bio(word_spans(text), [max(int(c), 0) for c in row[1:]], self.slots)
            for row, text in zip(labels, texts, strict=True)
        ]

    @classmethod
    def from_state(cls, state: Mapping[str, Json]) -> Self:
        """Return the target whose ``state()`` this is; version 0.1 said ``length`` for ``max_words``."""
        return super().from_state({"max_words": state.get("length"), **state})

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default."""
        return {
            "exact_match": exact_match,
            "intent_accuracy": intent_accuracy,
            "slot_f1": slot_f1,
            "slot_precision": slot_precision,
            "slot_recall": slot_recall,
        }

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return whole utterances, slots, and each intent's metrics and calibration."""
        of_intents = [
            per_class(classes, exclusive=True),
            probability_scores(),
            calibration_error(settings.bins),
        ]
        whole = means({"exact_match": all_right, "intent_accuracy": correct_intents})
        return [whole, _slots(), *(_of_intents(statistic) for statistic in of_intents)]

    # Probabilities: those of the intents

    @classmethod
    def probabilistic(cls, p: Predictions) -> Predictions:
        """Return the intents alone."""
        return intents(p)

    @classmethod
    def recalibrate(cls, scores: Array, recalibration: Recalibration) -> Array:
        """Return scores with corrected probabilities of the intents, which are the first ``columns``."""
        k = recalibration.columns
        if recalibration.method == "none" or k is None:
            return scores
        return np.column_stack([MulticlassTarget.recalibrate(scores[:, :k], recalibration), scores[:, k:]])

    @classmethod
    def log_losses(cls, p: Predictions) -> Array:
        """Compute the negative log-likelihood of each row's intent."""
        return MulticlassTarget.log_losses(intents(p))

    # Uncertainty: sets of intents

    @classmethod
    def calibration_scores(cls, p: Predictions, rule: ConformalRule) -> CalibrationScores:
        """Return the nonconformity of each row's true intent."""
        return MulticlassTarget.calibration_scores(intents(p), rule)

    @classmethod
    def region(cls, scores: Array, limits: Array, rule: ConformalRule, classes: Sequence[str]) -> SetRegion:
        """Return each row's set of intents."""
        return MulticlassTarget.region(scores[:, : len(classes)], limits, rule, classes)

    @classmethod
    def confidence(cls, scores: Array, labels: Labels, sure: Array | None, rule: ConformalRule) -> Array:
        """Return the probability of the intent times that of the words' labels."""
        words = labels.shape[1] - 1
        return np.asarray(scores[np.arange(len(scores)), labels[:, 0]] * scores[:, -1 - words])

    @classmethod
    def row_losses(cls, p: Predictions, unit: float = 1.0) -> Array:
        """Return 1 for each row unless intent and slots are right."""
        return 1.0 - all_right(p)

    @classmethod
    def includes(cls, labels: Labels, codes: Sequence[int]) -> Flags:
        """Return whether a row's intent is one of the classes."""
        return np.isin(labels[:, 0], list(codes))

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return the rates of intents, of whole utterances and of slots."""
        ones, correct = np.ones(len(p)), correct_intents(p)
        found, predicted, true = slot_counts(p).T
        wrong = predicted - found
        return [
            FairnessMetric("intent accuracy", "equal accuracy", correct, ones, better=1),
            FairnessMetric("exact match", "equal accuracy of intent and slots", all_right(p), ones),
            FairnessMetric("slot recall", "equal opportunity over all slots", found, true, TPR),
            FairnessMetric(
                "false discovery rate of slots", "predictive parity over all slots", wrong, predicted
            ),
            calibration_metric(intents(p), correct),
        ]

    # Explanation: the intent

    @classmethod
    def stratum(cls, p: Predictions) -> Labels:
        """Return the predicted intents."""
        return np.asarray(p.labels[:, 0])

    def explained_class(self, labels: Labels, outputs: Array) -> NDArray[np.int64]:
        """Return the predicted intents."""
        return np.asarray(labels[:, 0], np.int64)

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the log odds (B,) of the explained intents."""
        return class_log_odds(outputs[:, 0, : len(self.classes)], explained)

    def explained_name(self, explained: int) -> str:
        """Return the intent's name."""
        return self.classes[explained]

    @classmethod
    def certainty(cls, p: Predictions) -> Array:
        """Return the probability of the predicted intent."""
        return MulticlassTarget.certainty(intents(p))

    @classmethod
    def correct(cls, p: Predictions) -> Flags:
        """Return whether the predicted intent is the true one."""
        return np.asarray(p.labels[:, 0] == p.targets[:, 0])

    # Columns and words

    @classmethod
    def describe(cls, label: Any, classes: Sequence[str]) -> str:
        """Return the intent's name."""
        return classes[int(label[0])]

    @classmethod
    def label_names(cls, labels: Labels, classes: Sequence[str]) -> list[Any]:
        """Return the intents' names."""
        return MulticlassTarget.label_names(labels[:, 0], classes)

    @classmethod
    def label_column(cls, labels: Labels, classes: Sequence[str]) -> TableColumn:
        """Return the intents' names."""
        return MulticlassTarget.label_column(labels[:, 0], classes)

    @classmethod
    def read_labels(cls, cells: Sequence[Any], classes: Sequence[str]) -> Labels:
        """Return the codes of intents (N,), to which ``read_more`` adds the words' labels."""
        return MulticlassTarget.read_labels(cells, classes)

    @classmethod
    def more_columns(cls, p: Predictions) -> dict[str, TableColumn]:
        """Return the probability of the words' labels and, as lists of BIO labels, predicted and true ones."""
        return {
            PROBABILITY: TableColumn(p.scores[:, len(p.classes)]),
            "label_slots": TableColumn(_bio_labels(p.labels[:, 1:], p.slots), "texts"),
            "truth_slots": TableColumn(_bio_labels(p.targets[:, 1:], p.slots), "texts"),
        }

    @classmethod
    def file_details(cls, p: Predictions) -> dict[str, Json]:
        """Return the slots' names and the number of words there is room for."""
        return {"slots": list(p.slots), "words": p.labels.shape[1] - 1}

    @classmethod
    def read_more(
        cls, p: Predictions, column: Callable[[str], Sequence[Any]], details: Mapping[str, Json]
    ) -> Predictions:
        """Return predictions with the words' labels."""
        slots, words = tuple(details["slots"]), int(details["words"])
        label, truth = (_bio_codes(column(name), slots, words) for name in ("label_slots", "truth_slots"))
        return replace(
            p,
            scores=np.column_stack([p.scores, np.asarray(column(PROBABILITY), np.float64), label]),
            labels=np.column_stack([p.labels, label]),
            targets=np.column_stack([p.targets, truth]),
            slots=slots,
        )

    def served_details(
        self, frame: pd.DataFrame, scores: Array, labels: Labels
    ) -> dict[str, Sequence[Any] | Array]:
        """Return ``slots`` (JSON: [start, end, name] in characters) and ``slots_probability``."""
        found = self.decoded_slots(labels, to_texts(frame[self.text]))
        return {
            "slots": [json.dumps(slots, ensure_ascii=False) for slots in found],
            PROBABILITY: scores[:, len(self.classes)],
        }

    # Baseline

    def fit_baseline(
        self, settings: BaselineSettings, frames: Mapping[str, pd.DataFrame], encoder: Encoder, seed: int
    ) -> FittedBaseline:
        """Fit TF-IDF with logistic regression for intents and a perceptron tagger for slots."""
        random = derive_seed(seed, "challenger") % 2**32
        return fit_tagger(frames, self, self.text, self.labels_count, random)


def _of_intents(statistic: Statistic) -> Statistic:
    return Statistic(statistic.names, lambda p: statistic.prepare(intents(p)))


def _slots() -> Statistic:
    """Return precision, recall and F1 of slots by span, all taken together."""

    def combine(sums: Array) -> Array:
        found, predicted, true = sums.T
        return np.column_stack(
            [ratio(2 * found, predicted + true), ratio(found, predicted), ratio(found, true)]
        )

    return summed(("slot_f1", "slot_precision", "slot_recall"), slot_counts, combine)


def _bio_names(slots: Sequence[str]) -> list[str]:
    return ["O", *(f"{place}-{name}" for name in slots for place in ("B", "I"))]


def _bio_labels(codes: Labels, slots: Sequence[str]) -> list[list[str]]:
    names = _bio_names(slots)
    return [[names[int(code)] for code in row if code >= 0] for row in codes]


def _bio_codes(rows: Sequence[Sequence[str]], slots: Sequence[str], words: int) -> NDArray[np.int64]:
    code = {name: k for k, name in enumerate(_bio_names(slots))}
    codes = np.full((len(rows), words), OUTSIDE, np.int64)
    for n, row in enumerate(rows):
        codes[n, : len(row)] = [code[name] for name in row]
    return codes
