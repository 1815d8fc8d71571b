"""``predict`` and ``evaluate`` for a saved run."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import DataConfig, build, derive_seed, from_dict
from core.data.config import TableData
from core.data.readers.files import sha256
from core.data.masks import to_png
from core.data.encoded_split import names_of_units
from core.data.sources.image_folder import IMAGE_ENDINGS
from core.data.readers.files import resolve_path
from core.data.readers.table import read_table
from core.data.types import Dataset
from core.domain import Domain
from core.evaluation.conformal import score_pixels
from core.evaluation.evaluate import evaluate_again
from core.evaluation.types import Evaluation
from core.evaluation.uncertainty import measure, terms_of
from core.oversight.decision_rule import count_decisions, joined_texts
from core.oversight.section import UncertaintySection
from core.report.console import print_metrics
from core.report.record import plain
from core.report.sentences.oversight import counts
from core.report.predictions import write_predictions
from core.serving.load import Loaded, load
from core.targets.segmentation import SegmentationTarget
from core.targets.types import Predictions, slots_of
from core.atomic_io import write_atomically

if TYPE_CHECKING:
    import pandas as pd

WRITERS = (".csv", ".tsv", ".jsonl", ".parquet")
SIMULATED = "the model was trained on simulated data: what it says means nothing for real cases"


def predict(run: str, source: str, output: str, device: str, batch_size: int) -> pd.DataFrame:
    """Read raw rows, predict them with a saved run and write them with their predictions beside them.

    Raises ValueError naming the file and what to do for an input that can't be read or an output that can't be
    written.
    """
    target = Path(output)
    if target.suffix not in WRITERS:
        raise ValueError(f"output={output}: its ending must be one of {', '.join(WRITERS)}")
    if not target.parent.is_dir():
        raise ValueError(f"output={output}: there is no folder {target.parent}; make it first")
    loaded = load(run, device)
    frame = raw_rows(source, loaded.roles.image)
    predicted = loaded.predict(frame, batch_size)
    if isinstance(loaded.target, SegmentationTarget):
        predicted["prediction"] = _written_masks(predicted["prediction"], target)
    pictures = loaded.roles.target if loaded.roles.mask_classes else ()
    given = (loaded.roles.image, loaded.roles.signal, *pictures)
    bulky = [c for c in given if c in frame and not _is_text(frame[c])]
    table = frame.drop(columns=bulky).join(predicted, lsuffix="_given")
    _write_table(table, target)
    if loaded.run.record.data.simulated:
        print(f"note: {SIMULATED}", file=sys.stderr)
    print(f"{len(table)} predictions: {target.resolve()}")
    if "decision" in predicted:
        print(counts(count_decisions(predicted["decision"].to_numpy(np.str_))))
    else:
        print(
            "note: the run is older than the rules of oversight: nobody checked who decides", file=sys.stderr
        )
    return table


def _written_masks(masks: pd.Series[Any], output: Path) -> list[str]:
    """Write masks as PNG files of class numbers into a folder beside the output, named by their place in it."""
    folder = output.with_name(f"{output.stem}_masks")
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number:06d}.png" for number in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        write_atomically(file, to_png(mask))
    print(f"masks: {folder.resolve()}")
    return [str(file) for file in files]


def raw_rows(source: str, image: str | None) -> pd.DataFrame:
    """Read a table, a folder of images or one image file into a frame; paths of images stand in column ``image``."""
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
    return read_table(path).frame


def evaluate(
    run: str, data: DataConfig, folder: Path, domain: Domain, device: str, batch_size: int
) -> Evaluation:
    """Judge a saved run on new labelled rows as it would decide them: nothing is fitted on them.

    Writes ``evaluation.json`` and ``predictions.parquet`` into the folder. Raises ValueError for data that the
    run was trained on, for missing columns, and for rows without a known truth.
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
    dataset = build(data, task, derive_seed(loaded.config["seed"], "evaluate"))
    _refuse_training_files(dataset, loaded)
    predictions = judged_rows(loaded, dataset.frame, batch_size)
    evaluation = evaluate_again(
        predictions,
        loaded.target,
        from_dict("evaluation", loaded.config["evaluation"]),
        record.calibration,
        record.thresholds,
        task.metrics(loaded.target.kind),
        derive_seed(loaded.config["seed"], "evaluation"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(evaluation.parts, folder / "predictions.parquet")
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
        **evaluation.json(),
        **overseen(loaded, dataset.frame, evaluation),
    }
    write_atomically(folder / "evaluation.json", json.dumps(plain(content), indent=1) + "\n")
    if dataset.simulated or record.data.simulated:
        print(f"note: {SIMULATED}")
    print_metrics(evaluation.metrics)
    if content.get("uncertainty"):
        measured = content["uncertainty"]
        print(
            f"Sets with a nominal coverage of {measured.guarantee.nominal:.0%} cover {measured.coverage.value:.1%}"
        )
    if "oversight" in content:
        print(counts(content["oversight"]["counts"]))
    print(f"evaluation: {folder.resolve()}")
    return evaluation


def overseen(loaded: Loaded, frame: pd.DataFrame, evaluation: Evaluation) -> dict[str, Any]:
    """Measure the run's sets and its deferral on new rows, as its record has them: nothing is chosen anew."""
    part, rules = evaluation.parts["test"], loaded.rules
    if rules is None:
        return {}
    decided = rules.decide(
        part.scores, part.labels, part.groups, joined_texts(frame, loaded.roles.text), part.sure
    )
    found: dict[str, Any] = {"oversight": {"counts": decided.counts()}}
    section = loaded.run.record.uncertainty
    if section is None:
        return found
    seed = derive_seed(loaded.config["seed"], "oversight", "evaluate")
    settings = from_dict("evaluation", loaded.config["evaluation"])
    pixels = None
    if part.kind == "mask":
        rows = loaded.config["oversight"]["mask_images"]
        pixels = score_pixels(loaded.scorer(), frame, part, rows, seed, "new")
    return {**found, "uncertainty": measure(rules, part, terms_of(UncertaintySection.model_validate(section)), settings, seed, pixels)}


def judged_rows(loaded: Loaded, frame: pd.DataFrame, batch_size: int) -> Predictions:
    """Predict labelled rows with the network's own scores, their truth, groups and units beside them."""
    lost = [column for column in loaded.roles.target if column not in frame]
    if lost:
        raise ValueError(f"column {', '.join(lost)}: the truth is not in the table; give data.target")
    truth = loaded.target.truth(loaded.target.encode(frame))
    sure = None
    if isinstance(loaded.target, SegmentationTarget):
        found = loaded.masks(frame, min(batch_size, 16))
        raw, labels, sure = found.shares, found.labels, found.sure
    else:
        raw = loaded.raw_scores(frame, batch_size)
        labels = loaded.target.labels(raw)
    unit = loaded.roles.unit
    rows, units = np.arange(len(frame), dtype=np.int64), None
    if unit is not None and unit in frame:
        units = names_of_units(frame[unit], rows)
    return Predictions(
        raw,
        labels,
        truth,
        loaded.target.classes,
        loaded.target.kind,
        loaded.groups.names(frame),
        units,
        rows,
        slots_of(loaded.target),
        sure,
    )


def _refuse_training_files(dataset: Dataset, loaded: Loaded) -> None:
    known = set(loaded.run.record.data.files.values())
    shared = sorted(name for name, digest in dataset.files.items() if digest in known)
    if shared:
        raise ValueError(
            f"{', '.join(shared)}: the run was trained on this file, so judging it there would flatter it; "
            "its held-out figures are in record.json"
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
