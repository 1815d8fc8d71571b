"""``predict`` and ``evaluate`` for a saved run."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.atomic_io import write_atomically
from core.config import DataConfig, build, derive_seed, from_dict
from core.data.config import TableData
from core.data.contract import DataContract
from core.data.encoded_split import names_of_units
from core.data.masks import to_png
from core.data.readers.files import resolve_path, sha256
from core.data.readers.settings import ReaderSettings
from core.data.readers.table import read_table
from core.data.sources.image_folder import IMAGE_ENDINGS
from core.data.sources.table import read_by_contract
from core.data.types import Dataset
from core.domain import Domain
from core.evaluation.conformal import score_pixels
from core.evaluation.evaluate import evaluate_again
from core.evaluation.types import Evaluation
from core.evaluation.uncertainty import measure, terms_of
from core.oversight.decision_rule import count_decisions, joined_texts
from core.oversight.section import DecisionCounts, UncertaintyMeasures
from core.report.console import print_lines, print_metrics
from core.report.predictions import write_predictions
from core.report.record import plain
from core.report.sentences import uncertainty
from core.report.sentences.notices import SIMULATED_MODEL
from core.report.sentences.oversight import counts
from core.serving.load import LoadedRun, load
from core.targets.types import Predictions

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


def predict(
    run: str,
    source: str,
    output: str,
    device: str,
    batch_size: int,
    reader: ReaderSettings | None = None,
) -> pd.DataFrame:
    """Read raw rows, predict them with a saved run and write them with their predictions.

    ``reader``: settings of this file, where they are not those of the run's own files.

    Raises ValueError with the file and what to do for an input that can't be read or an output that can't be
    written.
    """
    target = Path(output)
    if target.suffix not in FORMATS:
        raise ValueError(f"output={output}: its ending must be one of {', '.join(FORMATS)}")
    if not target.parent.is_dir():
        raise ValueError(f"output={output}: there is no folder {target.parent}; create it first")
    loaded = load(run, device)
    if reader is not None:
        loaded.contract = loaded.contract.asked(reader)
    frame = raw_rows(source, loaded.roles.image, loaded.contract)
    predicted = loaded.predict(frame, batch_size)
    if loaded.target.dense:
        predicted["prediction"] = _write_masks(predicted["prediction"], target)
    masks = loaded.roles.target if loaded.roles.mask_classes else ()
    given = (loaded.roles.image, loaded.roles.signal, *masks)
    bulky = [c for c in given if c in frame and not _is_text(frame[c])]
    compared, unlike = loaded.unlike_training(frame)
    predicted["unlike_training"] = unlike
    table = frame.drop(columns=bulky).join(predicted, lsuffix="_given")
    _write_table(table, target)
    if loaded.run.record.data.simulated:
        log.warning(SIMULATED_MODEL)
    print_lines(f"{len(table)} predictions: {target.resolve()}")
    different = [one.sentence() for one in compared if one.differs]
    if different:
        rows = sum(map(bool, unlike))
        print_lines(
            f"{rows} of {len(table)} rows have values that training had not (column unlike_training):"
        )
        print_lines("\n".join(f"  {sentence}" for sentence in different))
    if "decision" in predicted:
        print_lines(counts(count_decisions(predicted["decision"].to_numpy(np.str_))))
    else:
        log.warning("the run has no rules of oversight: nobody checked who decides")
    return table


def _write_masks(masks: pd.Series[Any], output: Path) -> list[str]:
    """Write masks as PNG files of class numbers into a folder beside the output; return their paths."""
    folder = output.with_name(f"{output.stem}_masks")
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number:06d}.png" for number in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        write_atomically(file, to_png(mask))
    print_lines(f"masks: {folder.resolve()}")
    return [str(file) for file in files]


def raw_rows(source: str, image: str | None, contract: DataContract) -> pd.DataFrame:
    """Return a table, a folder of images or one image file as a frame; column ``image`` holds the images' paths.

    Cells of a table are as they are written, read by the settings of the run.
    """
    import pandas as pd

    path = resolve_path(source, "input")
    if path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS:
        if image is None:
            raise ValueError(
                f"input={source}: this run reads a table, not images; give a .csv, .jsonl or .parquet"
            )
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        files = [f for f in inside if f.suffix.lower() in IMAGE_ENDINGS and f.is_file()]
        if not files:
            raise ValueError(f"input={source}: no images below this folder ({', '.join(IMAGE_ENDINGS)})")
        root = path if path.is_dir() else path.parent
        named = [str(f.relative_to(root)) for f in files]
        return pd.DataFrame({"file": named, image: [str(f) for f in files]}, index=range(1, len(files) + 1))
    return read_table(path, reader=contract.reader, typed=False, verbatim=contract.verbatim()).frame


def evaluate(
    run: str, data: DataConfig, folder: Path, domain: Domain, device: str, batch_size: int
) -> Evaluation:
    """Evaluate a saved run on new labeled rows as it would decide them: nothing is fitted on them.

    Writes ``evaluation.json`` and ``predictions.parquet`` into the folder. Raises ValueError for data that the
    run was trained on, for missing columns, and for rows without a known label.
    """
    loaded = load(run, device)
    record = loaded.run.record
    if record.run.domain != domain.name:
        raise ValueError(
            f"run={run}: a run of {record.run.domain}; use python -m {record.run.domain}.evaluate"
        )
    if isinstance(data, TableData) and not data.target:
        data.target = list(loaded.roles.target)
    task = from_dict("task", loaded.config["task"])
    seed = derive_seed(loaded.config["seed"], "evaluate")
    if isinstance(data, TableData):
        loaded.contract = loaded.contract.asked(data.reader())
        dataset = read_by_contract(data, loaded.contract, seed)
    else:
        dataset = build(data, task, seed)
        dataset.frame = loaded.contract.apply(dataset.frame)
    _refuse_training_files(dataset, loaded)
    evaluation = evaluate_again(
        predict_labeled(loaded, dataset.frame, batch_size),
        loaded.target,
        from_dict("evaluation", loaded.config["evaluation"]),
        record.calibration,
        record.thresholds,
        task.metrics(loaded.target.kind),
        derive_seed(loaded.config["seed"], "evaluation"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(evaluation.parts, folder / "predictions.parquet")
    counted, measured = measure_oversight(loaded, dataset.frame, evaluation)
    content = {
        "run": {"path": Path(run).resolve(), "record": sha256(Path(run) / "record.json")},
        "evaluated": datetime.now(UTC),
        "data": {
            "source": dataset.name,
            "simulated": dataset.simulated,
            "rows": len(dataset.frame),
            "files": dataset.files,
            "notes": dataset.notes,
        },
        **evaluation.sections(),
        **({} if counted is None else {"oversight": {"counts": counted}}),
        **({} if measured is None else {"uncertainty": measured}),
    }
    write_atomically(folder / "evaluation.json", json.dumps(plain(content), indent=1) + "\n")
    if dataset.simulated or record.data.simulated:
        log.warning(SIMULATED_MODEL)
    print_metrics(evaluation.metrics)
    if measured is not None:
        print_lines(uncertainty.coverage(measured, loaded.target.item))
    if counted is not None:
        print_lines(counts(counted))
    print_lines(f"evaluation: {folder.resolve()}")
    return evaluation


def measure_oversight(
    loaded: LoadedRun, frame: pd.DataFrame, evaluation: Evaluation
) -> tuple[DecisionCounts | None, UncertaintyMeasures | None]:
    """Return who decides new rows, and what the run's sets and its deferral do on them: nothing is chosen anew."""
    part, rule = evaluation.parts["test"], loaded.decision_rule
    if rule is None:
        return None, None
    texts = joined_texts(frame, loaded.roles.text)
    counted = rule.decide(part.scores, part.labels, part.groups, texts, part.sure).counts()
    section = loaded.run.record.uncertainty
    if section is None:
        return counted, None
    seed = derive_seed(loaded.config["seed"], "oversight", "evaluate")
    settings = from_dict("evaluation", loaded.config["evaluation"])
    pixels = None
    if loaded.target.dense:
        rows = loaded.config["oversight"]["mask_images"]
        pixels = score_pixels(loaded.scorer(), frame, part, rows, seed, "new")
    return counted, measure(rule, part, terms_of(section), settings, seed, pixels)


def predict_labeled(loaded: LoadedRun, frame: pd.DataFrame, batch_size: int) -> Predictions:
    """Return the network's own scores of labeled rows, with their ground truth, groups and units."""
    missing = [column for column in (*loaded.roles.target, *loaded.roles.inputs()) if column not in frame]
    if missing:
        raise ValueError(
            f"column {', '.join(missing)}: not in the table; the run reads {', '.join(loaded.roles.inputs())}, and "
            f"the ground truth from {', '.join(loaded.roles.target)} (data.target)"
        )
    target, frame = loaded.target, loaded.contract.apply(frame)
    truth = target.truth(target.encode(frame))
    decoded = loaded.scorer(batch_size).decoded(frame)
    unit = loaded.roles.unit
    rows, units = np.arange(len(frame), dtype=np.int64), None
    if unit is not None and unit in frame:
        units = names_of_units(frame[unit], rows)
    return target.predictions(
        decoded.scores, decoded.labels, truth, loaded.groups.names(frame), units, rows, decoded.sure
    )


def _refuse_training_files(dataset: Dataset, loaded: LoadedRun) -> None:
    known = set(loaded.run.record.data.files.values())
    shared = sorted(name for name, digest in dataset.files.items() if digest in known)
    if shared:
        raise ValueError(
            f"{', '.join(shared)}: the run was trained on this file, so its metrics there would be too good; "
            "those of its held-out rows are in record.json"
        )


def _is_text(column: pd.Series[Any]) -> bool:
    return all(isinstance(value, str) for value in column)


def _write_table(table: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
