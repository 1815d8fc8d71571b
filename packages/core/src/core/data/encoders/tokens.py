"""Texts as tokens: a byte-level BPE or words trained on the training set, or a pretrained tokenizer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import tokenizers
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from core.config import config_error
from core.data.coercion import to_texts
from core.data.encoders.storage import DenseRows, Storage
from core.data.types import Layout, TokenOffsets

if TYPE_CHECKING:
    from core.data.encoder_config import TextEncoding
    from core.data.types import Json

_BATCH = 4096
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BUNDLED = ("text_small",)
"""Tokenizers in this package, each for the pretrained backbone of its name."""
SAMPLE = "Hello: the 2nd patient's answer, 3.5 mg?"
"""What two tokenizers encode differently, unless they are the same."""
T = TypeVar("T")
WORD = re.compile(r"\w\w+")
"""What a word is, as in scikit-learn's text features: two or more letters or digits."""


@dataclass
class TokenColumns:
    """The text columns together, as one row of tokens. T = max_length."""

    columns: tuple[str, ...]
    tokenizer: Tokenizer
    max_length: int
    truncation: str
    pad_token_id: int
    special: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """Tokens before the first text, between two texts, and after the last."""

    @classmethod
    def fit(cls, config: TextEncoding, columns: tuple[str, ...], frame: pd.DataFrame) -> TokenColumns:
        """Train a tokenizer on training texts, or load a pretrained one; the length is that of the longest, at most."""
        texts = [to_texts(frame[c]) for c in columns]
        if config.tokenizer == "bpe":
            tokenizer = byte_level_bpe(
                (t for column in texts for t in column), config.vocab_size, config.lowercase
            )
        elif config.tokenizer == "words":
            tokenizer = _words((t for column in texts for t in column), config.vocab_size, config.lowercase)
        elif config.tokenizer in BUNDLED:
            tokenizer = bundled_tokenizer(config.tokenizer)
        else:
            tokenizer = _pretrained(config.tokenizer)
        tokenizer.encode_special_tokens = True  # "[SEP]" written in a text is text
        fitted = cls(
            columns,
            tokenizer,
            config.max_length,
            config.truncation,
            _pad_token(tokenizer),
            _special(tokenizer),
        )
        longest = max((len(row) for row in fitted._rows(texts)), default=1)
        fitted.max_length = min(config.max_length, longest)
        return fitted

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``tokens`` (N, T) int64."""
        rows = self._rows([to_texts(frame[c]) for c in self.columns])
        tokens = np.full((len(rows), self.max_length), self.pad_token_id, np.int32)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        return {"tokens": DenseRows(torch.from_numpy(tokens), torch.int64)}

    def token_offsets(self, frame: pd.DataFrame) -> list[list[TokenOffsets | None]]:
        """Return the column and the characters that each token of a row stands on; None for special tokens."""
        columns = []
        for column in self.columns:
            some = self.tokenizer.encode_batch(to_texts(frame[column]), add_special_tokens=False)
            columns.append([[(column, start, end) for start, end in one.offsets] for one in some])
        before, between, after = ([None] * len(part) for part in self.special)
        return self._joined(columns, before, between, after)

    def _rows(self, texts: Sequence[Sequence[str]]) -> list[list[int]]:
        """Join each row's texts and truncate them to the length."""
        return self._joined([self._ids(column) for column in texts], *(list(part) for part in self.special))

    def _joined(
        self,
        columns: Sequence[Sequence[Sequence[T]]],
        before: Sequence[T],
        between: Sequence[T],
        after: Sequence[T],
    ) -> list[list[T]]:
        """Distribute the length among the columns' pieces, row by row."""
        room = self.max_length - len(before) - len(after) - len(between) * (len(columns) - 1)
        if room < len(columns):
            raise ValueError(
                f"encoder.text.max_length={self.max_length}: too short for {len(columns)} texts and their separators"
            )
        rows = []
        for pieces in zip(*columns, strict=True):
            row = list(before)
            for i, (ids, most) in enumerate(
                zip(pieces, _shares([len(p) for p in pieces], room), strict=True)
            ):
                row += [*(between if i else ()), *_truncated(ids, most, self.truncation)]
            rows.append([*row, *after])
        return rows

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = []
        for first in range(0, len(texts), _BATCH):  # the library's own objects are large
            some = list(texts[first : first + _BATCH])
            found += [e.ids for e in self.tokenizer.encode_batch_fast(some, add_special_tokens=False)]
        return found

    def layout(self, layout: Layout) -> Layout:
        """Add vocabulary, length and padding to the layout."""
        size = self.tokenizer.get_vocab_size()
        sample = tuple(self.tokenizer.encode(SAMPLE, add_special_tokens=False).ids)
        return replace(
            layout,
            vocab_size=size,
            max_length=self.max_length,
            pad_token_id=self.pad_token_id,
            tokenizer_sample=sample,
        )

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON: the whole tokenizer, so that no other file is needed."""
        return {
            "tokenizer": json.loads(self.tokenizer.to_str()),
            "length": self.max_length,
            "padding": self.pad_token_id,
            "frame": [list(f) for f in self.special],
        }

    @classmethod
    def restore(
        cls, config: TextEncoding, columns: tuple[str, ...], state: Mapping[str, Json]
    ) -> TokenColumns:
        """Rebuild from ``state()``."""
        before, between, after = (tuple(f) for f in state["frame"])
        tokenizer = Tokenizer.from_str(json.dumps(state["tokenizer"]))
        tokenizer.encode_special_tokens = True
        return cls(
            columns, tokenizer, state["length"], config.truncation, state["padding"], (before, between, after)
        )


def _normalizer(lowercase: bool) -> normalizers.Normalizer:
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])]
    return normalizers.Sequence(steps)


def byte_level_bpe(texts: Iterable[str], vocab_size: int, lowercase: bool) -> Tokenizer:
    """Train a byte-level BPE (Sennrich et al., ACL 2016; bytes as in GPT-2)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer(lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _add_template(tokenizer)
    return tokenizer


def _words(texts: Iterable[str], vocab_size: int, lowercase: bool) -> Tokenizer:
    """Train a word tokenizer: the words that two or more training texts hold, the most frequent ones first."""
    normalizer, counts = _normalizer(lowercase), Counter[str]()
    for text in texts:
        counts.update(set(WORD.findall(normalizer.normalize_str(text))))
    order = sorted((w for w, n in counts.items() if n >= 2), key=lambda w: (-counts[w], w))
    known = {word: i for i, word in enumerate([*SPECIAL, *order[: vocab_size - len(SPECIAL)]])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"\w\w+"), "removed", invert=True)
    _add_template(tokenizer)
    return tokenizer


def _add_template(tokenizer: Tokenizer) -> None:
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )


def bundled_tokenizer(name: str) -> Tokenizer:
    """Load a tokenizer of this package; raises ValueError where this installation lacks it."""
    file = files("core.data.encoders").joinpath("tokenizers", f"{name}.json")
    if not file.is_file():
        raise config_error(
            "encoder.text.tokenizer", name, "this installation has no such tokenizer; choose bpe or words"
        )
    return Tokenizer.from_str(file.read_text(encoding="utf-8"))


def _pretrained(name: str) -> Tokenizer:
    """Load tokenizer.json from a local folder (or that file), or by its name from the hub."""
    path = Path(name).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(str(file)) if file.exists() else Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises bare Exception for a damaged file and for an unknown name
        raise ValueError(
            f"encoder.text.tokenizer={name!r}: no tokenizer.json in a folder of this name, and not on the hub "
            f"({error}): give a folder that holds tokenizer.json, or bpe"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _pad_token(tokenizer: Tokenizer) -> int:
    """Return the padding token; a tokenizer without one (GPT-2) pads with its end of text."""
    for name in ("[PAD]", "<pad>", "<|pad|>", "</s>", "<|endoftext|>", "<|im_end|>", "<eos>"):
        token = tokenizer.token_to_id(name)
        if token is not None:
            return int(token)
    raise ValueError("encoder.text.tokenizer: it has no padding token ([PAD], <pad>, </s> or <|endoftext|>)")


def _special(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the special tokens that the tokenizer puts before, between and after two texts."""
    first = tokenizer.encode("aa", add_special_tokens=False).ids
    second = tokenizer.encode("bb", add_special_tokens=False).ids
    both = tokenizer.encode("aa", "bb").ids
    start = _place(both, first, 0)
    middle = _place(both, second, start + len(first))
    between = tuple(both[start + len(first) : middle])
    return tuple(both[:start]), between, tuple(both[middle + len(second) :])


def _place(ids: list[int], part: list[int], start: int) -> int:
    return next(i for i in range(start, len(ids)) if ids[i : i + len(part)] == part)


def _shares(lengths: list[int], room: int) -> list[int]:
    """Distribute the length among texts: short ones keep all, long ones share the rest equally."""
    shares = [0] * len(lengths)
    left = room
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for done, i in enumerate(order):
        shares[i] = min(lengths[i], left // (len(order) - done))
        left -= shares[i]
    return shares


def _truncated(ids: Sequence[T], most: int, truncation: str) -> Sequence[T]:
    if len(ids) <= most:
        return ids
    if truncation == "start":
        return ids[len(ids) - most :]
    if truncation == "middle":
        return [*ids[: most - most // 2], *ids[len(ids) - most // 2 :]]
    return ids[:most]
