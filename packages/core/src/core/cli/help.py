"""``--help``: every group, its options, and every key of the chosen ones with its value and meaning."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import fields, is_dataclass
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf

from core.config import GROUPS, field_help


def show_help(
    module: str, verb: str, summary: str, schema: type, groups: tuple[str, ...], overrides: list[str]
) -> None:
    """Print the help of one application for the choices that the given overrides make.

    Raises hydra's errors for overrides that do not compose.
    """
    with initialize_config_module(f"{module}.conf", version_base="1.3"):
        composed = compose(verb, overrides=overrides, return_hydra_config=True)
        # The loader's own get_group_options copies the whole ConfigStore for every group: 0.5 s of --help.
        repository = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]
        options = {g: repository.get_group_options(g, ObjectType.CONFIG) for g in (*groups, "experiment")}
    chosen = composed.hydra.runtime.choices
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    print(f"{summary}\n")
    print(
        f"usage: python -m {module}.{verb} [group=option ...] [key=value ...] [hydra.run.dir=FOLDER] [-m]\n"
    )
    for group in groups:
        print(f"{group}={'|'.join(options[group])}".rstrip("="))
        print(f"    {GROUPS[group]}; chosen: {chosen.get(group, 'none')}")
        if OmegaConf.is_missing(composed, group):
            print(f"    {group} must be chosen: its keys are shown with {group}=OPTION --help")
        else:
            _print_keys(composed[group], group, width)
        print()
    if options["experiment"]:
        print(f"experiment={'|'.join(options['experiment'])}\n    ready-made choices and settings\n")
    print("and:")
    _print_keys(composed, "", width, [f.name for f in fields(schema) if f.name not in (*GROUPS, "defaults")])
    print(
        "\nhydra.run.dir=FOLDER  where the run is kept; the same folder and command again go on or report\n"
        "-m                    run every combination of comma-separated values, one after another\n"
        "--config-dir DIR      a folder with further options, e.g. conf/ of the repository\n"
        "--cfg job             print the composed configuration and stop"
    )


def _print_keys(node: DictConfig, prefix: str, width: int, only: list[str] | None = None) -> None:
    kind = OmegaConf.get_type(node)
    words = field_help(kind) if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__") else {}
    for key in only if only is not None else [str(k) for k in node]:
        if key in ("defaults", "hydra") or key.startswith("_"):
            continue
        path = f"{prefix}.{key}" if prefix else key
        nested = None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(nested, DictConfig) and is_dataclass(OmegaConf.get_type(nested)):
            _print_keys(nested, path, width)
            continue
        left = f"    {path}={_shown(node, key)}"
        text = words.get(key, "")
        first = left if len(left) >= 44 else left.ljust(44)
        print(
            textwrap.fill(
                f"{first}  {text}".rstrip(), width, subsequent_indent=" " * 46, break_on_hyphens=False
            )
        )


def _shown(node: DictConfig, key: str) -> str:
    if OmegaConf.is_missing(node, key):
        return "???"
    value: Any = node[key]
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
