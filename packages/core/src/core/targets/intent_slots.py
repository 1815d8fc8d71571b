"""One answer for an utterance (its intent) and one label for each of its words (its slots), learnt together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from core.data.coercion import to_texts
from core.data.slot_alignment import encode_bio, parse_slots, decode_bio, word_spans
from core.targets import crf
from core.targets import metrics as m
from core.targets.multiclass import class_list
from core.targets.labels import encode_classes, listed, require_columns, single_column
from core.targets.slot_metrics import exact_match, intent_accuracy, slot_f1, slot_precision, slot_recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import TokensOption
    from core.targets.types import Labels, Metric

OUTSIDE = -1
"""Code of a place beyond an utterance's last word."""


@dataclass
class IntentSlotsTarget:
    """A probability for each intent, and the likeliest row of BIO labels of the words under a linear chain.

    Encoded answers (B, 1 + T) int64: the intent, then each word's code (see ``core.data.slot_alignment``), -1 beyond the last.
    Scores (B, K + 1 + T): intents' probabilities, the probability of the decoded row of labels, and the row itself.
    """

    column: str
    text: str
    slots_column: str
    classes: tuple[str, ...]
    slots: tuple[str, ...]
    length: int
    slot_weight: float = 1.0
    select: str | None = None
    explanation: str = ""
    kind: str = "tokens"
    reads: str = "joint"

    @property
    def labels_count(self) -> int:
        """How many labels a word may have: outside, and first and further word of each slot."""
        return 1 + 2 * len(self.slots)

    @property
    def width(self) -> int:
        """One output an intent and one a label."""
        return len(self.classes) + self.labels_count

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: TokensOption) -> IntentSlotsTarget:
        """Read intents and slots from training rows.

        Raises ValueError where the data has no column of slots or no text, or names a single intent.
        """
        column = single_column(frame, roles, "tokens")
        if roles.slots is None or len(roles.text) != 1:
            raise ValueError(
                "target=tokens needs one text column and a column of slots, lists of [start, end, name]; this data has "
                f"text {', '.join(roles.text) or 'none'}, slots {roles.slots or 'none'}"
            )
        require_columns(frame, (roles.slots,))
        cells = zip(frame.index, frame[roles.slots], strict=True)
        names = {
            name for row, cell in cells for _, _, name in parse_slots(cell, f"{roles.slots!r}, row {row}")
        }
        if settings.slots:
            unknown = sorted(names - set(settings.slots))
            if unknown:
                raise ValueError(
                    f"target.slots lacks {listed(unknown)}, which column {roles.slots!r} has in the training rows"
                )
            names = set(settings.slots)
        classes = class_list(frame, column, [])
        target = cls(
            column,
            roles.text[0],
            roles.slots,
            tuple(classes),
            tuple(sorted(names)),
            settings.length,
            settings.slot_weight,
            settings.select,
            f"The intents are {listed(classes)}; the slots are {listed(sorted(names)) or 'none'}.",
        )
        target.metrics()
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's intent and its words' labels, (B, 1 + T) int64.

        Raises ValueError naming column and row for what can't be read, and for more than ``target.length`` words.
        """
        require_columns(frame, (self.text, self.slots_column))
        codes = np.full((len(frame), 1 + self.length), OUTSIDE, np.int64)
        codes[:, 0] = encode_classes(frame, self.column, self.classes).numpy()
        rows = zip(frame.index, to_texts(frame[self.text]), frame[self.slots_column], strict=True)
        for n, (row, text, cell) in enumerate(rows):
            where = f"column {self.slots_column!r}, row {row}"
            spans = word_spans(text)
            if len(spans) > self.length:
                raise ValueError(
                    f"column {self.text!r}, row {row}: {len(spans)} words are more than target.length={self.length}: "
                    "raise target.length and encoder.length, or shorten the text"
                )
            labels = encode_bio(spans, parse_slots(cell, where), self.slots, where)
            codes[n, 1 : 1 + len(spans)] = labels
        return torch.from_numpy(codes)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's loss (B,) in nats: of its intent, and ``slot_weight`` times of its row of labels."""
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
        """Turn outputs (B, 1 + W + T, W + 1) into scores (B, K + 1 + length): see the class."""
        intents_BK, transitions, emissions, real_BT = self._parts(outputs)
        labels_BT, top_B = crf.likeliest(emissions, transitions, real_BT)
        chance_B = torch.exp((top_B - crf.partition(emissions, transitions, real_BT)).clamp_max(0.0))
        chance_B = torch.where(real_BT[:, 0], chance_B, 1.0)
        rows_BT = torch.where(real_BT, labels_BT, OUTSIDE)[:, : self.length]
        rows_BT = functional.pad(rows_BT, (0, self.length - rows_BT.shape[1]), value=OUTSIDE)
        return torch.cat([torch.softmax(intents_BK, dim=-1), chance_B[:, None], rows_BT.float()], dim=1)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Take outputs apart: intents (B, K), transitions (B, L, L), emissions (B, T', L), real (B, T').

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

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the likeliest intent and take the row of labels as decoded, (N, 1 + T) int64."""
        assert not thresholds, "intents are decided by the highest probability"
        k = len(self.classes)
        decided: Labels = np.column_stack([scores[:, :k].argmax(axis=1), scores[:, k + 1 :]])
        return decided.astype(np.int64)

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded answers into the shape of ``labels``, (N, 1 + T) int64."""
        return targets.cpu().numpy().astype(np.int64)

    def named(self, labels: NDArray[Any], texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        """Give the slots (start, end, name), in characters, of decided labels (N, 1 + T)."""
        return [
            decode_bio(word_spans(text), [max(int(c), 0) for c in row[1:]], self.slots)
            for row, text in zip(labels, texts, strict=True)
        ]

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models."""
        figures: dict[str, Metric] = {
            "exact_match": exact_match,
            "intent_accuracy": intent_accuracy,
            "slot_f1": slot_f1,
            "slot_precision": slot_precision,
            "slot_recall": slot_recall,
        }
        return m.selected_first(figures, self.select)

    def state(self) -> dict[str, Json]:
        """Give all that ``core.targets.restore`` needs, as JSON."""
        return {**asdict(self), "classes": list(self.classes), "slots": list(self.slots)}

    @classmethod
    def from_state(cls, state: dict[str, Json]) -> IntentSlotsTarget:
        """Make the target again from its state."""
        return cls(**state | {name: tuple(state[name]) for name in ("classes", "slots")})
