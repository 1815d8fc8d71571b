"""``data=utterances``: your own table of utterances: text, intent, slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, field, register
from core.data.config import as_list, check_split, split_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.data.types import Dataset


@register("data", "utterances", builds="smarthome.sources.utterances:read")
class Utterances(DataConfig):
    """Your own utterances: CSV, TSV, JSONL or Parquet with a text, an intent and slots ([start, end, name] each)."""

    path: str = field("", "the file; relative paths are looked up here and under PLINTH_DATA")
    text: str = field("text", "column of the utterance")
    intent: str = field("intent", "column of the intent")
    slots: str = field(
        "slots", "column of the slots: lists of [start, end, name] in characters, or such JSON"
    )
    sensitive: Any = field([], "columns of groups to compare, such as language or dialect")
    unit: str | None = field(None, "column of the home of an utterance; all of a home are in one set")
    split: str = field("auto", "auto (unit if given, else stratified), column, unit, stratified")
    split_column: str | None = field(None, "column that holds train, validation and test")
    validation_fraction: float = field(0.2, "fraction of the rows in the validation set")
    test_fraction: float = field(0.2, "fraction of the rows in the test set")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        self.sensitive = as_list(self.sensitive)
        check_split(self)


def read(config: Utterances, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set; repeated utterances are kept once, so that none is in two sets."""
    import json

    from core.config import config_error
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.slot_alignment import parse_slots
    from core.data.types import ColumnRoles, Dataset

    if not config.path:
        raise config_error("data.path", config.path, "give the file of utterances")
    path = resolve_path(config.path)
    table = read_table(path)
    required: dict[str, Sequence[str]] = {
        f"data.{key}": [getattr(config, key)] for key in ("text", "intent", "slots")
    }
    required["data.sensitive"] = config.sensitive
    required |= {f"data.{k}": [getattr(config, k)] for k in ("unit", "split_column") if getattr(config, k)}
    require_columns(table.frame, required, path)
    frame = table.frame
    cells = zip(frame.index, frame[config.slots], strict=True)
    frame[config.slots] = [
        json.dumps(parse_slots(cell, f"{path}: column {config.slots!r}, row {row}")) for row, cell in cells
    ]
    notes = list(table.notes)
    if config.unit is None and config.split_column is None:
        before = len(frame)
        frame = frame[~frame[config.text].astype(str).str.lower().duplicated()].reset_index(drop=True)
        if len(frame) < before:
            notes.append(f"{before - len(frame)} repeated utterances were dropped.")
    return Dataset(
        frame,
        ColumnRoles(
            target=(config.intent,),
            text=(config.text,),
            slots=config.slots,
            sensitive=tuple(config.sensitive),
            unit=config.unit,
        ),
        name=path.name,
        split=split_plan(config, seed),
        unit_name="home" if config.unit else "utterance",
        files=table.files,
        notes=notes,
    )
