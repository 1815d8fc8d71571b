"""An application: one verb of one domain, called from Python with overrides or from the shell.

``python -m healthcare.train task=records`` and ``healthcare.train("task=records")`` run the same code.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from core.cli.console_logging import log_to_stderr
from core.cli.errors import run_cli
from core.cli.help import show_help
from core.config.deprecated import renamed_override
from core.data.readers.files import resolve_path
from core.domain import Domain
from core.training.torchrun_env import (
    SWEEP,
    errors_from_main_only,
    rank,
    require_common_folder,
    require_single_process,
)

ROOMS = (
    "data",
    "targets",
    "backbones",
    "training",
    "privacy",
    "evaluation",
    "fairness",
    "explanation",
    "oversight",
    "energy",
)
"""The rooms whose config.py registers options."""


@dataclass(frozen=True)
class Application:
    """One verb of one domain: callable from Python with overrides, or from the shell through ``main``."""

    domain: Domain
    verb: str
    summary: str
    schema: type
    work: Callable[[Any, Path, Domain], Any] | str
    """What it does: a function of configuration, folder and domain, or its path ``package.module:function``."""
    groups: tuple[str, ...]
    show: str = ""
    """Path of what prints the result on the terminal; Python callers have the result itself."""

    def __call__(self, *overrides: str, folder: str | Path | None = None) -> Any:
        """Run what the command runs with the same overrides, and return the Run (or the table).

        ``folder`` is the run's directory; by default a new one under ``runs/``. Raises ValueError where
        the command would print a message and exit with status 2. Old names of keys raise a DeprecationWarning.
        """
        with errors_from_main_only():
            self._allow_processes(folder is not None)
            config = self.configure(*overrides)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        target = Path(folder) if folder is not None else Path("runs", self.domain.name, stamp)
        return self._work(config, target)

    def configure(self, *overrides: str) -> Any:
        """Return the typed configuration that the overrides ask for, raising hydra's errors for wrong ones."""
        self._register()
        today = [renamed_override(override, self.domain.name) for override in overrides]
        with initialize_config_module(f"{self.domain.name}.conf", version_base="1.3"):
            return self._typed(compose(self.verb, overrides=today))

    def main(self) -> None:
        """Run as a command: hydra's command line, one message and exit status 2 for a user's mistake."""
        log_to_stderr("core", self.domain.name)
        with _deprecations_on_stderr():
            sys.argv[1:] = [
                a if a.startswith("-") else renamed_override(a, self.domain.name) for a in sys.argv[1:]
            ]
        if any(a in ("--help", "-h") for a in sys.argv[1:]):
            self._register()
            given = [a for a in sys.argv[1:] if not a.startswith("-")]
            name = self.domain.name
            sys.exit(
                run_cli(lambda: show_help(name, self.verb, self.summary, self.schema, self.groups, given))
            )
        self._register()
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # hydra then raises instead of printing and exiting 1

        failed: list[BaseException] = []

        def run(composed: DictConfig) -> None:
            folder = Path(HydraConfig.get().runtime.output_dir)
            try:
                with errors_from_main_only():
                    config = self._typed(composed)
                _announce_sweep()
                result = self._work(config, folder)
                if self.show and rank() == 0:
                    resolve(self.show)(result)
            except (Exception, KeyboardInterrupt) as error:
                failed.append(error)  # raised below: hydra would print a line of its own about it
            if rank() == 0 and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()  # hydra made it; what could not begin, or writes elsewhere, leaves nothing

        def start() -> None:
            found = f"pkg://{self.domain.name}.conf"
            with errors_from_main_only():
                self._allow_processes(any(a.lstrip("+").startswith("hydra.run.dir=") for a in sys.argv[1:]))
                hydra_main(version_base="1.3", config_path=found, config_name=self.verb)(run)()
            if failed:
                raise failed[0]

        sys.exit(run_cli(start))

    def _work(self, config: Any, folder: Path) -> Any:
        path = getattr(getattr(config, "data", None), "path", "")
        if isinstance(path, str) and path and not (folder / "record.json").is_file():
            resolve_path(path)  # told within a second: what follows imports torch
        work = resolve(self.work) if isinstance(self.work, str) else self.work
        return work(config, folder, self.domain)

    def _allow_processes(self, folder_named: bool) -> None:
        if self.verb != "train":
            require_single_process(self.verb)
        require_common_folder(folder_named)

    def _typed(self, composed: DictConfig) -> Any:
        # The root is merged from several files and so has lost its type; merging it once more checks the keys.
        own = OmegaConf.masked_copy(composed, [str(k) for k in composed if k not in ("hydra", "defaults")])
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(self.schema), own))

    def _register(self) -> None:
        for room in ROOMS:
            importlib.import_module(f"core.{room}.config")
        for module in self.domain.modules:
            importlib.import_module(module)
        store = ConfigStore.instance()
        store.store(name=f"core_{self.verb}", node=self.schema, provider="core")
        store.store(name="core_output", node=_output(self.domain), package="_global_", provider="core")


def resolve(path: str) -> Callable[..., Any]:
    """Return the function at a path ``package.module:function``, importing its module."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@contextmanager
def _deprecations_on_stderr() -> Iterator[None]:
    """Print DeprecationWarnings of what the user typed, which Python hides outside of ``__main__``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        yield
    if rank() == 0:
        for warning in caught:
            print(f"warning: {warning.message}", file=sys.stderr)


def _announce_sweep() -> None:
    """Set in the environment which run of a sweep this is, so that a forecast can cover all that are left."""
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        os.environ.pop(SWEEP, None)
        return
    asked = [a for a in sys.argv[1:] if not a.startswith("-")]
    asked += [f"{key}={value}" for key, value in (settings.sweeper.get("params") or {}).items()]
    runs = 1
    for override in OverridesParser.create().parse_overrides(asked):
        if override.is_sweep_override():
            runs *= sum(1 for _ in override.sweep_iterator())
    os.environ[SWEEP] = f"{settings.job.num + 1}/{max(runs, settings.job.num + 1)}"


def _output(domain: Domain) -> dict[str, Any]:
    stamp = "${now:%Y-%m-%d_%H-%M-%S}"
    return {
        "hydra": {
            "run": {"dir": f"runs/{domain.name}/{stamp}"},
            "sweep": {"dir": f"runs/{domain.name}/sweep_{stamp}", "subdir": "${hydra.job.num}"},
            "output_subdir": None,
            "job": {"chdir": False, "name": domain.name},
        }
    }
