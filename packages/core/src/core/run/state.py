"""What one run has come to so far: each step reads what earlier steps left here, and adds its own result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.domain import Task
from core.evaluation.config import StandardEvaluation
from core.evaluation.config import standard as standard_evaluation
from core.training.config import StandardTraining
from core.training.config import standard as standard_training

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from core.backbones.model import Model
    from core.config import RunConfig
    from core.data.encoded_split import EncodedSplit
    from core.data.groups import Groups
    from core.data.types import Dataset, Encoder, Finding
    from core.energy.meter import Meter
    from core.energy.section import EnergySection, EnergyUse, PerformanceSection
    from core.evaluation.study import StudyResult
    from core.evaluation.types import Comparison, Evaluation
    from core.explanation.section import ExplanationSection
    from core.fairness.section import FairnessSection
    from core.oversight.section import OversightSection, UncertaintySection
    from core.privacy.section import DPSection, NoPrivacySection
    from core.run.directory import RunDirectory
    from core.targets.types import Target
    from core.training.parallel import ProcessGroup
    from core.training.scorer import ModelScorer
    from core.training.section import FeatureCache, LinearProbe
    from core.training.setup import TrainingSetup
    from core.training.trainer import TrainingResult


@dataclass
class PreparedData:
    """Step 1: data ready to train on. Frames and splits are keyed train, validation, test."""

    dataset: Dataset
    frames: dict[str, pd.DataFrame]
    splits: dict[str, EncodedSplit]
    encoder: Encoder
    target: Target
    groups: Groups
    findings: list[Finding]


@dataclass
class ModelAndData:
    """Step 2: the network and the training that will change it."""

    model: Model
    device: torch.device
    setup: TrainingSetup
    feature_cache: FeatureCache | None
    linear_probe: LinearProbe | None


@dataclass
class EvaluationResult:
    """Step 4: what held-out rows say of the model and of the baseline."""

    evaluation: Evaluation
    comparison: Comparison | None
    scorer: ModelScorer
    """The model as serving would ask it: recalibrated, deciding by the run's thresholds."""
    studies: dict[str, tuple[StudyResult, float]] = field(default_factory=dict)
    """Name -> what the study found, and the seconds it took."""


@dataclass
class ImpactReport:
    """Step 5: the record's sections on impact; a concern that this run did not measure is None."""

    privacy: NoPrivacySection | DPSection
    fairness: FairnessSection | None = None
    explanation: ExplanationSection | None = None
    uncertainty: UncertaintySection | None = None
    oversight: OversightSection | None = None


@dataclass(frozen=True)
class Footprint:
    """Step 6: time of every phase, energy where it was measured, and how fast the model is."""

    phases: dict[str, EnergyUse]
    performance: PerformanceSection
    energy: EnergySection | None


@dataclass
class RunState:
    """One run: its configuration, its directory, its processes, its meter, and the result of each step done.

    A step that asks for the result of a later one is our fault, and raises AttributeError.
    """

    config: RunConfig
    directory: RunDirectory
    processes: ProcessGroup
    meter: Meter
    data: PreparedData = field(init=False)
    design: ModelAndData = field(init=False)
    trained: TrainingResult = field(init=False)
    evaluated: EvaluationResult = field(init=False)
    impact: ImpactReport = field(init=False)
    footprint: Footprint = field(init=False)

    @property
    def task(self) -> Task:
        """The use case."""
        assert isinstance(self.config.task, Task)
        return self.config.task

    @property
    def training(self) -> StandardTraining:
        """Epochs, batches, precision, checkpoints, stopping."""
        return standard_training(self.config.training)

    @property
    def evaluation(self) -> StandardEvaluation:
        """Intervals, thresholds, calibration."""
        return standard_evaluation(self.config.evaluation)
