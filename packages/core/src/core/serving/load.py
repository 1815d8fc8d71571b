"""Open a finished run and predict with it: ``core.load(run).predict(frame)``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.backbones.model import Model, load_weights
from core.config import build, derive_seed, from_dict
from core.data.encoders import restore as restore_encoder
from core.data.groups import Groups
from core.data.types import Encoder, EncodedRows, restore_roles
from core.data.coercion import to_texts
from core.evaluation.calibration import Scaling
from core.fairness.threshold_optimizer import decide_by_group
from core.oversight.section import RuleSection
from core.oversight.decision_rule import Decisions, DecisionRule, joined_texts
from core.report.run import Run
from core.targets import restore as restore_target
from core.targets.segmentation import SegmentationTarget
from core.targets.intent_slots import IntentSlotsTarget
from core.targets.types import Labels, Target
from core.training.device import resolve_device
from core.training.prediction import Masks
from core.training.prediction import masks as predict_masks
from core.training.prediction import scores as predict_scores
from core.training.scorer import ModelScorer

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray


class Loaded:
    """A finished run ready to predict: the same encoder, weights, recalibration and thresholds as in its record."""

    def __init__(self, run: Run, device: torch.device) -> None:
        import core.backbones.config
        import core.privacy.config  # noqa: F401 - they register the options a saved configuration may name

        self.run = run
        self.config = run.record.run.config
        state = json.loads((run.path / "encoder.json").read_text())
        self.encoder: Encoder = restore_encoder(state["encoder"])
        self.target: Target = restore_target(state["target"])
        self.groups = Groups.restore(state["groups"])
        self.roles = restore_roles(state["fields"])
        self.unit_name: str = state["unit_name"]
        self.device = device
        self.model = self._model(state["architecture"]).to(device).eval()
        self.scaling = Scaling.restore(run.record.calibration["scaling"])
        self.thresholds: dict[str, float] | None = run.record.thresholds.get("values") or None
        self.by_group: dict[str, Any] | None = run.record.thresholds.get("by_group")
        said = run.record.oversight
        self.rules: DecisionRule | None = None if said is None else DecisionRule.restore(RuleSection.model_validate(said["rule"]))
        """Which answers a human decides; None of a run that was made before there were such rules."""

    def _model(self, architecture: dict[str, Any] | None) -> Model:
        seed = derive_seed(self.config["seed"], "weights")
        # Published weights are in model.safetensors already; fetching them again would need a network.
        chosen = from_dict("backbone", self.config["backbone"])
        backbone = build(chosen, self.encoder.layout(), seed, architecture=architecture or {})
        adapter = from_dict("adapter", self.config["adapter"])
        model: Model = build(adapter, backbone, self.target.width, self.target.reads, seed)
        from_dict("privacy", self.config["privacy"]).settle(model)
        load_weights(model, self.run.path / "model.safetensors")
        return model

    def scorer(self, batch_size: int = 256) -> ModelScorer:
        """Give the run to those who ask it questions about rows."""
        return ModelScorer(
            self.model,
            self.encoder,
            self.target,
            lambda raw: self.scaling.apply(raw, self.target.kind),
            self.thresholds,
            self.device,
            str(self.run.record.training.precision),
            self.config["training"]["views"],
            batch_size,
            by_group=self.by_group,
        )

    def scores(
        self, frame: pd.DataFrame, batch_size: int = 256, history: pd.DataFrame | None = None
    ) -> NDArray[np.float64]:
        """Give recalibrated scores (N, K), of masks (N, K, h, w); ``history``: rows that events may look back to."""
        raw = self.raw_scores(frame, batch_size, history)
        return self.scaling.apply(raw, self.target.kind)

    def raw_scores(
        self, frame: pd.DataFrame, batch_size: int = 256, history: pd.DataFrame | None = None
    ) -> NDArray[np.float64]:
        """Give scores (N, K) of raw rows as the network has them, raising ValueError for columns that are missing."""
        return predict_scores(
            self.model,
            self.target,
            self._prepared(frame, history),
            batch_size=batch_size,
            device=self.device,
            precision=str(self.run.record.training.precision),
            views=self.config["training"]["views"],
        )

    def masks(self, frame: pd.DataFrame, batch_size: int = 16) -> Masks:
        """Give the masks of raw rows and what is kept of their probabilities, with few rows in memory."""
        assert isinstance(self.target, SegmentationTarget), "only a run of target=mask gives masks"
        likely = None
        if self.rules is not None and self.rules.method != "none":
            likely = 1.0 - self.rules.quantiles.of(len(frame), self.groups.names(frame))
        return predict_masks(
            self.model,
            self.target,
            self._prepared(frame),
            batch_size=batch_size,
            device=self.device,
            precision=str(self.run.record.training.precision),
            views=self.config["training"]["views"],
            likely=likely,
        )

    def _prepared(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> EncodedRows:
        missing = [column for column in self.roles.inputs() if column not in frame]
        if missing:
            raise ValueError(
                f"column {', '.join(missing)}: not in the table; the run reads {', '.join(self.roles.inputs())}"
            )
        return self.encoder.encode(frame, history)

    def predict(self, frame: pd.DataFrame, batch_size: int = 256) -> pd.DataFrame:
        """Predict raw rows, in their order and with their index.

        Columns: ``prediction`` (class name, ``a;b`` for several labels, a number); ``decision``, which says whether
        that is the model's to decide (see ``core.oversight.decision_rule.DECISIONS``); ``confidence``; ``set``, the classes
        that can't be excluded, ``a;b``, or ``low`` and ``high`` of a number; and ``score:<class>`` for each class.
        For masks ``prediction`` is the mask (H, W) uint8, ``doubtful`` the share of places where several classes can't
        be excluded, and ``share:<class>`` the class's mean probability; for tokens also ``slots`` (JSON: [start, end,
        name] in characters) and ``slots_probability``. Raises ValueError for a column that is missing or a value that
        can't be read, naming row.
        """
        import pandas as pd

        if isinstance(self.target, SegmentationTarget):
            found_masks = self.masks(frame, min(batch_size, 16))
            shares, masks = found_masks.shares, found_masks.labels
            said = self._overseen(frame, shares, masks, found_masks.sure)
            if found_masks.doubtful is not None:
                said["doubtful"] = found_masks.doubtful
            named = {f"share:{name}": shares[:, k] for k, name in enumerate(self.target.classes)}
            pictures = pd.Series(list(masks), dtype=object)
            return pd.DataFrame({"prediction": pictures, **said, **named}).set_index(frame.index)
        found = self.scores(frame, batch_size)
        labels = self.decide(found, frame)
        table: dict[str, Any] = {"prediction": self._named(labels), **self._overseen(frame, found, labels)}
        if self.target.kind != "regression":
            table |= {f"score:{name}": found[:, k] for k, name in enumerate(self.target.classes)}
        if isinstance(self.target, IntentSlotsTarget):
            texts = to_texts(frame[self.target.text])
            found_slots = self.target.named(labels, texts)
            table["slots"] = [json.dumps(slots, ensure_ascii=False) for slots in found_slots]
            table["slots_probability"] = found[:, len(self.target.classes)]
        return pd.DataFrame(table, index=frame.index)

    def oversee(
        self,
        frame: pd.DataFrame,
        scores: NDArray[np.float64],
        labels: NDArray[Any],
        sure: NDArray[np.float64] | None = None,
    ) -> Decisions | None:
        """Say who decides rows of these scores and labels; None of a run without rules."""
        if self.rules is None:
            return None
        texts = joined_texts(frame, self.roles.text)
        return self.rules.decide(scores, labels, self.groups.names(frame), texts, sure)

    def _overseen(
        self,
        frame: pd.DataFrame,
        scores: NDArray[np.float64],
        labels: NDArray[Any],
        sure: NDArray[np.float64] | None = None,
    ) -> dict[str, Any]:
        """Give the columns that say who decides, and between what."""
        said = self.oversee(frame, scores, labels, sure)
        if said is None:
            return {}
        columns: dict[str, Any] = {"decision": said.decision.astype(object)}
        if said.confidence is not None:
            columns["confidence"] = said.confidence
        if said.region is not None:
            columns |= said.region.columns(self.target.classes)
        return columns

    def decide(self, scores: NDArray[np.float64], frame: pd.DataFrame) -> Labels:
        """Decide from recalibrated scores (N, K) of raw rows, as the run would.

        Raises ValueError where the run decides groups by thresholds of their own and the rows don't name theirs.
        """
        groups = self.groups.names(frame) if self.by_group is not None else {}
        return decide_by_group(self.target, scores, self.thresholds, self.by_group, groups)

    def _named(self, labels: NDArray[np.generic]) -> list[Any]:
        classes = self.target.classes
        if self.target.kind == "regression":
            return [float(value) for value in labels]
        if self.target.kind == "multilabel":
            return [";".join(c for c, has in zip(classes, row, strict=True) if has) for row in labels]
        if self.target.kind == "tokens":
            labels = labels[:, 0]
        return [classes[int(label)] for label in labels]


def load(run: str | Path, device: str = "cpu") -> Loaded:
    """Open a finished run's folder, checking that nothing in it was altered.

    Raises ValueError for a folder without a record, with one of another schema version, or whose files differ
    from what the record says.
    """
    return Loaded(Run(run), resolve_device(device))
