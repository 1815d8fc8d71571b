"""Configuration as data: what a run is made of, the register of its options, and the checks they share.

Imports no torch: ``--help`` reads all of it.
"""

from core.config.base import AdapterConfig as AdapterConfig
from core.config.base import AugmentationConfig as AugmentationConfig
from core.config.base import BackboneConfig as BackboneConfig
from core.config.base import BaselineConfig as BaselineConfig
from core.config.base import DataConfig as DataConfig
from core.config.base import EncoderConfig as EncoderConfig
from core.config.base import EnergyConfig as EnergyConfig
from core.config.base import EvaluationConfig as EvaluationConfig
from core.config.base import ExplanationConfig as ExplanationConfig
from core.config.base import FairnessConfig as FairnessConfig
from core.config.base import OptimizerConfig as OptimizerConfig
from core.config.base import OversightConfig as OversightConfig
from core.config.base import PrivacyConfig as PrivacyConfig
from core.config.base import ScheduleConfig as ScheduleConfig
from core.config.base import TargetConfig as TargetConfig
from core.config.base import TaskConfig as TaskConfig
from core.config.base import TrainingConfig as TrainingConfig
from core.config.registry import GROUPS as GROUPS
from core.config.registry import OPTIONS as OPTIONS
from core.config.registry import build as build
from core.config.registry import field as field
from core.config.registry import field_help as field_help
from core.config.registry import option_name as option_name
from core.config.registry import register as register
from core.config.run import MISSING as MISSING
from core.config.run import RunConfig as RunConfig
from core.config.run import derive_seed as derive_seed
from core.config.run import differences as differences
from core.config.run import from_dict as from_dict
from core.config.run import from_yaml as from_yaml
from core.config.run import to_dict as to_dict
from core.config.run import to_yaml as to_yaml
from core.config.validate import at_least_zero as at_least_zero
from core.config.validate import config_error as config_error
from core.config.validate import fractions as fractions
from core.config.validate import one_of as one_of
from core.config.validate import positive as positive
from core.config.validate import split_fractions as split_fractions
