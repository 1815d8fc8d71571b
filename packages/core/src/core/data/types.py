"""The types that data passes through on its way from a file to a batch. Imports no torch: tasks use it for --help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from core.data.number_formats import NumberFormat
    from core.data.readers.settings import ReaderSettings

Json = Any
"""A value that json.dumps writes without a default: None, bool, int, float, str, list or dict of these."""


@dataclass(frozen=True)
class ColumnRoles:
    """The role of each column of a frame. A column may be sensitive and an input only if it is listed in both.

    >>> roles = ColumnRoles(target=("ill",), numeric=("age",), text=("note",), sensitive=("sex",), unit="patient")
    >>> roles.inputs()
    ('age', 'note')
    """

    target: tuple[str, ...] = ()
    """One column; several 0/1 columns, or one column of lists, for a multilabel target."""
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    image: str | None = None
    """A column of encoded images (bytes) or of paths to image files."""
    signal: str | None = None
    """A column of sampled signals: arrays of shape (T,) or (T, C), one a row."""
    slots: str | None = None
    """A column of the slots marked in the text, lists of [start, end, name] in characters: with
    ``target=intent_slots``."""
    mask_classes: tuple[str, ...] = ()
    """Names of pixel values 0, 1, ...: the target is a column of masks (bytes or paths), other values have no class."""
    references: tuple[str, ...] = ()
    """Columns of texts that the text is compared with (model answers); a cell is a text or a list of texts."""
    prompt: str | None = None
    """A column of the question or task that the text answers."""
    sensitive: tuple[str, ...] = ()
    unit: str | None = None
    """Whom a row belongs to (patient, card, pupil, home): never in two splits; resampled as one in intervals."""
    time: str | None = None

    def inputs(self) -> tuple[str, ...]:
        """Return the columns that the model sees."""
        single = tuple(c for c in (self.image, self.signal, self.prompt) if c is not None)
        return (*self.numeric, *self.categorical, *self.text, *self.references, *single)

    def with_(self, changes: Mapping[str, Any]) -> ColumnRoles:
        """Return a copy with some roles exchanged."""
        return replace(self, **changes)


def restore_roles(state: Mapping[str, Json]) -> ColumnRoles:
    """Return the roles that ``dataclasses.asdict`` wrote, after a way through JSON."""
    roles: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in state.items()}
    return ColumnRoles(**roles)


@dataclass(frozen=True)
class SplitPlan:
    """How rows are split into training, validation and test sets."""

    by: str = "auto"
    """auto (unit if the roles name one, else stratified), column, unit, time, stratified."""
    column: str | None = None
    """With ``column``: values train, validation (or val, valid, dev) and test; missing or ``none``: in no split.

    No validation: cut from train by unit.
    """
    validation_fraction: float = 0.2
    test_fraction: float = 0.2
    seed: int = 0
    gap: float = 0.0
    """With ``time``: days (or the number's own unit) left out before each later split, whose labels came too late."""
    disjoint_entities: bool = True
    """With ``time``: leave out later rows of a unit that an earlier split has. False: a known unit may come again, with
    ``column`` too (whose splits then follow one another in time)."""


@dataclass
class Dataset:
    """What a source returns: all labeled rows, the roles of their columns, and where they came from."""

    frame: pd.DataFrame
    roles: ColumnRoles
    name: str
    simulated: bool = False
    split: SplitPlan = field(default_factory=SplitPlan)
    ordinal_target: bool = False
    """The target's whole numbers are grades in an order: rare ones need not be in every split, as classes must."""
    unit_name: str = "row"
    """What a unit is called in the report: patient, card, pupil, home."""
    files: dict[str, str] = field(default_factory=dict)
    """File name -> sha256 of what was read."""
    ground_truth: dict[str, Json] = field(default_factory=dict)
    """What a simulation planted: the true probability's column, the bias and against whom."""
    group_names: dict[str, dict[str, str]] = field(default_factory=dict)
    """Sensitive column -> code -> the name shown, such as ``{"sex": {"0": "female", "1": "male"}}``."""
    group_edges: dict[str, list[float]] = field(default_factory=dict)
    """Sensitive numeric column -> inner bin edges; not given: age groups, or quartiles of the training set."""
    notes: list[str] = field(default_factory=list)
    """What the reader dropped or changed, in sentences, for the record."""
    reader: ReaderSettings | None = None
    """How the file was read, for the files that the run reads later; None: no file of the user's own."""
    formats: dict[str, NumberFormat] = field(default_factory=dict)
    """Column of numbers in a text file -> how they are written."""
    date_orders: dict[str, str] = field(default_factory=dict)
    """Column of times -> how they are written, of ``core.data.times.ORDERS``."""
    ood_sets: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Name -> labeled rows of no class that is trained on: whether the model detects them is a study, see
    ``core.evaluation.ood_detection``."""
    cross_unit_inputs: str = ""
    """Which inputs of a row are computed from other units' rows, and how to do without; empty where none are. No
    guarantee to a unit could cover what its rows leave in others', so ``privacy=dp`` refuses such data."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found in the data."""

    level: str
    """error (the run stops), warning (goes into the record and the console), note (record only)."""
    check: str
    where: str
    message: str
    """What is wrong, where, and what to do."""


@dataclass(frozen=True)
class Layout:
    """What a backbone must know about its inputs; described by a fitted encoder, saved with the model.

    The tensors of an encoder (B rows), each present only when its size here is not empty:
    ``numeric`` (B, n) float32 standardized, NaN replaced by 0 · ``missing`` (B, n) float32 0/1 ·
    ``categorical`` (B, m) int64, 0 = missing (or never seen, where training had no rare ones to share a code with) ·
    ``tokens`` (B, T) int64, ``pad_token_id`` = no token · ``tfidf`` (B, V) float32 · ``image`` (B, C, H, W) uint8 ·
    ``signal`` (B, C, T) float32 · ``events`` (B, T, F) float32 with ``events_mask`` (B, T) float32 (1 = real) ·
    ``words`` (B, T, M) int64 codes of each word's features, 0 = none, with ``words_mask`` (B, T) float32 (1 = a word);
    where there are ``tokens`` too, ``word_starts`` (B, T) int64, the token that each word begins with.
    """

    numeric: tuple[str, ...] = ()
    bin_edges: tuple[tuple[float, ...], ...] = ()
    """Quantile edges of each numeric column (standardized scale) on the training set, for piecewise-linear encoding."""
    categorical: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()
    vocab_size: int = 0
    max_length: int = 0
    """Most tokens of a row; a batch may be shorter, truncated to its own longest."""
    pad_token_id: int = 0
    """The token that pads; 0 for the tokenizer that is trained here, otherwise a pretrained one's own."""
    tokenizer_sample: tuple[int, ...] = ()
    """The tokens of a fixed sentence: tells one tokenizer from another."""
    tfidf_size: int = 0
    """TF-IDF features."""
    image: tuple[int, int, int] | None = None
    """(channels, height, width)"""
    signal: tuple[int, int] | None = None
    """(channels, samples)"""
    events: tuple[int, int] | None = None
    """(events, features an event)"""
    words: tuple[int, int] | None = None
    """(words, features a word)"""
    word_vocab_size: int = 0
    """How many codes of word features there are, 0 (none) among them."""


class EncodedRows(Protocol):
    """Rows that were encoded once, from which batches are taken."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Return the tensors of some rows as ``Layout`` describes them, index (B,) int64."""

    def take_for_augmentation(self, index: Tensor) -> dict[str, Tensor]:
        """Return the tensors of some rows with images in the size that is kept for random crops."""


TokenOffsets = tuple[str, int, int]
"""A column and the characters of its text that a token stands on: (column, start, end)."""


class Encoder(Protocol):
    """Turns raw rows into tensors; fitted on the training set only; saved in encoder.json."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit scales, categories and vocabularies to training rows."""

    def transform(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Encode rows; raises ValueError that names column and row where a value can't be read."""

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> EncodedRows:
        """Encode rows once, keeping sparse and large columns compact; ``history``: all rows that may come before."""

    def layout(self) -> Layout:
        """Describe the tensors for a backbone."""

    def derived_features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the numbers derived from texts (comparisons with references), (N, n); n may be 0."""

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Return column -> input -> the column's indices along the input's last dimension, None for all of it."""

    def token_offsets(self, frame: pd.DataFrame) -> list[list[TokenOffsets | None]]:
        """Return the characters that each token of a row stands on, None for special tokens."""

    def tfidf_matrix(self, texts: Sequence[str]) -> csr_matrix:
        """Compute the TF-IDF features of plain texts, (n, V)."""

    def state(self) -> dict[str, Json]:
        """Return everything that ``core.data.encoders.decorrelated.restore_encoder`` needs, as JSON."""


@dataclass
class Batch:
    """What a step sees. All tensors share the first dimension B; everything is on one device."""

    inputs: dict[str, Tensor]
    targets: Tensor
    index: Tensor
    """(B,) int64 row number within the split."""
    groups: dict[str, Tensor] = field(default_factory=dict)
    """Sensitive attribute -> (B,) int64 code of the group; never seen by the model."""
    units: Tensor | None = None
    """(B,) int64 code of the unit each row belongs to."""

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device) -> Batch:
        """Return a copy on a device."""
        return Batch(
            {k: v.to(device, non_blocking=True) for k, v in self.inputs.items()},
            self.targets.to(device, non_blocking=True),
            self.index.to(device, non_blocking=True),
            {k: v.to(device, non_blocking=True) for k, v in self.groups.items()},
            None if self.units is None else self.units.to(device, non_blocking=True),
        )
