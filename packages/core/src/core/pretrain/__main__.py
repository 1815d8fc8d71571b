"""The command: ``python -m core.pretrain recipe=cnn [key=value ...]``."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from core.config import field_help
from core.cli.errors import run_cli
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
    """Give the typed settings, raising omegaconf's errors for keys and values that can't be."""
    made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PretrainConfig), composed))
    assert isinstance(made, PretrainConfig)
    return made


def register() -> None:
    """Tell hydra of the settings and of where a run is kept."""
    store = ConfigStore.instance()
    store.store(name="pretrain_schema", node=PretrainConfig, provider="core")
    store.store(name="pretrain_output", node=_OUTPUT, package="_global_", provider="core")
    chosen = ["pretrain_output", "pretrain_schema", "_self_"]
    silent = [{f"override hydra/{kind}_logging": "none"} for kind in ("job", "hydra")]
    store.store(name="pretrain", node={"defaults": [*chosen, *silent]}, provider="core")


def show_help() -> None:
    """Print every recipe and key with its default and meaning."""
    print("Pretrain a backbone that core ships, or train CIFAR-10 from scratch.\n")
    print(
        f"usage: python -m core.pretrain recipe={'|'.join(RECIPES)} [key=value ...] [hydra.run.dir=FOLDER]\n"
    )
    for name, cls in RECIPES.items():
        print(f"recipe={name}\n    {(cls.__doc__ or '').splitlines()[0]}")
        _keys(cls, "recipe.")
        print()
    print("and:")
    _keys(PretrainConfig, "", ("defaults", "recipe"))
    print("\nhydra.run.dir=FOLDER  where the run is kept; the same folder and command again go on")


def _keys(cls: type, prefix: str, without: tuple[str, ...] = ()) -> None:
    made, words = cls(), field_help(cls)
    for f in fields(cls):
        if f.name not in without:
            value = getattr(made, f.name)
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            left = f"    {prefix}{f.name}={shown}".ljust(44)
            print(textwrap.fill(f"{left}  {words[f.name]}", 110, subsequent_indent=" " * 46))


def main() -> None:
    """Run as a command: one message and exit status 2 for a user's mistake."""
    if any(a in ("--help", "-h") for a in sys.argv[1:]):
        show_help()
        return
    register()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # hydra then raises instead of printing and exiting 1
    failed: list[BaseException] = []

    def run(composed: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            config = typed(composed)
            config.check()
            from core.pretrain.page import closing
            from core.pretrain.run import pretrain

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
