"""``data=home_assistant``: commands to a home in many languages, and samples of English templates."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, config_error, field, register, split_fractions

if TYPE_CHECKING:
    import numpy as np

    from core.data.types import Dataset
    from smarthome.home import Home

SPOKEN_SLOTS: tuple[str, ...] = (
    "area",
    "name",
    "floor",
    "temperature",
    "position",
    "brightness",
    "volume_level",
    "color",
    "item",
    "message",
)
SPOKEN_SLOTS += (
    "search_query",
    "hours",
    "minutes",
    "seconds",
    "start_hours",
    "start_minutes",
    "start_seconds",
)
"""Slots that occur in a sentence; others (domain, state) are inferred from it."""
MIN_SLOT_COUNT = 20
"""Slots in fewer training sentences are dropped."""


@register("data", "home_assistant", builds="smarthome.sources.home_assistant:read")
class HomeAssistant(DataConfig):
    """Home Assistant's intents: test sentences of 58 languages, split by block, and English templates."""

    path: str = field("smarthome/home_assistant_intents", "the folder, here or under PLINTH_DATA")
    languages: list[str] = field([], "codes of the languages to keep (en, de, ...); empty: all")
    min_count: int = field(100, "languages with fewer sentences are dropped")
    sentences_per_template: int = field(15, "training sentences sampled from each English template; 0: none")
    out_of_scope_sentences: int = field(600, "simulated out-of-scope sentences; 0: none")
    validation_fraction: float = field(0.2, "fraction of each language's blocks in the validation set")
    test_fraction: float = field(0.2, "fraction of each language's blocks in the test set")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        split_fractions("data", self.validation_fraction, self.test_fraction)


def read(config: HomeAssistant, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set.

    A block (one language, one file, one expected result) is one unit: its sentences are paraphrases.
    """
    import numpy as np
    import pandas as pd

    from core.config import derive_seed
    from core.data.readers.files import resolve_path, sha256
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    folder = resolve_path(config.path)
    names = ["tests_all_languages.jsonl", "en_sentence_templates.json", "en_fixtures.json"]
    files = {name: _file(folder, name) for name in names}
    rng = np.random.default_rng(derive_seed(seed, "home assistant"))
    said = [json.loads(line) for line in _text(files[names[0]]).splitlines() if line.strip()]
    counts = Counter(row["lang"] for row in said)
    wanted = set(config.languages) or {lang for lang, n in counts.items() if n >= config.min_count}
    unknown = sorted(wanted - set(counts))
    if unknown:
        raise config_error("data.languages", unknown, f"the languages are {', '.join(sorted(counts))}")
    not_located, rows = 0, []
    for row in said:
        if row["lang"] not in wanted:
            continue
        slots, missing = locate_slots(row["sentence"], row["slots"] or {}, row["context"] or {})
        not_located += missing
        block = f"{row['lang']} {row['file']} {json.dumps(row['slots'], sort_keys=True)}"
        rows.append((row["lang"], block, row["sentence"], row["intent"], slots, "held"))
    part = _assign_splits(rows, config, rng)
    rows = [(lang, block, text, intent, slots, part[block]) for lang, block, text, intent, slots, _ in rows]
    sampled = 0
    if config.sentences_per_template and "en" in wanted:
        sentences = expand_templates(
            json.loads(_text(files[names[1]])),
            json.loads(_text(files[names[2]])),
            config.sentences_per_template,
            rng,
        )
        sampled = len(sentences)
        rows += [
            ("en", f"template {n}", text, intent, slots, "train")
            for n, (text, intent, slots) in enumerate(sentences)
        ]
    rows += _out_of_scope(config, rng)
    frame = pd.DataFrame(rows, columns=["language", "block", "text", "intent", "marked", "part"])
    # The same words in two sets would leak: the copy in the held-out set is kept.
    order = frame["part"].map({"test": 0, "validation": 1, "train": 2})
    frame = frame.iloc[np.argsort(order.to_numpy(), kind="stable")]
    frame = frame[~frame["text"].str.lower().str.split().str.join(" ").duplicated()].reset_index(drop=True)
    marked = Counter(
        name
        for part, slots in zip(frame["part"], frame["marked"], strict=True)
        if part == "train"
        for _, _, name in slots
    )
    kept = {name for name, n in marked.items() if n >= MIN_SLOT_COUNT}
    frame["slots"] = [json.dumps([s for s in slots if s[2] in kept]) for slots in frame["marked"]]
    frame = frame.drop(columns="marked")
    return Dataset(
        frame,
        ColumnRoles(target=("intent",), text=("text",), slots="slots", sensitive=("language",), unit="block"),
        name="Home Assistant intents",
        split=SplitPlan(by="column", column="part"),
        unit_name="block",
        files={path.name: sha256(path) for path in files.values()},
        notes=[
            f"{len(said):,} test sentences; those of {len(wanted)} languages are kept, split by block (language, "
            "file, expected result).",
            f"{sampled:,} sentences sampled from English templates are in the training set only.",
            f"{not_located:,} expected slot values do not occur literally (inflected, inferred) and are not annotated.",
        ],
    )


def locate_slots(
    text: str, slots: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[list[tuple[int, int, str]], int]:
    """Return the spans of expected slot values in a sentence, and how many do not occur literally."""
    found: list[tuple[int, int, str]] = []
    lost = 0
    low = text.lower()
    ordered = sorted(
        ((name, value) for name, value in slots.items() if name in SPOKEN_SLOTS and name not in context),
        key=lambda pair: -len(str(pair[1])),
    )
    for name, value in ordered:
        options = sorted(
            {str(v).strip().lower() for v in (value if isinstance(value, list) else [value])}, key=len
        )
        spans = [
            (m.start(), m.end())
            for register in options[::-1]
            if register
            for m in re.finditer(rf"(?<!\d){re.escape(register)}(?!\d)", low)
            if all(m.end() <= a or m.start() >= b for a, b, _ in found)
        ]
        if spans:
            found.append((*_extend_to_words(text, *spans[0]), name))
        else:
            lost += 1
    return sorted(found), lost


def _extend_to_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span extended to whole words, so that an inflection belongs to its word."""
    from core.data.slot_alignment import word_spans

    touched = [(a, b) for a, b in word_spans(text) if a < end and b > start]
    return (touched[0][0], touched[-1][1]) if touched else (start, end)


def expand_templates(
    templates: Mapping[str, Any], fixtures: Mapping[str, Any], count: int, rng: np.random.Generator
) -> list[tuple[str, str, list[tuple[int, int, str]]]]:
    """Return ``count`` random sentences of every template of an intent: (text, intent, slots)."""
    from smarthome.simulate.phrases import ADJECTIVES, AREAS, ITEMS, LAMPS, LISTS, SWITCHED
    from smarthome.templates import Grammar, sample_sentence

    common = templates["_common.yaml"]
    lamps = [f"{a} {b}" for a in ADJECTIVES for b in (*LAMPS, *SWITCHED)]
    known = [e["name"] for e in fixtures["entities"]]
    words = [f"{a} {b}" for a in LISTS["thing"] for b in LISTS["animal"]]
    names = {
        "name": [*known * 3, *lamps],
        "area": [*[a["name"].lower() for a in fixtures["areas"]] * 2, *AREAS],
        "floor": [f["name"].lower() for f in fixtures["floors"]],
        "timer_name": ["pizza", "pasta", "tea", "eggs", "laundry", "nap"],
        **{
            key: [*ITEMS, *words]
            for key in ("shopping_list_item", "todo_list_item", "search_query", "message")
        },
        "timer_command": ["turn off the lights", "open the blinds"],
    }
    base = Grammar(common["expansion_rules"], common["lists"], names)
    sentences: dict[str, tuple[str, str, list[tuple[int, int, str]]]] = {}
    for file in templates.values():
        for intent, content in file.get("intents", {}).items():
            for block in content["data"]:
                grammar = base.extended(file).extended(block)
                for template in block["sentences"]:
                    for _ in range(count):
                        sampled = sample_sentence(template, grammar, rng)
                        if sampled is not None:
                            text, slots = sampled
                            spoken = [(a, b, s) for a, b, s in slots if s in SPOKEN_SLOTS]
                            sentences.setdefault(text.lower(), (text, intent, spoken))
    return list(sentences.values())


def fixtures_home(content: Mapping[str, Any]) -> Home:
    """Return the published example house as a simulated home."""
    from smarthome.home import INITIAL_STATES, home_from_dict

    floors = {f["id"]: f["name"] for f in content["floors"]}
    areas = {a["id"]: a["name"] for a in content["areas"]}
    devices = []
    for entity in content["entities"]:
        domain = entity["id"].split(".")[0]
        if domain in INITIAL_STATES:
            kind = entity.get("attributes", {}).get("device_class", "")
            devices.append(
                {
                    "name": entity["name"],
                    "area": areas.get(entity.get("area")),
                    "domain": domain,
                    "kind": kind,
                }
            )
    where = {a["name"]: floors.get(a.get("floor")) for a in content["areas"]}
    return home_from_dict({"areas": where, "devices": devices}, "en_fixtures")


def _out_of_scope(config: HomeAssistant, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Return out-of-scope sentences; those of the test set are of other kinds than in training."""
    from smarthome.simulate.phrases import OUT_OF_SCOPE, OUT_OF_SCOPE_PHRASES, sample_phrase

    fractions = {"train": 0.6, "validation": 0.2, "test": 0.2}
    phrases = {
        "train": OUT_OF_SCOPE_PHRASES[:8],
        "validation": OUT_OF_SCOPE_PHRASES[8:10],
        "test": OUT_OF_SCOPE_PHRASES[10:],
    }
    rows: dict[str, tuple[Any, ...]] = {}
    for part, fraction in fractions.items():
        for n in range(int(config.out_of_scope_sentences * fraction)):
            text, _ = sample_phrase(str(rng.choice(phrases[part])), {}, rng)
            rows.setdefault(text, ("en", f"outside {part} {n}", text, OUT_OF_SCOPE, [], part))
    return list(rows.values())


def _assign_splits(
    rows: list[tuple[Any, ...]], config: HomeAssistant, rng: np.random.Generator
) -> dict[str, str]:
    """Return a random split of each language's blocks; an intent's first blocks are in the training set."""
    blocks: dict[str, list[str]] = {}
    intents: dict[str, list[str]] = {}
    for lang, block, _, intent, _, _ in rows:
        blocks.setdefault(lang, [])
        if block not in intents:
            blocks[lang].append(block)
        intents.setdefault(block, []).append(intent)
    part: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for lang in sorted(blocks):
        some = blocks[lang]
        order = [some[int(n)] for n in rng.permutation(len(some))]
        held, tested = int(config.validation_fraction * len(order)), int(config.test_fraction * len(order))
        for n, block in enumerate(order):
            assigned = "test" if n < tested else "validation" if n < tested + held else "train"
            first = intents[block][0]
            part[block] = "train" if seen[first] < 3 else assigned
            seen[first] += part[block] == "train"
    return part


def _file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise ValueError(f"{folder}: no {name} or {name}.gz in this folder")


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
