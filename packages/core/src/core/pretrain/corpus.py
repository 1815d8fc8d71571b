"""Texts for pretraining: read, held apart, turned into streams of tokens, drawn as batches."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from core.config import config_error, derive_seed
from core.data.readers.files import resolve_path
from core.data.roles import require_columns
from core.data.readers.table import read_table
from core.data.types import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from core.pretrain.config import TextRecipe

PAD, CLS, SEP, MASK, ORDINARY = 0, 2, 3, 4, 5
"""Numbers of special tokens, and the first that is none (see ``core.data.encoders.tokens.SPECIAL``)."""
SOURCES = ("novels", "medical", "commands")
_SPACE = re.compile(r"\s+")


@dataclass
class Texts:
    """Texts of one source, and pairs of texts where it has any."""

    whole: list[str]
    units: list[str]
    """What each text belongs to (a novel, a disease, itself): held out together."""
    pairs: list[tuple[str, str]]
    pair_units: list[str]


def clean(text: str) -> str:
    """Put one space where there is any white space."""
    return _SPACE.sub(" ", text).strip()


def read(recipe: TextRecipe, files: dict[str, str]) -> list[Texts]:
    """Read the three sources and note the files' hashes.

    Of utterances, sentences that also stand in a test part are left out: only for that are test parts opened.
    """
    found = [Texts([], [], [], []) for _ in SOURCES]
    if recipe.novels:
        frame = _table(recipe.novels, "recipe.novels", ["title", "text"], files)
        found[0].whole = [clean(t) for t in frame["text"]]
        found[0].units = [str(t) for t in frame["title"]]
    if recipe.medical:
        frame = _table(recipe.medical, "recipe.medical", ["focus", "question", "answer"], files)
        rows = [
            (str(f), clean(q), clean(a))
            for f, q, a in zip(frame["focus"], frame["question"], frame["answer"], strict=True)
        ]
        found[1] = Texts(
            [f"{q} {a}" for _, q, a in rows],
            [f for f, _, _ in rows],
            [(q, a) for _, q, a in rows],
            [f for f, _, _ in rows],
        )
    kept: dict[str, None] = {}
    for path in recipe.commands:
        kept |= dict.fromkeys(_utterances(path, files))
    found[2].whole = found[2].units = list(kept)
    if not any(texts.whole for texts in found):
        raise config_error(
            "recipe.novels", recipe.novels, "no source is given: recipe.novels, medical, commands"
        )
    return found


def _table(path: str | Path, key: str, columns: list[str], files: dict[str, str]) -> pd.DataFrame:
    place = resolve_path(path, key)
    table = read_table(place)
    require_columns(table.frame, {key: columns}, place)
    files.update(table.files)
    return table.frame[columns].dropna()


def _utterances(path: str, files: dict[str, str]) -> list[str]:
    """Read SNIPS (one file, column split) or SLURP (a folder of devel and test): training sentences alone."""
    place = resolve_path(path, "recipe.commands")
    if place.is_dir():
        train = _table(place / "devel.jsonl", "recipe.commands", ["sentence"], files)["sentence"]
        test = _table(place / "test.jsonl", "recipe.commands", ["sentence"], files)["sentence"]
    else:
        frame = _table(place, "recipe.commands", ["split", "text"], files)
        train, test = frame["text"][frame["split"] == "train"], frame["text"][frame["split"] != "train"]
    judged = {clean(t).lower() for t in test}
    return [clean(t) for t in train if clean(t).lower() not in judged]


@dataclass
class Part:
    """Tokens of one part: a stream a source, and pairs as rows."""

    streams: list[Tensor]
    """int16, texts one after the other with [SEP] between them"""
    pairs: Tensor
    """(N, 2, L) int16, padded: questions and the beginning of their answers"""
    alone: Tensor
    """(M, L) int16: utterances and questions, each its own partner under other dropout"""

    def save(self) -> dict[str, Tensor]:
        """Give the tensors by name."""
        return {
            **{f"stream{k}": s for k, s in enumerate(self.streams)},
            "pairs": self.pairs,
            "alone": self.alone,
        }

    @classmethod
    def restore(cls, tensors: dict[str, Tensor]) -> Part:
        """Rebuild from ``save()``."""
        return cls([tensors[f"stream{k}"] for k in range(len(SOURCES))], tensors["pairs"], tensors["alone"])

    def to(self, device: torch.device) -> Part:
        """Bring it to a device."""
        return Part([s.to(device) for s in self.streams], self.pairs.to(device), self.alone.to(device))


def held(units: list[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Choose whole units that are only watched, one at least: (N,) bool."""
    codes, names = pd.factorize(np.array(units, dtype=object))
    order = np.random.default_rng(derive_seed(seed, "held out")).permutation(len(names))
    return np.isin(codes, order[: max(1, round(share * len(names)))])


def tokenised(sources: list[Texts], tokenizer: Any, recipe: TextRecipe, seed: int) -> tuple[Part, Part]:
    """Turn texts into what is trained on and what only watches."""
    parts: list[dict[str, Any]] = [{"streams": [], "pairs": [], "alone": []} for _ in range(2)]
    for texts in sources:
        watched = held(texts.units, recipe.held_out, seed) if texts.units else np.zeros(0, bool)
        watched_pairs = held(texts.pair_units, recipe.held_out, seed) if texts.pairs else np.zeros(0, bool)
        for part, made in enumerate(parts):
            own = [t for t, w in zip(texts.whole, watched, strict=True) if w == bool(part)]
            made["streams"].append(_stream(own, tokenizer))
            pairs = [p for p, w in zip(texts.pairs, watched_pairs, strict=True) if w == bool(part)]
            for side in (0, 1):
                made["pairs"].append(_rows([p[side] for p in pairs], tokenizer, recipe.pair_length))
            short = [p[0] for p in pairs] if pairs else [t for t in own if len(t) < 400]
            made["alone"].append(_rows(sorted(set(short)), tokenizer, recipe.pair_length))
    return tuple(  # type: ignore[return-value]
        Part(
            made["streams"],
            torch.stack([torch.cat(made["pairs"][0::2]), torch.cat(made["pairs"][1::2])], 1),
            torch.cat(made["alone"]),
        )
        for made in parts
    )


def _stream(texts: list[str], tokenizer: Any) -> Tensor:
    pieces: list[NDArray[np.int16]] = []
    for first in range(0, len(texts), 256):
        found = tokenizer.encode_batch_fast(texts[first : first + 256], add_special_tokens=False)
        pieces += [np.asarray([*one.ids, SEP], np.int16) for one in found]
    return torch.from_numpy(np.concatenate(pieces) if pieces else np.zeros(0, np.int16))


def _rows(texts: list[str], tokenizer: Any, length: int) -> Tensor:
    """Give (N, L) rows [CLS] text [SEP], cut at the end and padded."""
    rows = np.full((len(texts), length), PAD, np.int16)
    short = [t[: 12 * length] for t in texts]  # no token is that long: the rest would be cut anyway
    for first in range(0, len(short), 256):
        found = tokenizer.encode_batch_fast(short[first : first + 256], add_special_tokens=False)
        for n, one in enumerate(found, first):
            ids = [CLS, *one.ids[: length - 2], SEP]
            rows[n, : len(ids)] = ids
    return torch.from_numpy(rows)


class TextBatches:
    """Batches of hidden tokens and of pairs: a pure function of (seed, step), everything on the device.

    Hidden tokens: ``tokens`` (B, T), ``places`` (B, K) and targets (B, K). Pairs: ``tokens`` (2 P, L), row p's partner
    is row p + P; targets (2 P,) are the partners.
    """

    def __init__(self, part: Part, recipe: TextRecipe, steps: int, seed: int, device: torch.device) -> None:
        """Draw from one part."""
        self.part, self.recipe, self.steps, self.seed, self.device = (
            part.to(device),
            recipe,
            steps,
            seed,
            device,
        )
        least = recipe.length * (4 if recipe.long_every else 1)
        shares = [s if len(t) > least else 0.0 for s, t in zip(recipe.shares, part.streams, strict=True)]
        if not sum(shares):
            raise config_error(
                "recipe.length", recipe.length, f"no source with a share has as many as {least} tokens"
            )
        self.shares = torch.tensor(shares, device=device)
        self.longest = torch.tensor([len(s) for s in part.streams], device=device)
        self.starts = torch.cat([self.longest.new_zeros(1), self.longest.cumsum(0)[:-1]])
        self.stream = torch.cat(self.part.streams)

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches from a step on."""
        for step in range(start, self.steps):
            yield self.at(step)

    def at(self, step: int) -> Batch:
        """Give one step's batch."""
        r = self.recipe
        generator = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "texts", step))
        if step >= r.pairs_from * self.steps and step % 2:
            return self.pairs(step // 2, r.pairs, generator)
        long = r.long_every > 0 and step % r.long_every == r.long_every - 1
        length = r.length * (4 if long else 1)
        return self.hidden(max(r.batch_tokens // length, 1), length, generator)

    def hidden(self, rows: int, length: int, generator: torch.Generator, source: int | None = None) -> Batch:
        """Draw rows from anywhere in the streams and hide tokens: 8 of 10 as [MASK], 1 as another, 1 left (BERT)."""
        device, inner = self.device, length - 2
        if source is None:
            kind_B = torch.multinomial(self.shares, rows, replacement=True, generator=generator)
        else:
            kind_B = torch.full((rows,), source, device=device)
        at_B = torch.rand(rows, generator=generator, device=device, dtype=torch.float64)
        first_B = self.starts[kind_B] + (at_B * (self.longest[kind_B] - inner + 1)).long()
        body = self.stream[first_B[:, None] + torch.arange(inner, device=device)].long()
        ends = torch.full((rows, 1), CLS, device=device), torch.full((rows, 1), SEP, device=device)
        tokens_BT = torch.cat([ends[0], body, ends[1]], 1)
        count = max(round(self.recipe.hidden * inner), 1)
        order = torch.rand(rows, inner, generator=generator, device=device)
        places_BK = order.topk(count, dim=1).indices + 1
        truth_BK = tokens_BT.gather(1, places_BK)
        dice = torch.rand(rows, count, generator=generator, device=device)
        other = torch.randint(
            ORDINARY, self.recipe.vocabulary, (rows, count), generator=generator, device=device
        )
        shown_BK = torch.where(
            dice < 0.8, torch.full_like(truth_BK, MASK), torch.where(dice < 0.9, other, truth_BK)
        )
        inputs = {"tokens": tokens_BT.scatter(1, places_BK, shown_BK), "places": places_BK}
        return Batch(inputs, truth_BK, first_B)

    def pairs(self, number: int, count: int, generator: torch.Generator) -> Batch:
        """Draw pairs: of questions and answers, of neighbouring passages, of a text and itself, in turn."""
        kinds = [k for k, there in (
            ("answers", len(self.part.pairs)), ("neighbours", True), ("itself", len(self.part.alone))
        ) if there]  # fmt: skip
        kind = kinds[number % len(kinds)]
        if kind == "neighbours":
            both = self._neighbours(count, generator)
        else:
            rows = self.part.pairs if kind == "answers" else self.part.alone
            index = torch.randperm(len(rows), generator=generator, device=self.device)[:count]
            taken = rows[index].long()
            both = torch.cat([taken[:, 0], taken[:, 1]] if kind == "answers" else [taken, taken])
        half = len(both) // 2
        partner = torch.arange(2 * half, device=self.device).roll(half)
        return Batch({"tokens": both}, partner, partner)

    def _neighbours(self, count: int, generator: torch.Generator) -> Tensor:
        device, room = self.device, self.recipe.pair_length - 2
        kind_P = torch.multinomial(self.shares[:2] + 1e-9, count, replacement=True, generator=generator)
        at_P = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        first_P = self.starts[kind_P] + (at_P * (self.longest[kind_P] - 2 * room)).clamp(min=0).long()
        rows = []
        for shift in (0, room):
            body = self.stream[first_P[:, None] + shift + torch.arange(room, device=device)].long()
            ends = torch.full((count, 1), CLS, device=device), torch.full((count, 1), SEP, device=device)
            rows.append(torch.cat([ends[0], body, ends[1]], 1))
        return torch.cat(rows)


def counts(parts: tuple[Part, Part], recipe: TextRecipe) -> dict[str, Any]:
    """Say what was read, for the record."""
    trained, watched = parts
    found: dict[str, Any] = {
        name: {
            "tokens": len(trained.streams[k]),
            "tokens_watched": len(watched.streams[k]),
            "share": recipe.shares[k],
        }
        for k, name in enumerate(SOURCES)
    }
    return found | {"pairs": len(trained.pairs), "short_texts": len(trained.alone)}


def cached(folder: Path, key: str, make: Any) -> tuple[bytes, tuple[Part, Part]]:
    """Give tokenizer and tokens as an earlier process of the same run left them, or make and leave them."""
    from safetensors.torch import load_file, save_file

    kept, told = folder / "corpus.safetensors", folder / "corpus.json"
    if kept.is_file() and told.is_file() and json.loads(told.read_text())["key"] == key:
        tensors = load_file(kept)
        split = [{n[2:]: t for n, t in tensors.items() if n.startswith(f"{p}/")} for p in (0, 1)]
        return (folder / "tokenizer.json").read_bytes(), (Part.restore(split[0]), Part.restore(split[1]))
    tokenizer, parts = make()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    save_file({f"{p}/{name}": t for p, part in enumerate(parts) for name, t in part.save().items()}, kept)
    told.write_text(json.dumps({"key": key}))  # last: what is there now is whole
    return tokenizer, parts
