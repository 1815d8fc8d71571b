"""``data=slurp``: utterances to an assistant at home with 59 intents (Bastianelli et al. 2020), text side."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, field, register, split_fractions

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset


MIN_SLOT_COUNT = 5
"""Slots in fewer development utterances are dropped."""


@register("data", "slurp", builds="smarthome.sources.slurp:read")
class Slurp(DataConfig):
    """SLURP: training and validation on the development utterances, the published test set; 59 intents."""

    path: str = field("smarthome/slurp", "the folder of devel and test, here or under PLINTH_DATA")
    validation_fraction: float = field(0.15, "fraction of the development utterances in the validation set")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        split_fractions("data", self.validation_fraction)


def read(config: Slurp, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set; an intent is scenario and action."""
    import pandas as pd

    from core.data.readers.files import resolve_path
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    folder = resolve_path(config.path)
    files: dict[str, str] = {}
    frames = [_frame(folder, name, part, files) for name, part in (("devel", "train"), ("test", "test"))]
    frame = pd.concat(frames, ignore_index=True)
    key = frame["text"].str.lower().str.split().str.join(" ")
    copied = (frame["part"] == "train") & key.isin(set(key[frame["part"] == "test"]))
    known = set(frame["intent"][(frame["part"] == "train") & ~copied])
    unseen = ~frame["intent"].isin(known)
    slot_counts = Counter(
        slot[2]
        for cell, part in zip(frame["slots"], frame["part"], strict=True)
        if part == "train"
        for slot in json.loads(cell)
    )
    slots_known = {name for name, count in slot_counts.items() if count >= MIN_SLOT_COUNT}
    dropped = 0
    cells = []
    for cell in frame["slots"]:
        kept = [s for s in json.loads(cell) if s[2] in slots_known]
        dropped += len(json.loads(cell)) - len(kept)
        cells.append(json.dumps(kept))
    frame["slots"] = cells
    frame = frame[~copied & ~unseen].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(target=("intent",), text=("text",), slots="slots"),
        name="SLURP utterances",
        split=SplitPlan(
            by="column", column="part", validation_fraction=config.validation_fraction, seed=seed
        ),
        unit_name="utterance",
        files=files,
        notes=[
            f"{int(copied.sum())} development utterances that are also in the test set were dropped.",
            f"{int(unseen.sum())} test utterances of intents without training utterances were dropped: over all "
            "test utterances metrics are lower by that fraction.",
            f"{dropped} annotations of slots in fewer than {MIN_SLOT_COUNT} development utterances were dropped.",
        ],
    )


def _frame(folder: Path, name: str, part: str, files: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    from core.data.readers.files import sha256
    from core.data.readers.table import read_table
    from core.data.roles import require_columns

    path = next((folder / f for f in (f"{name}.jsonl", f"{name}.jsonl.gz") if (folder / f).is_file()), None)
    if path is None:
        raise ValueError(f"data.path={folder}: no {name}.jsonl or {name}.jsonl.gz in this folder")
    table = read_table(path).frame
    require_columns(table, {"data.path": ["sentence", "scenario", "action", "entities", "tokens"]}, path)
    files[path.name] = sha256(path)
    rows = zip(table["tokens"], table["entities"], table["scenario"], table["action"], strict=True)
    utterances = [
        (*slots_from_tokens(list(tokens), entities), f"{scenario}_{action}", part)
        for tokens, entities, scenario, action in rows
    ]
    return pd.DataFrame(utterances, columns=["text", "slots", "intent", "part"])


def slots_from_tokens(tokens: list[str], entities: Any) -> tuple[str, str]:
    """Return the tokens joined by spaces, and the entities as slots in characters, as JSON."""
    starts = [sum(len(t) + 1 for t in tokens[:n]) for n in range(len(tokens))]
    slots: list[list[Any]] = []
    for entity in entities:
        span = sorted(int(n) for n in entity["span"])
        start, end = starts[span[0]], starts[span[-1]] + len(tokens[span[-1]])
        if all(end <= a or start >= b for a, b, _ in slots):
            slots.append([start, end, str(entity["type"])])
    return " ".join(tokens), json.dumps(sorted(slots))
