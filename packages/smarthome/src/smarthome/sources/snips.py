"""``data=snips``: utterances to a voice assistant with seven intents, slots marked (Coucke et al. 2018)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, field, register, split_fractions

if TYPE_CHECKING:
    from core.data.types import Dataset


@register("data", "snips", builds="smarthome.sources.snips:read")
class Snips(DataConfig):
    """SNIPS: 13,784 training and 700 test utterances; the validation set is split from the training ones."""

    path: str = field("smarthome/snips_nlu/snips.jsonl.gz", "the utterances, here or under PLINTH_DATA")
    validation_fraction: float = field(0.1, "fraction of the training utterances in the validation set")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        split_fractions("data", self.validation_fraction)


def read(config: Snips, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set with the published split."""
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": ["split", "intent", "text", "slots"]}, path)
    frame = table.frame[["split", "intent", "text", "slots"]].copy()
    frame["split"] = frame["split"].map({"train": "train", "validate": "test"})
    separated = [
        separate_slots(text, slots) for text, slots in zip(frame["text"], frame["slots"], strict=True)
    ]
    joined = sum(text != new for text, (new, _) in zip(frame["text"], separated, strict=True))
    frame["text"] = [text for text, _ in separated]
    frame["slots"] = [json.dumps(slots) for _, slots in separated]
    key = frame["text"].str.lower().str.split().str.join(" ")
    in_test = set(key[frame["split"] == "test"])
    copied = (frame["split"] == "train") & key.isin(in_test)
    frame = frame[~copied].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(target=("intent",), text=("text",), slots="slots"),
        name="SNIPS utterances",
        split=SplitPlan(
            by="column", column="split", validation_fraction=config.validation_fraction, seed=seed
        ),
        unit_name="utterance",
        files=table.files,
        notes=[
            *table.notes,
            "The published validation file is the test set.",
            f"In {joined} utterances two slots met inside a word; a space was inserted between them.",
            f"{int(copied.sum())} training utterances that are also in the test set were dropped.",
        ],
    )


def separate_slots(text: str, slots: list[list[Any]]) -> tuple[str, list[list[Any]]]:
    """Return text and slots with a space where two slots meet inside a word (``one pmnear``)."""
    ordered = sorted([list(slot) for slot in slots], key=lambda slot: int(slot[0]))
    for n in range(len(ordered) - 1):
        end = int(ordered[n][1])
        if end == ordered[n + 1][0] and text[end - 1 : end + 1].isalnum():
            text = f"{text[:end]} {text[end:]}"
            for later in ordered[n + 1 :]:
                later[0], later[1] = later[0] + 1, later[1] + 1
    return text, ordered
