"""The verbs that every domain shares: train, evaluate, predict, serve, card, compare, each applied to a Domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from core.cli.application import Application
from core.config import GROUPS, DataConfig, RunConfig, field
from core.data.readers.settings import ReaderSettings
from core.domain import Domain
from core.serving.config import ServeConfig


@dataclass
class EvaluateConfig:
    """Evaluate a saved run on new labeled data."""

    defaults: list[Any] = dataclasses.field(default_factory=lambda: ["_self_", {"data": "table"}])
    run: str = field(MISSING, "folder of a finished run")
    data: DataConfig = MISSING
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")
    batch_size: int = field(256, "rows of one forward pass")


@dataclass
class ReaderKeys:
    """How this one file is written, where it is not as the run's own files were."""

    delimiter: str = field("auto", "delimiter, if it is not the run's")
    quote: str = field('"', "character that quotes cells, or none")
    encoding: str = field("auto", "text encoding, if it is not the run's")
    decimal: str = field("auto", "decimal mark, if it is not the run's: '.' or ','")
    thousands: str = field("auto", "mark of thousands, if it is not the run's, or none")
    missing: Any = field(None, "values that mean missing, instead of the run's")  # noqa: RUF009 - makes a field
    skip_rows: int = field(0, "lines before the header")
    comment: str = field("", "lines that begin with it are left out")
    header: str = field("first", "first, or none: columns are column_1, column_2, ...")
    date_order: str = field("auto", "order of dates, if it is not the run's: dmy, mdy or ymd")


@dataclass
class PredictConfig:
    """Predict raw rows, texts or images with a saved run."""

    run: str = field(MISSING, "folder of a finished run")
    input: str = field(MISSING, "table (CSV, TSV, JSONL, Parquet; gz, xz, zst), image folder or image file")
    output: str = field("predictions.csv", "table to write: .csv, .tsv, .jsonl or .parquet")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")
    batch_size: int = field(256, "rows of one forward pass")
    reader: ReaderKeys = dataclasses.field(default_factory=ReaderKeys)


@dataclass
class CardConfig:
    """Write report.html, CARD.md and evidence/ of a finished run again, from its record, or check them."""

    run: str = field(MISSING, "folder of a finished run")
    overwrite: bool = field(False, "also documents that somebody edited since they were written")
    check: bool = field(False, "write nothing: compare each value of CARD.md and evidence/ with the record")


@dataclass
class CompareConfig:
    """Compare finished runs of one task: utility, privacy, energy, fairness."""

    runs: list[str] = field(MISSING, "folders of finished runs: [a,b,c]")  # noqa: RUF009 - makes a field
    output: str = field("comparison", "folder for comparison.html and comparison.csv")


def train(domain: Domain) -> Application:
    """Return the domain's ``train``: data in, one run folder out."""
    summary = f"Train and evaluate a model: {domain.title}."
    return Application(
        domain,
        "train",
        summary,
        RunConfig,
        "core.run.pipeline:train",
        tuple(GROUPS),
        show="core.report.console:print_run",
    )


def evaluate(domain: Domain) -> Application:
    """Return the domain's ``evaluate``: a saved run on new labeled data."""

    def work(config: EvaluateConfig, folder: Path, domain: Domain) -> Any:
        from core.serving.verbs import evaluate as run

        return run(config.run, config.data, folder, domain, config.device, config.batch_size)

    return Application(
        domain, "evaluate", "Evaluate a saved run on new labeled data.", EvaluateConfig, work, ("data",)
    )


def predict(domain: Domain) -> Application:
    """Return the domain's ``predict``: raw rows or images in, a table out."""

    def work(config: PredictConfig, folder: Path, domain: Domain) -> Any:
        from core.serving.verbs import predict as run

        keys = dataclasses.asdict(config.reader)
        missing = keys.pop("missing")
        named = (
            None if missing is None else tuple(map(str, missing if isinstance(missing, list) else [missing]))
        )
        reader = ReaderSettings(**keys, missing=named)
        return run(config.run, config.input, config.output, config.device, config.batch_size, reader)

    return Application(
        domain, "predict", "Predict raw rows, texts or images with a saved run.", PredictConfig, work, ()
    )


def card(domain: Domain) -> Application:
    """Return the domain's ``card``: the documents of a finished run, from its record, or a check of them."""

    def work(config: CardConfig, folder: Path, domain: Domain) -> Any:
        from core.report.documents import check, rewrite

        run = Path(config.run)
        if config.check:
            print(f"{check(run)} values and texts of the documents are those of {run / 'record.json'}")
            return []
        written = rewrite(run, config.overwrite)
        print("\n".join(str(run / name) for name in written))
        return written

    summary = (
        "Write report.html, CARD.md and evidence/ of a finished run again, from its record, or check them."
    )
    return Application(domain, "card", summary, CardConfig, work, ())


def compare(domain: Domain) -> Application:
    """Return the domain's ``compare``: a table and plots of several runs of one task."""

    def work(config: CompareConfig, folder: Path, domain: Domain) -> Any:
        from core.report.compare import compare as run

        points = run(config.runs, Path(config.output))
        for point in points:
            print(f"{'frontier ' if point.frontier else '         '}{point.name}")
        print(Path(config.output).resolve())
        return points

    summary = "Compare finished runs of one task: how good, how private, how frugal, how fair."
    return Application(domain, "compare", summary, CompareConfig, work, ())


def reporting_commands(domain: Domain) -> Sequence[Application]:
    """Return the verbs that read finished runs only: card, compare."""
    return card(domain), compare(domain)


def serve(domain: Domain) -> Application:
    """Return the domain's ``serve``: a saved run as a service over HTTP."""

    def work(config: ServeConfig, folder: Path, domain: Domain) -> None:
        from core.serving.http import serve as run

        run(config, domain)

    return Application(domain, "serve", "Serve predictions of a saved run over HTTP.", ServeConfig, work, ())


def commands(domain: Domain) -> Sequence[Application]:
    """Return the domain's Python API: train, evaluate, predict, serve."""
    return train(domain), evaluate(domain), predict(domain), serve(domain)
