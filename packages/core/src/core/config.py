"""What a run is made of: the typed configuration every domain shares, and the register of its groups.

Each room of core registers its own options here (``@option("optimizer", "adamw")``), so this module knows
none of them and imports nothing heavy: ``--help`` must not wait for torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING as MISSING
from omegaconf import OmegaConf

T = TypeVar("T")

GROUPS: dict[str, str] = {
    "task": "which use case of the domain",
    "data": "where the rows, texts, images or recordings come from",
    "encoder": "how columns, texts, images and signals become tensors",
    "target": "what kind of answer is predicted",
    "backbone": "the network that turns inputs into features",
    "adapter": "which weights are trained",
    "augmentation": "random changes of training inputs",
    "optimizer": "how a gradient changes the weights",
    "schedule": "how the learning rate moves over the run",
    "training": "epochs, batches, precision, checkpoints, stopping",
    "privacy": "none, or differential privacy",
    "evaluation": "intervals, thresholds, calibration",
    "challenger": "the classical model trained on the same split",
    "fairness": "how groups of people are compared",
    "explanation": "how answers are explained, and how the explanations are tested",
    "oversight": "how sure an answer must be, and when a human decides",
    "energy": "how energy is measured, whose electricity it is, and a budget",
}
"""Group name -> one line for ``--help``, in the order in which a run uses them."""


def setting(default: Any, help: str) -> Any:  # noqa: A002 - the word users of argparse and dataclasses know
    """Make a dataclass field with a default and the sentence that ``--help`` prints for it."""
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata={"help": help})
    return field(default=default, metadata={"help": help})


OPTIONS: dict[tuple[str, str], type] = {}
"""(group, name) -> class of every option registered so far."""
_OWN: dict[str, dict[tuple[str, str], type]] = {}
"""Package -> its options: two domains may give the same name to options of their own."""


def option(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Register a dataclass as ``group=name`` of every domain's applications.

    The class's defaults are the only defaults. Its first docstring line and ``setting(help=...)`` texts are
    what ``--help`` shows. Raises ``ValueError`` for a group that RunConfig does not have.
    """
    if group not in (*GROUPS, "task_schema"):
        raise ValueError(f"unknown configuration group {group!r}; it is one of {', '.join(GROUPS)}")

    def register(cls: type[T]) -> type[T]:
        made = dataclass(cls)
        _OWN.setdefault(cls.__module__.split(".")[0], {})[group, name] = made
        _store(group, name, made)
        return made

    return register


def _store(group: str, name: str, made: type) -> None:
    OPTIONS[group, name] = made
    ConfigStore.instance().store(group=group, name=name, node=made, provider="core")


def speak_for(domain: str) -> None:
    """Give a domain's own options the names that another domain in the same process may have taken since."""
    for (group, name), made in _OWN.get(domain, {}).items():
        if OPTIONS[group, name] is not made:
            _store(group, name, made)


def task(name: str) -> Callable[[type[T]], type[T]]:
    """Register a domain's task class; ``conf/task/<name>.yaml`` chooses it and the defaults that suit it.

    A group of its own, because a YAML file and a registered class of one name in one group are merged by
    Hydra with a warning.
    """
    return option("task_schema", name)


def help_of(node: object) -> dict[str, str]:
    """Give the help sentence of each field of a configuration dataclass (class or instance)."""
    return {f.name: f.metadata.get("help", "") for f in fields(node)}  # type: ignore[arg-type]


DEFAULTS: list[Any] = [
    {"data": "simulated"},
    {"encoder": "fields"},
    {"target": "auto"},
    {"backbone": "tabular"},
    {"adapter": "full"},
    {"augmentation": "none"},
    {"optimizer": "adamw"},
    {"schedule": "cosine"},
    {"training": "standard"},
    {"privacy": "none"},
    {"evaluation": "standard"},
    {"challenger": "auto"},
    {"fairness": "audit"},
    {"explanation": "standard"},
    {"oversight": "standard"},
    {"energy": "meter"},
]


@dataclass
class RunConfig:
    """One training run: a choice for every group, and what belongs to no group."""

    defaults: list[Any] = field(default_factory=DEFAULTS.copy)
    task: Any = MISSING
    data: Any = MISSING
    encoder: Any = MISSING
    target: Any = MISSING
    backbone: Any = MISSING
    adapter: Any = MISSING
    augmentation: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    training: Any = MISSING
    privacy: Any = MISSING
    evaluation: Any = MISSING
    challenger: Any = MISSING
    fairness: Any = MISSING
    explanation: Any = MISSING
    oversight: Any = MISSING
    energy: Any = MISSING
    seed: int = setting(0, "every random choice of the run derives from it")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps")
    threads: int = setting(0, "processor threads; 0 lets torch decide")


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive an independent 63-bit seed for one named use, so that no two uses share a random stream.

    A pure function: the stream of ``("step", 17)`` is the same in a straight and in a resumed run.
    """
    text = "\x1f".join([str(seed), *(str(n) for n in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def wrong(key: str, value: object, right: str) -> ValueError:
    """Build the error for a configuration value: the key, the value, and what would be right."""
    return ValueError(f"{key}={value!r}: {right}")


def saved(config: RunConfig) -> dict[str, Any]:
    """Give a configuration as plain values, each group's option under ``option``, as config.yaml keeps it."""
    names = {made: name for (_, name), made in OPTIONS.items()}
    return {
        part.name: {"option": names[type(value)], **_plain(value)} if part.name in GROUPS else value
        for part in fields(config)
        if part.name != "defaults"
        for value in [getattr(config, part.name)]
    }


def to_yaml(content: dict[str, Any]) -> str:
    """Write plain values as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(content))


def from_yaml(text: str) -> dict[str, Any]:
    """Read plain values from YAML."""
    content = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def restored(group: str, content: dict[str, Any]) -> Any:
    """Make the option object of a group from what ``saved`` gave for it.

    Raises ValueError for an option that this version does not have.
    """
    values = dict(content)
    name = values.pop("option")
    if (group, name) not in OPTIONS:
        raise ValueError(f"{group}={name} is unknown here: open the run with the packages that wrote it")
    return OPTIONS[group, name](**values)


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Name every key whose values differ: ``training.epochs: 10, now 20``."""
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
