"""The applications every domain shares: train, evaluate, predict, serve. Each is a verb applied to a Domain.

``python -m healthcare.train task=records`` and ``healthcare.train("task=records")`` run the same code.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_module
from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf

from core.config import GROUPS, RunConfig, field
from core.domain import Domain
from core.guard import guarded
from core.help import show
from core.serving.config import ServeConfig
from core.training.launch import (
    SWEEP,
    rank,
    require_alone,
    require_common_folder,
    said_once,
)

if TYPE_CHECKING:
    from core.report.run import Run

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


@dataclass
class EvaluateConfig:
    """Evaluate a saved run on new labelled data."""

    defaults: list[Any] = dataclasses.field(default_factory=lambda: [{"data": "table"}])
    run: str = field(MISSING, "folder of a finished run")
    data: Any = MISSING
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")
    batch_size: int = field(256, "rows of one forward pass")


@dataclass
class PredictConfig:
    """Predict raw rows, texts or images with a saved run."""

    run: str = field(MISSING, "folder of a finished run")
    input: str = field(MISSING, "table (CSV, TSV, JSONL, Parquet; gz, xz, zst), image folder or image file")
    output: str = field("predictions.csv", "table to write: .csv, .tsv, .jsonl or .parquet")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")
    batch_size: int = field(256, "rows of one forward pass")


@dataclass
class CardConfig:
    """Write report.html, CARD.md and evidence/ of a finished run again, from its record, or check them."""

    run: str = field(MISSING, "folder of a finished run")
    overwrite: bool = field(False, "also documents that somebody edited since they were written")
    check: bool = field(False, "write nothing: compare each figure of CARD.md and evidence/ with the record")


@dataclass
class CompareConfig:
    """Set finished runs of one task beside each other: utility, privacy, energy, fairness."""

    runs: list[str] = field(MISSING, "folders of finished runs: [a,b,c]")  # noqa: RUF009 - makes a field
    output: str = field("comparison", "folder for comparison.html and comparison.csv")


@dataclass(frozen=True)
class Application:
    """One verb of one domain: callable from Python with overrides, or from the shell through ``main``."""

    domain: Domain
    verb: str
    summary: str
    schema: type
    work: Callable[[Any, Path, Domain], Any]
    groups: tuple[str, ...]

    def __call__(self, *overrides: str, folder: str | Path | None = None) -> Any:
        """Do what the command does with the same overrides, and return the Run (or the table).

        ``folder`` is where the run is kept; by default a new one under ``runs/``. Raises ValueError where
        the command would print a message and exit with status 2.
        """
        with said_once():
            self._allow_processes(folder is not None)
            config = self.configure(*overrides)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        target = Path(folder) if folder is not None else Path("runs", self.domain.name, stamp)
        return self.work(config, target, self.domain)

    def configure(self, *overrides: str) -> Any:
        """Compose the typed configuration that the overrides ask for, raising hydra's errors for wrong ones."""
        self._register()
        with initialize_config_module(f"{self.domain.name}.conf", version_base="1.3"):
            return self._typed(compose(self.verb, overrides=list(overrides)))

    def main(self) -> None:
        """Run as a command: hydra's command line, one message and exit status 2 for a user's mistake."""
        if any(a in ("--help", "-h") for a in sys.argv[1:]):
            self._register()
            given = [a for a in sys.argv[1:] if not a.startswith("-")]
            name = self.domain.name
            sys.exit(guarded(lambda: show(name, self.verb, self.summary, self.schema, self.groups, given)))
        self._register()
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # hydra then raises instead of printing and exiting 1

        failed: list[BaseException] = []

        def run(composed: DictConfig) -> None:
            folder = Path(HydraConfig.get().runtime.output_dir)
            try:
                with said_once():
                    config = self._typed(composed)
                _tell_sweep()
                self.work(config, folder, self.domain)
            except (Exception, KeyboardInterrupt) as error:
                failed.append(error)  # raised below: hydra would print a line of its own about it
            if rank() == 0 and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()  # hydra made it; what could not begin, or writes elsewhere, leaves nothing

        def start() -> None:
            found = f"pkg://{self.domain.name}.conf"
            with said_once():
                self._allow_processes(any(a.lstrip("+").startswith("hydra.run.dir=") for a in sys.argv[1:]))
                hydra_main(version_base="1.3", config_path=found, config_name=self.verb)(run)()
            if failed:
                raise failed[0]

        sys.exit(guarded(start))

    def _allow_processes(self, folder_named: bool) -> None:
        if self.verb != "train":
            require_alone(self.verb)
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


def train(domain: Domain) -> Application:
    """Make the domain's ``train``: data in, one run folder out."""

    def work(config: RunConfig, folder: Path, domain: Domain) -> Run:
        from core.pipeline import train as run

        return run(config, folder, domain)

    return Application(
        domain, "train", f"Train and judge a model: {domain.title}.", RunConfig, work, tuple(GROUPS)
    )


def evaluate(domain: Domain) -> Application:
    """Make the domain's ``evaluate``: a saved run on new labelled data."""

    def work(config: EvaluateConfig, folder: Path, domain: Domain) -> Any:
        from core.serving.verbs import evaluate as run

        return run(config.run, config.data, folder, domain, config.device, config.batch_size)

    return Application(
        domain, "evaluate", "Evaluate a saved run on new labelled data.", EvaluateConfig, work, ("data",)
    )


def predict(domain: Domain) -> Application:
    """Make the domain's ``predict``: raw rows or images in, a table out."""

    def work(config: PredictConfig, folder: Path, domain: Domain) -> Any:
        from core.serving.verbs import predict as run

        return run(config.run, config.input, config.output, config.device, config.batch_size)

    return Application(
        domain, "predict", "Predict raw rows, texts or images with a saved run.", PredictConfig, work, ()
    )


def card(domain: Domain) -> Application:
    """Make the domain's ``card``: the documents of a finished run, from its record, or a check of them."""

    def work(config: CardConfig, folder: Path, domain: Domain) -> Any:
        from core.report.documents import check, rewrite

        run = Path(config.run)
        if config.check:
            print(f"{check(run)} figures and texts of the documents are those of {run / 'record.json'}")
            return []
        written = rewrite(run, config.overwrite)
        print("\n".join(str(run / name) for name in written))
        return written

    summary = (
        "Write report.html, CARD.md and evidence/ of a finished run again, from its record, or check them."
    )
    return Application(domain, "card", summary, CardConfig, work, ())


def compare(domain: Domain) -> Application:
    """Make the domain's ``compare``: a table and plots of several runs of one task."""

    def work(config: CompareConfig, folder: Path, domain: Domain) -> Any:
        from core.report.compare import compare as run

        points = run(config.runs, Path(config.output))
        for point in points:
            print(f"{'frontier ' if point.frontier else '         '}{point.name}")
        print(Path(config.output).resolve())
        return points

    summary = "Compare finished runs of one task: how good, how private, how frugal, how fair."
    return Application(domain, "compare", summary, CompareConfig, work, ())


def papers(domain: Domain) -> Sequence[Application]:
    """Give the verbs that read finished runs only: card, compare."""
    return card(domain), compare(domain)


def serve(domain: Domain) -> Application:
    """Make the domain's ``serve``: a saved run as a service over HTTP."""

    def work(config: ServeConfig, folder: Path, domain: Domain) -> None:
        from core.serving.http import serve as run

        run(config, domain)

    return Application(domain, "serve", "Answer rows over HTTP with a saved run.", ServeConfig, work, ())


class _CallableModule(ModuleType):
    def __call__(self, *overrides: str, folder: str | Path | None = None) -> Any:
        return self.main.__self__(*overrides, folder=folder)


def callable_module(name: str) -> None:
    """Let ``healthcare.train("task=records")`` work although ``healthcare.train`` is also a module.

    Python binds a submodule over the package's attribute of the same name as soon as anything imports it.
    """
    if name != "__main__":
        sys.modules[name].__class__ = _CallableModule


def _tell_sweep() -> None:
    """Say in the environment which run of a sweep this is, so that a forecast can speak for all that are left."""
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


def verbs(domain: Domain) -> Sequence[Application]:
    """Give the domain's Python API: train, evaluate, predict, serve."""
    return train(domain), evaluate(domain), predict(domain), serve(domain)
