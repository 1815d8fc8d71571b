"""The command: ``python -m core.pretrain recipe=cnn [key=value ...]``."""

from __future__ import annotations

import logging
import os
import sys
import textwrap
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from core.cli.errors import run_cli
from core.config import field_help
from core.config.deprecated import renamed_override
from core.pretrain.config import RECIPES, PretrainConfig

_OUTPUT: dict[str, Any] = {
    "hydra": {
        "run": {"dir": "runs/pretrain/${now:%Y-%m-%d_%H-%M-%S}"},
        "sweep": {"dir": "runs/pretrain/sweep_${now:%Y-%m-%d_%H-%M-%S}", "subdir": "${hydra.job.num}"},
        "output_subdir": None,
        "job": {"chdir": False, "name": "pretrain"},
    },
}


def typed(composed: DictConfig) -> PretrainConfig:
    """Return the typed configuration, raising omegaconf's errors for wrong keys and values."""
    made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PretrainConfig), composed))
    assert isinstance(made, PretrainConfig)
    return made


def register() -> None:
    """Register the configuration and the output directory with hydra."""
    store = ConfigStore.instance()
    store.store(name="pretrain_schema", node=PretrainConfig, provider="core")
    store.store(name="pretrain_output", node=_OUTPUT, package="_global_", provider="core")
    chosen = ["pretrain_output", "pretrain_schema", "_self_"]
    silent = [{f"override hydra/{kind}_logging": "none"} for kind in ("job", "hydra")]
    store.store(name="pretrain", node={"defaults": [*chosen, *silent]}, provider="core")


def show_help() -> None:
    """Print every recipe and key with its default and meaning."""
    print("Pretrain a backbone of core, or train CIFAR-10 from scratch.\n")
    print(
        f"usage: python -m core.pretrain recipe={'|'.join(RECIPES)} [key=value ...] [hydra.run.dir=FOLDER]\n"
    )
    for name, cls in RECIPES.items():
        print(f"recipe={name}\n    {(cls.__doc__ or '').splitlines()[0]}")
        _keys(cls, "recipe.")
        print()
    print("and:")
    _keys(PretrainConfig, "", ("defaults", "recipe"))
    print("\nhydra.run.dir=FOLDER  the run's directory; the same command with the same directory resumes")


def _keys(cls: type, prefix: str, without: tuple[str, ...] = ()) -> None:
    made, words = cls(), field_help(cls)
    for f in fields(cls):
        if f.name not in without:
            value = getattr(made, f.name)
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            left = f"    {prefix}{f.name}={shown}".ljust(44)
            print(textwrap.fill(f"{left}  {words[f.name]}", 110, subsequent_indent=" " * 46))


def _rename_old_keys() -> None:
    with warnings.catch_warnings(record=True) as renamed:
        warnings.simplefilter("always", DeprecationWarning)
        sys.argv[1:] = [a if a.startswith("-") else renamed_override(a, "") for a in sys.argv[1:]]
    for warning in renamed:
        print(f"warning: {warning.message}", file=sys.stderr)


def main() -> None:
    """Run as a command: one message and exit status 2 for a user's mistake."""
    if any(a in ("--help", "-h") for a in sys.argv[1:]):
        show_help()
        return
    _rename_old_keys()
    register()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # hydra then raises instead of printing and exiting 1
    failed: list[BaseException] = []

    def run(composed: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            config = typed(composed)
            from core.pretrain.page import closing
            from core.pretrain.run import pretrain

            shown = logging.getLogger("core")
            shown.addHandler(logging.StreamHandler(sys.stdout))
            shown.setLevel(logging.INFO)
            for line in closing(pretrain(config, folder)):
                print(line)
            print(f"Report: {folder.resolve() / 'report.html'}")
            print(folder.resolve())
        except (Exception, KeyboardInterrupt) as error:
            failed.append(error)  # raised below: hydra would print a line of its own about it
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def start() -> None:
        hydra_main(version_base="1.3", config_path=None, config_name="pretrain")(run)()
        if failed:
            raise failed[0]

    sys.exit(run_cli(start))


if __name__ == "__main__":
    main()
