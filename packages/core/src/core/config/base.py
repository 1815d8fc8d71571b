"""The base class of each configuration group: what ``RunConfig`` is typed by, so that no end of a run is ``Any``.

Pure data: an option is a dataclass that inherits from the base of its group and is registered by
``core.config.registry.register``; what it builds is named there and imported only by ``build``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Base of every option of every group."""


@dataclass
class TaskConfig(Config):
    """Base of the ``task=`` options: the use cases of a domain."""


@dataclass
class DataConfig(Config):
    """Base of the ``data=`` options: where rows, texts, images or recordings come from."""


@dataclass
class EncoderConfig(Config):
    """Base of the ``encoder=`` options: how columns become tensors."""


@dataclass
class TargetConfig(Config):
    """Base of the ``target=`` options: what is predicted."""


@dataclass
class BackboneConfig(Config):
    """Base of the ``backbone=`` options: the network that turns inputs into features."""


@dataclass
class AdapterConfig(Config):
    """Base of the ``adapter=`` options: which weights are trained."""


@dataclass
class AugmentationConfig(Config):
    """Base of the ``augmentation=`` options: random changes of training inputs."""


@dataclass
class OptimizerConfig(Config):
    """Base of the ``optimizer=`` options."""


@dataclass
class ScheduleConfig(Config):
    """Base of the ``schedule=`` options: the learning rate over the run."""


@dataclass
class TrainingConfig(Config):
    """Base of the ``training=`` options: epochs, batches, precision, checkpoints, stopping."""


@dataclass
class PrivacyConfig(Config):
    """Base of the ``privacy=`` options."""


@dataclass
class EvaluationConfig(Config):
    """Base of the ``evaluation=`` options: intervals, thresholds, calibration."""


@dataclass
class BaselineConfig(Config):
    """Base of the ``baseline=`` options: the classical model trained on the same split."""


@dataclass
class FairnessConfig(Config):
    """Base of the ``fairness=`` options: how groups are compared and disparities mitigated."""


@dataclass
class ExplanationConfig(Config):
    """Base of the ``explanation=`` options: how predictions are explained, and the explanations tested."""


@dataclass
class OversightConfig(Config):
    """Base of the ``oversight=`` options: prediction sets, abstention and referral."""


@dataclass
class EnergyConfig(Config):
    """Base of the ``energy=`` options: how energy and carbon are measured, and a budget."""
