"""Texts for pretraining: read, split, turned into streams of tokens, drawn as batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from core.config import config_error, derive_seed
from core.data.readers.files import resolve_path
from core.data.readers.table import read_table
from core.data.roles import require_columns
from core.data.types import Batch
from core.pretrain.config import TextRecipe
from core.pretrain.sampling import IndexedBatches, held_out

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.pretrain.job import Sources

PAD, CLS, SEP, MASK, FIRST_ORDINARY = 0, 2, 3, 4, 5
"""Ids of special tokens, and the first that is none (see ``core.data.encoders.tokens.SPECIAL``)."""
SOURCES = ("novels", "medical", "commands")
_SPACE = re.compile(r"\s+")


@dataclass
class Texts:
    """Texts of one source, and pairs of texts where it has any."""

    whole: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    """What each text belongs to (a novel, a disease, itself): held out together."""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    pair_units: list[str] = field(default_factory=list)


def clean(text: str) -> str:
    """Return the text with one space for any white space.

    >>> clean(" wake  me\\nup ")
    'wake me up'
    """
    return _SPACE.sub(" ", text).strip()


def read(recipe: TextRecipe, files: dict[str, str]) -> list[Texts]:
    """Read the three sources and add the files' hashes to ``files``.

    Of utterances, sentences that are also in a test set are left out: only for that are test sets opened.
    """
    found = [Texts() for _ in SOURCES]
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
            "recipe.novels", recipe.novels, "no source is set: recipe.novels, medical, commands"
        )
    return found


def _table(path: str | Path, key: str, columns: list[str], files: dict[str, str]) -> pd.DataFrame:
    file = resolve_path(path, key)
    table = read_table(file)
    require_columns(table.frame, {key: columns}, file)
    files.update(table.files)
    return table.frame[columns].dropna()


def _utterances(path: str, files: dict[str, str]) -> list[str]:
    """Read SNIPS (one file, column split) or SLURP (a folder of devel and test): training sentences alone."""
    file = resolve_path(path, "recipe.commands")
    if file.is_dir():
        train = _table(file / "devel.jsonl", "recipe.commands", ["sentence"], files)["sentence"]
        test = _table(file / "test.jsonl", "recipe.commands", ["sentence"], files)["sentence"]
    else:
        frame = _table(file, "recipe.commands", ["split", "text"], files)
        train, test = frame["text"][frame["split"] == "train"], frame["text"][frame["split"] != "train"]
    tested = {clean(t).lower() for t in test}
    return [clean(t) for t in train if clean(t).lower() not in tested]


@dataclass
class TokenizedSplit:
    """The tokens of one split: a stream a source, and pairs as rows."""

    streams: list[Tensor]
    """int16, texts one after the other with [SEP] between them"""
    pairs: Tensor
    """(N, 2, L) int16, padded: questions and the beginning of their answers"""
    single: Tensor
    """(M, L) int16: utterances and questions, each its own partner under other dropout"""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {
            **{f"stream{k}": s for k, s in enumerate(self.streams)},
            "pairs": self.pairs,
            "single": self.single,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> TokenizedSplit:
        """Return the split from what ``tensors()`` returned."""
        return cls([tensors[f"stream{k}"] for k in range(len(SOURCES))], tensors["pairs"], tensors["single"])

    def to(self, device: torch.device) -> TokenizedSplit:
        """Return the split on a device."""
        return TokenizedSplit(
            [s.to(device) for s in self.streams], self.pairs.to(device), self.single.to(device)
        )


def tokenized(
    sources: list[Texts], tokenizer: Any, recipe: TextRecipe, seed: int
) -> tuple[TokenizedSplit, TokenizedSplit]:
    """Split texts into a training and a validation set, and turn both into tokens."""
    fraction = recipe.validation_fraction
    masks = [
        (_mask(texts.units, fraction, seed), _mask(texts.pair_units, fraction, seed)) for texts in sources
    ]
    splits = []
    for validation in (False, True):
        streams, questions, answers, single = [], [], [], []
        for texts, (of_texts, of_pairs) in zip(sources, masks, strict=True):
            own = [t for t, held in zip(texts.whole, of_texts, strict=True) if held == validation]
            streams.append(_stream(own, tokenizer))
            pairs = [p for p, held in zip(texts.pairs, of_pairs, strict=True) if held == validation]
            questions.append(_rows([p[0] for p in pairs], tokenizer, recipe.pair_max_length))
            answers.append(_rows([p[1] for p in pairs], tokenizer, recipe.pair_max_length))
            short = [p[0] for p in pairs] if pairs else [t for t in own if len(t) < 400]
            single.append(_rows(sorted(set(short)), tokenizer, recipe.pair_max_length))
        rows = torch.stack([torch.cat(questions), torch.cat(answers)], 1)
        splits.append(TokenizedSplit(streams, rows, torch.cat(single)))
    return splits[0], splits[1]


def _mask(units: list[str], fraction: float, seed: int) -> NDArray[np.bool_]:
    return held_out(np.array(units, dtype=object), fraction, seed) if units else np.zeros(0, bool)


def _stream(texts: list[str], tokenizer: Any) -> Tensor:
    pieces: list[NDArray[np.int16]] = []
    for first in range(0, len(texts), 256):
        found = tokenizer.encode_batch_fast(texts[first : first + 256], add_special_tokens=False)
        pieces += [np.asarray([*one.ids, SEP], np.int16) for one in found]
    return torch.from_numpy(np.concatenate(pieces) if pieces else np.zeros(0, np.int16))


def _rows(texts: list[str], tokenizer: Any, length: int) -> Tensor:
    """Return (N, L) rows [CLS] text [SEP], truncated and padded."""
    rows = np.full((len(texts), length), PAD, np.int16)
    short = [t[: 12 * length] for t in texts]  # no token is that long: the rest would be cut anyway
    for first in range(0, len(short), 256):
        found = tokenizer.encode_batch_fast(short[first : first + 256], add_special_tokens=False)
        for n, one in enumerate(found, first):
            ids = [CLS, *one.ids[: length - 2], SEP]
            rows[n, : len(ids)] = ids
    return torch.from_numpy(rows)


class TextBatches(IndexedBatches):
    """Batches of masked tokens and of pairs, everything on the device.

    Masked tokens: ``tokens`` (B, T), ``mask_positions`` (B, K) and targets (B, K). Pairs: ``tokens`` (2 P, L), row p's
    partner is row p + P; targets (2 P,) are the partners.
    """

    def __init__(
        self, split: TokenizedSplit, recipe: TextRecipe, steps: int, seed: int, device: torch.device
    ) -> None:
        """Draw from one split."""
        self.split = split.to(device)
        self.recipe, self.steps, self.seed, self.device = recipe, steps, seed, device
        shortest = recipe.max_length * (4 if recipe.long_rows_every else 1)
        weights = [
            w if len(s) > shortest else 0.0 for w, s in zip(recipe.source_weights, split.streams, strict=True)
        ]
        if not sum(weights):
            raise config_error(
                "recipe.max_length",
                recipe.max_length,
                f"no source with a weight has as many as {shortest} tokens",
            )
        self.weights = torch.tensor(weights, device=device)
        self.lengths = torch.tensor([len(s) for s in split.streams], device=device)
        self.starts = torch.cat([self.lengths.new_zeros(1), self.lengths.cumsum(0)[:-1]])
        self.stream = torch.cat(self.split.streams)

    def at(self, step: int) -> Batch:
        """Return one step's batch."""
        r = self.recipe
        generator = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "texts", step))
        if step >= r.contrastive_from * self.steps and step % 2:
            return self.pairs(step // 2, r.contrastive_pairs, generator)
        long = r.long_rows_every > 0 and step % r.long_rows_every == r.long_rows_every - 1
        length = r.max_length * (4 if long else 1)
        return self.masked(max(r.batch_tokens // length, 1), length, generator)

    def masked(self, rows: int, length: int, generator: torch.Generator, source: int | None = None) -> Batch:
        """Draw rows anywhere in the streams and mask tokens: 8 of 10 as [MASK], 1 as another, 1 unchanged (BERT)."""
        device, inner = self.device, length - 2
        if source is None:
            kind_B = torch.multinomial(self.weights, rows, replacement=True, generator=generator)
        else:
            kind_B = torch.full((rows,), source, device=device)
        at_B = torch.rand(rows, generator=generator, device=device, dtype=torch.float64)
        first_B = self.starts[kind_B] + (at_B * (self.lengths[kind_B] - inner + 1)).long()
        body = self.stream[first_B[:, None] + torch.arange(inner, device=device)].long()
        ends = torch.full((rows, 1), CLS, device=device), torch.full((rows, 1), SEP, device=device)
        tokens_BT = torch.cat([ends[0], body, ends[1]], 1)
        count = max(round(self.recipe.mask_fraction * inner), 1)
        order = torch.rand(rows, inner, generator=generator, device=device)
        positions_BK = order.topk(count, dim=1).indices + 1
        target_BK = tokens_BT.gather(1, positions_BK)
        uniform = torch.rand(rows, count, generator=generator, device=device)
        other = torch.randint(
            FIRST_ORDINARY, self.recipe.vocab_size, (rows, count), generator=generator, device=device
        )
        shown_BK = torch.where(
            uniform < 0.8, torch.full_like(target_BK, MASK), torch.where(uniform < 0.9, other, target_BK)
        )
        inputs = {"tokens": tokens_BT.scatter(1, positions_BK, shown_BK), "mask_positions": positions_BK}
        return Batch(inputs, target_BK, first_B)

    def pairs(self, number: int, count: int, generator: torch.Generator) -> Batch:
        """Draw pairs: of questions and answers, of neighboring passages, of a text and itself, in turn."""
        kinds = [k for k, exists in (
            ("answers", len(self.split.pairs)), ("neighbors", True), ("itself", len(self.split.single))
        ) if exists]  # fmt: skip
        kind = kinds[number % len(kinds)]
        if kind == "neighbors":
            both = self._neighbors(count, generator)
        else:
            rows = self.split.pairs if kind == "answers" else self.split.single
            index = torch.randperm(len(rows), generator=generator, device=self.device)[:count]
            taken = rows[index].long()
            both = torch.cat([taken[:, 0], taken[:, 1]] if kind == "answers" else [taken, taken])
        half = len(both) // 2
        partner = torch.arange(2 * half, device=self.device).roll(half)
        return Batch({"tokens": both}, partner, partner)

    def _neighbors(self, count: int, generator: torch.Generator) -> Tensor:
        device, inner = self.device, self.recipe.pair_max_length - 2
        kind_P = torch.multinomial(self.weights[:2] + 1e-9, count, replacement=True, generator=generator)
        at_P = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        first_P = self.starts[kind_P] + (at_P * (self.lengths[kind_P] - 2 * inner)).clamp(min=0).long()
        rows = []
        for shift in (0, inner):
            body = self.stream[first_P[:, None] + shift + torch.arange(inner, device=device)].long()
            ends = torch.full((count, 1), CLS, device=device), torch.full((count, 1), SEP, device=device)
            rows.append(torch.cat([ends[0], body, ends[1]], 1))
        return torch.cat(rows)


def source_sizes(splits: tuple[TokenizedSplit, TokenizedSplit], recipe: TextRecipe) -> Sources:
    """Return what was read, for the record."""
    train, validation = splits
    found: Sources = {
        name: {
            "tokens": len(train.streams[k]),
            "validation_tokens": len(validation.streams[k]),
            "weight": recipe.source_weights[k],
        }
        for k, name in enumerate(SOURCES)
    }
    return found | {"pairs": {"pairs": len(train.pairs), "single_texts": len(train.single)}}


def cached(
    folder: Path, key: str, make: Callable[[], tuple[bytes, tuple[TokenizedSplit, TokenizedSplit]]]
) -> tuple[bytes, tuple[TokenizedSplit, TokenizedSplit]]:
    """Return tokenizer and tokens as an earlier process of the same run left them, or compute and keep them."""
    tensors_file, key_file = folder / "corpus.safetensors", folder / "corpus.json"
    if tensors_file.is_file() and key_file.is_file() and json.loads(key_file.read_text())["key"] == key:
        tensors = load_file(tensors_file)
        found = [{n[2:]: t for n, t in tensors.items() if n.startswith(f"{p}/")} for p in (0, 1)]
        splits = (TokenizedSplit.from_tensors(found[0]), TokenizedSplit.from_tensors(found[1]))
        return (folder / "tokenizer.json").read_bytes(), splits
    tokenizer, splits = make()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    kept = {f"{p}/{name}": t for p, split in enumerate(splits) for name, t in split.tensors().items()}
    save_file(kept, tensors_file)
    key_file.write_text(json.dumps({"key": key}))  # last: what is there now is complete
    return tokenizer, splits
