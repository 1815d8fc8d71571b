"""The register of options: a group, a name, a dataclass of pure data, and the path of what it builds.

``@register("backbone", "tabular", builds="core.backbones.tabular:TabularTransformer")`` names an implementation
without importing it, so that ``--help`` does not wait for torch; ``build(config, ...)`` imports and calls it.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, dataclass_transform

from hydra.core.config_store import ConfigStore

T = TypeVar("T")

GROUPS: dict[str, str] = {
    "task": "which use case of the domain",
    "data": "where the rows, texts, images or recordings come from",
    "encoder": "how columns, texts, images and signals become tensors",
    "target": "what is predicted",
    "backbone": "the network that turns inputs into features",
    "adapter": "which weights are trained",
    "augmentation": "random changes of training inputs",
    "optimizer": "how a gradient changes the weights",
    "schedule": "how the learning rate moves over the run",
    "training": "epochs, batches, precision, checkpoints, stopping",
    "privacy": "none, or differential privacy",
    "evaluation": "intervals, thresholds, calibration",
    "baseline": "the classical model trained on the same split",
    "fairness": "how groups of people are compared",
    "explanation": "how predictions are explained, and how the explanations are tested",
    "oversight": "how sure a prediction must be, and when a human decides",
    "energy": "how energy is measured, whose electricity it is, and a budget",
}
"""Group name -> one line for ``--help``, in the order in which a run uses them."""

OPTIONS: dict[tuple[str, str], type] = {}
"""(group, name) -> class of every option registered so far."""
_NAMES: dict[type, str] = {}
_BUILDS: dict[type, str] = {}


def field(default: Any, help: str) -> Any:  # noqa: A002 - the word users of argparse and dataclasses know
    """Return a dataclass field with a default and the sentence that ``--help`` prints for it."""
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata={"help": help})
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass_transform()
def register(
    group: str,
    name: str,
    *,
    builds: str | None = None,
    defaults: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Return a decorator that registers a dataclass as ``group=name`` of every application.

    The class's defaults are the only defaults. Its first docstring line and the help of its fields are what
    ``--help`` shows. ``builds`` is the path ``"package.module:attribute"`` that ``build`` imports and calls.
    A task may choose other groups' options (``defaults={"backbone": "cnn1d"}``) and set their keys
    (``values={"training": {"epochs": 5}}``); an experiment, a file or the command line goes before both.

    Raises ``ValueError`` for a group that RunConfig does not have, and for a name that another class has taken:
    an option has one name in one process, whichever domains are imported.
    """
    if group not in GROUPS:
        raise ValueError(f"unknown configuration group {group!r}; it is one of {', '.join(GROUPS)}")

    def decorate(cls: type[T]) -> type[T]:
        made = dataclass(cls)
        taken = OPTIONS.get((group, name))
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"{group}={name} is {taken.__module__}.{taken.__qualname__} already; give "
                f"{cls.__module__}.{cls.__qualname__} another name"
            )
        OPTIONS[group, name] = made
        _NAMES[made] = name
        if builds is not None:
            _BUILDS[made] = builds
        store = ConfigStore.instance()
        if defaults is None and values is None:
            store.store(group=group, name=name, node=made, provider="core")
        else:
            node = {
                "defaults": [
                    *({f"override /{key}": choice} for key, choice in (defaults or {}).items()),
                    "_self_",
                ],
                group: made,
                **{key: dict(content) for key, content in (values or {}).items()},
            }
            store.store(group=group, name=name, node=node, package="_global_", provider="core")
        return made

    return decorate


def option_name(config: object) -> str:
    """Return the name under which the class of an option is registered (``tabular`` of ``backbone=tabular``)."""
    return _NAMES[type(config)]


def build(config: object, *args: Any, **runtime: Any) -> Any:
    """Import what an option builds and call it with the option first: ``Implementation(config, *args, **runtime)``.

    ``runtime`` is what only the run knows: a layout, a seed, a model. Raises ``ValueError`` from the
    implementation for what the option asks and these data or this machine can't give.

    >>> from core.training.config import CosineSchedule
    >>> factor = build(CosineSchedule(warmup=0.0), 100)
    >>> factor(0), round(factor(50), 2)
    (1.0, 0.5)
    """
    module, _, path = _BUILDS[type(config)].partition(":")
    made: Any = importlib.import_module(module)
    for part in path.split("."):
        made = getattr(made, part)
    return made(config, *args, **runtime)


def field_help(node: object) -> dict[str, str]:
    """Return the help sentence of each field of a configuration dataclass (class or instance)."""
    return {f.name: f.metadata.get("help", "") for f in fields(node)}  # type: ignore[arg-type]
