"""What a run is made of: one option of every group, typed, and what belongs to no group."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import MISSING as MISSING
from omegaconf import OmegaConf

from core.config.base import (
    AdapterConfig,
    AugmentationConfig,
    BackboneConfig,
    BaselineConfig,
    DataConfig,
    EncoderConfig,
    EnergyConfig,
    EvaluationConfig,
    ExplanationConfig,
    FairnessConfig,
    OptimizerConfig,
    OversightConfig,
    PrivacyConfig,
    ScheduleConfig,
    TargetConfig,
    TaskConfig,
    TrainingConfig,
)
from core.config.registry import GROUPS, OPTIONS, field, option_name

DEFAULTS: list[Any] = [
    "_self_",  # first: a later, still missing choice would put the base class over the chosen option
    {"data": "simulated"},
    {"encoder": "columns"},
    {"target": "auto"},
    {"backbone": "tabular"},
    {"adapter": "full"},
    {"augmentation": "none"},
    {"optimizer": "adamw"},
    {"schedule": "cosine"},
    {"training": "standard"},
    {"privacy": "none"},
    {"evaluation": "standard"},
    {"baseline": "auto"},
    {"fairness": "audit"},
    {"explanation": "standard"},
    {"oversight": "standard"},
    {"energy": "measured"},
]


@dataclass
class RunConfig:
    """One training run: a choice for every group, and what belongs to no group."""

    defaults: list[Any] = dataclasses.field(default_factory=DEFAULTS.copy)
    task: TaskConfig = MISSING
    data: DataConfig = MISSING
    encoder: EncoderConfig = MISSING
    target: TargetConfig = MISSING
    backbone: BackboneConfig = MISSING
    adapter: AdapterConfig = MISSING
    augmentation: AugmentationConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    schedule: ScheduleConfig = MISSING
    training: TrainingConfig = MISSING
    privacy: PrivacyConfig = MISSING
    evaluation: EvaluationConfig = MISSING
    baseline: BaselineConfig = MISSING
    fairness: FairnessConfig = MISSING
    explanation: ExplanationConfig = MISSING
    oversight: OversightConfig = MISSING
    energy: EnergyConfig = MISSING
    seed: int = field(0, "every random choice of the run derives from it")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")
    threads: int = field(0, "processor threads; 0 lets torch decide")


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive an independent 63-bit seed for one named use, so that no two uses share a random stream.

    A pure function: the stream of ``("step", 17)`` is the same in a straight and in a resumed run.

    >>> derive_seed(0, "weights") == derive_seed(0, "weights") != derive_seed(1, "weights")
    True
    """
    text = "\x1f".join([str(seed), *(str(n) for n in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as plain values, each group's option under ``option``, as config.yaml keeps it."""
    return {
        part.name: {"option": option_name(value), **_plain(value)} if part.name in GROUPS else value
        for part in fields(config)
        if part.name != "defaults"
        for value in [getattr(config, part.name)]
    }


def from_dict(group: str, content: dict[str, Any]) -> Any:
    """Return the option object of a group from what ``to_dict`` gave for it.

    Raises ValueError for an option that this version does not have.
    """
    values = dict(content)
    name = values.pop("option")
    if (group, name) not in OPTIONS:
        raise ValueError(f"{group}={name} is unknown here: open the run with the packages that wrote it")
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(OPTIONS[group, name]), values))


def to_yaml(content: dict[str, Any]) -> str:
    """Return plain values as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(content))


def from_yaml(text: str) -> dict[str, Any]:
    """Return plain values from YAML."""
    content = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Return every key whose values differ: ``training.epochs: 10, now 20``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            d for key in keys for d in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [f"{path}: {old!r}, now {new!r}"]


def _plain(node: Any) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.structured(node))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
