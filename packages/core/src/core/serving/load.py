"""Open a finished run and predict with it: ``core.load(run).predict(frame)``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.backbones.model import Model, load_weights
from core.config import build, derive_seed, from_dict
from core.data.contract import open_contract
from core.data.encoders.columns import kept_categories
from core.data.encoders.decorrelated import restore_encoder
from core.data.groups import Groups
from core.data.types import Encoder, restore_roles
from core.fairness.group_thresholds import decide_by_group
from core.oversight.decision_rule import DecisionRule, Decisions, joined_texts
from core.privacy.batch_norm import convert_batch_norm
from core.privacy.config import batch_norm_policy
from core.report.run import Run
from core.serving.unlike_training import ColumnComparison, compare_with_training
from core.targets import restore as restore_target
from core.targets.recalibration import Recalibration
from core.targets.types import Labels, Target
from core.training.device import resolve_device
from core.training.scorer import ModelScorer

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray

DENSE_BATCH = 16
"""Most rows of one forward pass of targets with a score at every place."""


class LoadedRun:
    """A finished run ready to predict, with the encoder, weights, recalibration and thresholds of its record."""

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
        self.contract = open_contract(run.path, self.config["data"], self.roles, self._names())
        """How the run's files are written and what their cells are: every row that comes is read by it."""
        self.device = device
        self.model = self._model(state["architecture"]).to(device).eval()
        self.recalibration = Recalibration.restore(run.record.calibration.recalibration.model_dump())
        self.thresholds = run.record.thresholds.values or None
        self.by_group = run.record.thresholds.by_group
        oversight = run.record.oversight
        self.decision_rule = None if oversight is None else DecisionRule.restore(oversight.rule)
        """Which predictions a human decides; None of a run without oversight."""

    def _names(self) -> dict[str, tuple[str, ...]]:
        """Return column -> the names that training kept: of categories, groups and classes."""
        names: dict[str, tuple[str, ...]] = {c: g.kept for c, g in self.groups.groupings.items()}
        if len(self.roles.target) == 1:
            names[self.roles.target[0]] = tuple(self.target.classes)
        return names | {column: tuple(kept) for column, kept in kept_categories(self.encoder).items()}

    def _model(self, architecture: dict[str, Any] | None) -> Model:
        seed = derive_seed(self.config["seed"], "weights")
        # Published weights are in model.safetensors already; fetching them again would need a network.
        backbone_config = from_dict("backbone", self.config["backbone"])
        backbone = build(backbone_config, self.encoder.layout(), seed, architecture=architecture or {})
        adapter = from_dict("adapter", self.config["adapter"])
        model: Model = build(adapter, backbone, self.target.width, self.target.reads, seed)
        convert_batch_norm(model, batch_norm_policy(from_dict("privacy", self.config["privacy"])))
        load_weights(model, self.run.path / "model.safetensors")
        return model

    def scorer(self, batch_size: int = 256) -> ModelScorer:
        """Return the model with its encoder, recalibration and thresholds, for studies that score rows again."""
        return ModelScorer(
            self.model,
            self.encoder,
            self.target,
            lambda raw: self.target.recalibrate(raw, self.recalibration),
            self.thresholds,
            self.device,
            str(self.run.record.training.precision),
            self.config["training"]["tta_views"],
            min(batch_size, DENSE_BATCH) if self.target.dense else batch_size,
            by_group=self.by_group,
        )

    def scores(
        self, frame: pd.DataFrame, batch_size: int = 256, history: pd.DataFrame | None = None
    ) -> NDArray[np.float64]:
        """Return recalibrated scores (N, K) of raw rows; ``history``: rows that events may look back to.

        Dense targets give their full map, (N, K, h, w). Raises ValueError for a column that is missing.
        """
        self._require_columns(frame)
        past = None if history is None else self.contract.apply(history)
        return self.scorer(batch_size).scores(self.contract.apply(frame), past)

    def predict(self, frame: pd.DataFrame, batch_size: int = 256) -> pd.DataFrame:
        """Predict raw rows, in their order and with their index.

        Columns: ``prediction`` (class name, ``a;b`` for several labels, a number, a mask (H, W) uint8); ``decision``,
        who decides (see ``core.oversight.decision_rule.DECISIONS``); ``confidence``; ``set``, the classes that can't
        be excluded, ``a;b``, or ``low`` and ``high`` of a number; ``score:<class>`` for each class. Segmentation:
        ``doubtful``, the share of places where several classes can't be excluded, and ``share:<class>``, the class's
        mean probability. Intent and slots: ``slots`` (JSON: [start, end, name] in characters) and
        ``slots_probability``. Raises ValueError for a column that is missing or a value that can't be read, with its
        row.
        """
        import pandas as pd

        self._require_columns(frame)
        frame = self.contract.apply(frame)
        decoded = self.scorer(batch_size).decoded(frame, likely=self._likely(frame))
        scores = self.target.recalibrate(decoded.scores, self.recalibration)
        labels = decoded.labels if self.target.dense else self.labels(scores, frame)
        cells = self.target.label_names(labels, self.target.classes)
        columns: dict[str, Any] = {
            "prediction": pd.Series(cells, index=frame.index, dtype=object) if self.target.dense else cells,
            **self._decision_columns(self.decisions(frame, scores, labels, decoded.sure)),
            **({} if decoded.doubtful is None else {"doubtful": decoded.doubtful}),
            **self.target.served_scores(scores),
            **self.target.served_details(frame, scores, labels),
        }
        return pd.DataFrame(columns, index=frame.index)

    def unlike_training(self, frame: pd.DataFrame) -> tuple[list[ColumnComparison], list[str]]:
        """Return what raw rows have that training had not: by column, and for each row in words ('' for nothing)."""
        return compare_with_training(self.encoder, self.contract.apply(frame))

    def decisions(
        self,
        frame: pd.DataFrame,
        scores: NDArray[np.float64],
        labels: NDArray[Any],
        sure: NDArray[np.float64] | None = None,
    ) -> Decisions | None:
        """Return who decides rows of these scores and labels; None of a run without oversight."""
        if self.decision_rule is None:
            return None
        frame = self.contract.apply(frame)
        texts = joined_texts(frame, self.roles.text)
        return self.decision_rule.decide(scores, labels, self.groups.names(frame), texts, sure)

    def labels(self, scores: NDArray[np.float64], frame: pd.DataFrame) -> Labels:
        """Decide from recalibrated scores (N, K) of raw rows, as the run would.

        Raises ValueError where the run decides groups by thresholds of their own and the rows lack their groups.
        """
        groups = {} if self.by_group is None else self.groups.names(self.contract.apply(frame))
        return decide_by_group(self.target, scores, self.thresholds, self.by_group, groups)

    def _require_columns(self, frame: pd.DataFrame) -> None:
        missing = [column for column in self.roles.inputs() if column not in frame]
        if missing:
            raise ValueError(
                f"column {', '.join(missing)}: not in the table; the run reads {', '.join(self.roles.inputs())}"
            )

    def _likely(self, frame: pd.DataFrame) -> NDArray[np.float64] | None:
        """Return the probability from which a class can't be excluded, (N or 1, K or 1); None where none counts it."""
        rule = self.decision_rule
        if not self.target.dense or rule is None or rule.method == "none":
            return None
        return 1.0 - rule.quantiles.of(len(frame), self.groups.names(frame))

    def _decision_columns(self, decisions: Decisions | None) -> dict[str, Any]:
        if decisions is None:
            return {}
        columns: dict[str, Any] = {"decision": decisions.decision.astype(object)}
        if decisions.confidence is not None:
            columns["confidence"] = decisions.confidence
        if decisions.region is not None:
            columns |= decisions.region.columns(self.target.classes)
        return columns


def load(run: str | Path, device: str = "cpu") -> LoadedRun:
    """Open a finished run's folder, checking that nothing in it was altered.

    Raises ValueError for a folder without a record, with one of an unknown schema version, or whose files differ
    from what the record says.

    >>> load("runs/nowhere")
    Traceback (most recent call last):
    ValueError: runs/nowhere: no such folder; give the folder that a run printed in its last line
    """
    return LoadedRun(Run(run), resolve_device(device))
