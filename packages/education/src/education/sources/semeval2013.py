"""``data=semeval2013``: graded short answers of the SemEval-2013 task 7, Beetle and SciEntsBank (Dzikovska et al.)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, config_error, field, register, split_fractions
from core.config.validate import one_of

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

CORPORA = {"beetle": "Beetle", "sciEntsBank": "SciEntsBank"}
TESTS = {
    "unseen_answers": "test-unseen-answers",
    "unseen_questions": "test-unseen-questions",
    "unseen_domains": "test-unseen-domains",
}
COLUMNS = ("corpus", "split", "question_id", "module", "question", "reference_answers", "answer", "label")


@register("data", "semeval2013", builds="education.sources.semeval2013:read")
class SemEval2013(DataConfig):
    """A pupil's answer is correct, contradictory or incorrect; the official split of one corpus."""

    path: str = field(
        "education/semeval2013_sra/sra_3way.jsonl.gz",
        "JSON lines, one answer each; relative paths are looked up here and under PLINTH_DATA",
    )
    corpus: str = field("beetle", "beetle or sciEntsBank")
    test_set: str = field(
        "unseen_answers",
        "official test set: unseen_answers, unseen_questions or unseen_domains (sciEntsBank)",
    )
    ways: int = field(3, "number of classes, 3: correct, contradictory, incorrect; 2: correct or not")
    validation_fraction: float = field(
        0.15, "fraction of the training answers in the validation set, held out like the test set"
    )

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        one_of("data.corpus", self.corpus, CORPORA)
        one_of("data.test_set", self.test_set, TESTS)
        one_of("data.ways", self.ways, (2, 3))
        split_fractions("data", self.validation_fraction)


def read(config: SemEval2013, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row an answer.

    The validation set mirrors the test set: single answers where that has the training set's questions, whole
    questions where its questions are new, whole modules where its domains are: else choices made on validation would
    not transfer to the test.
    """
    from core.data.readers.files import resolve_path
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    raw, files = _lines(path)
    require_columns(raw, {"data.path": COLUMNS}, path)
    raw = raw[raw["corpus"] == config.corpus]
    if not (raw["split"] == TESTS[config.test_set]).any():
        raise config_error("data.test_set", config.test_set, f"{CORPORA[config.corpus]} has no such test set")
    frame, repeated = _answers(raw, config)
    _assign_validation(frame, config, seed)
    notes = [
        f"{repeated} training answers that repeat a test answer to the same question word for word were dropped."
    ]
    by = {
        "unseen_answers": "answers",
        "unseen_questions": "whole questions",
        "unseen_domains": "whole modules",
    }
    notes.append(f"Validation holds out {by[config.test_set]} of the training set, as the test set does.")
    questions_known = config.test_set == "unseen_answers"
    return Dataset(
        frame,
        ColumnRoles(
            target=("label",),
            text=("answer",),
            references=("references",),
            prompt="question",
            unit=None if questions_known else "question_id",
        ),
        name=f"SemEval-2013 {CORPORA[config.corpus]}, {config.test_set.replace('_', ' ')}, {config.ways}-way",
        split=SplitPlan(by="column", column="part", seed=seed),
        unit_name="answer" if questions_known else "question",
        files=files,
        notes=notes,
    )


def _lines(path: Any) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the lines and the file's hash; a reference is an object with text and category, or a text."""
    import json

    import pandas as pd

    from core.data.readers.files import decode, decompress, sha256

    text, _ = decode(path, decompress(path)[1], "auto")
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is not an object with named fields")
        rows.append(row)
    if not rows:
        raise ValueError(f"{path}: the file has no lines")
    frame = pd.DataFrame(rows)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame, {path.name: sha256(path)}


def _answers(raw: pd.DataFrame, config: SemEval2013) -> tuple[pd.DataFrame, int]:
    frame = raw[["question_id", "module", "question", "answer", "label"]].copy()
    frame["references"] = raw["reference_answers"].map(
        lambda cell: [r["text"] if isinstance(r, dict) else str(r) for r in cell]
    )
    if config.ways == 2:
        frame["label"] = frame["label"].where(frame["label"] == "correct", "incorrect")
    part = raw["split"].map({"train": "train", TESTS[config.test_set]: "test"}).fillna("none")
    key = frame["question_id"] + "\x1f" + frame["answer"].str.lower().str.split().str.join(" ")
    repeated = (part == "train") & key.isin(set(key[part == "test"]))
    frame["part"] = part
    return frame[(part != "none") & ~repeated].copy(), int(repeated.sum())


def _assign_validation(frame: pd.DataFrame, config: SemEval2013, seed: int) -> None:
    """Assign a fraction of the training rows to validation, by what is new in the test set."""
    import numpy as np

    from core.data.splits import stratify

    train = np.flatnonzero(frame["part"] == "train")
    rows = frame.iloc[train]
    answers = rows["question_id"] + "\x1f" + rows["answer"].str.lower().str.split().str.join(" ")
    units = {
        "unseen_answers": answers,
        "unseen_questions": rows["question_id"],
        "unseen_domains": rows["module"],
    }
    labels = rows["label"].to_numpy()
    counts = np.stack([labels == name for name in sorted(set(labels))], axis=1).astype(np.float64)
    held = (
        stratify(units[config.test_set].to_numpy(object), counts, (config.validation_fraction, 0.0), seed)
        == 1
    )
    part = frame["part"].to_numpy(object, copy=True)
    part[train[held]] = "validation"
    frame["part"] = part
