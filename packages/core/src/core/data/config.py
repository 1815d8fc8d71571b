"""The ``data=`` options (and, by import, ``encoder=`` and ``augmentation=``). Imports nothing heavy, for ``--help``."""

from __future__ import annotations

from typing import Any, Protocol

from core.config import DataConfig, at_least_zero, config_error, field, one_of, register, split_fractions
from core.data.augmentation_config import ImageAugmentation as ImageAugmentation
from core.data.augmentation_config import NoAugmentation as NoAugmentation
from core.data.augmentation_config import SignalAugmentation as SignalAugmentation
from core.data.augmentation_config import TableAugmentation as TableAugmentation
from core.data.encoder_config import TRAINED_TOKENIZERS as TRAINED_TOKENIZERS
from core.data.encoder_config import ColumnsEncoderConfig as ColumnsEncoderConfig
from core.data.encoder_config import ImageEncoding as ImageEncoding
from core.data.encoder_config import SignalEncoding as SignalEncoding
from core.data.encoder_config import TextEncoding as TextEncoding
from core.data.readers.settings import ReaderSettings
from core.data.types import SplitPlan

SPLIT_METHODS = ("auto", "column", "unit", "time", "stratified")
MIN_SIMULATED = 100

# Lists of columns are typed Any: OmegaConf has no union of a name and a list of names.
BIN_EDGES = "inner bin edges of a sensitive number: +data.bin_edges.bmi=[18.5,25,30]"


def as_list(value: object) -> list[str]:
    """Return a list of names: from nothing, one name, or several.

    >>> as_list(None), as_list("sex"), as_list(["sex", "age"])
    ([], ['sex'], ['sex', 'age'])
    """
    if value is None or value == "":
        return []
    return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]


class SplitKeys(Protocol):
    """The keys of a data option whose rows are split here."""

    split: str
    split_column: str | None
    unit: str | None
    validation_fraction: float
    test_fraction: float


def check_split(config: SplitKeys) -> None:
    """Raise ``ValueError`` that names the key of a split that can't be carried out."""
    one_of("data.split", config.split, SPLIT_METHODS)
    split_fractions("data", config.validation_fraction, config.test_fraction)
    if config.split == "column" and not config.split_column:
        raise config_error("data.split_column", None, "data.split=column needs the column's name")
    if config.split == "unit" and not config.unit:
        raise config_error("data.unit", None, "data.split=unit needs the column's name")
    if config.split == "time" and not getattr(config, "time", None):
        raise config_error("data.time", None, "data.split=time needs the column's name")


def split_plan(config: SplitKeys, seed: int, gap: float = 0.0, disjoint_entities: bool = True) -> SplitPlan:
    """Return the split that the keys of a data option ask for."""
    return SplitPlan(
        by="column" if config.split == "auto" and config.split_column else config.split,
        column=config.split_column,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=seed,
        gap=gap,
        disjoint_entities=disjoint_entities,
    )


@register("data", "simulated", builds="core.data.sources:simulate")
class SimulatedData(DataConfig):
    """The task's simulation, with a known ground truth and a planted bias; every output says so."""

    rows: int = field(4000, "rows to simulate")

    def __post_init__(self) -> None:
        """Raise ValueError for too few rows."""
        if self.rows < MIN_SIMULATED:
            raise config_error(
                "data.rows", self.rows, f"at least {MIN_SIMULATED} rows, so that every split has some"
            )


@register("data", "table", builds="core.data.sources.table:read")
class TableData(DataConfig):
    """Your own table: CSV, TSV, JSONL or Parquet, also .gz, .xz, .zst, .bz2 or .zip."""

    path: str = field("", "the file; relative paths are looked up here and under PLINTH_DATA")
    target: Any = field([], "the column to predict (several 0/1 columns: multilabel)")
    sensitive: Any = field([], "columns of sensitive attributes, compared between groups")
    unit: str | None = field(None, "column of whom a row belongs to (patient, card); kept in one split")
    time: str | None = field(None, "column of dates or numbers that orders rows")
    numeric: Any = field([], "input columns to read as numbers")
    categorical: Any = field([], "input columns to read as categories")
    text: Any = field([], "input columns to read as text")
    references: Any = field([], "text columns that the text is compared with, such as model answers")
    prompt: str | None = field(None, "text column of the question or task that the text answers")
    drop_columns: Any = field([], "columns to leave out")
    infer_roles: bool = field(True, "infer the role of every other column (false: leave them out)")
    missing: Any = field(
        None, "values that mean missing, instead of ?, NA, N/A, NaN, null (which hold in text files only)"
    )
    delimiter: str = field("auto", "delimiter of a CSV; auto infers it from the file")
    quote: str = field('"', "character that quotes cells of a CSV; none: quotation marks are text")
    encoding: str = field("auto", "text encoding; auto tries UTF-8, then Windows-1252")
    decimal: str = field("auto", "decimal mark of numbers in text: auto, '.' or ','")
    thousands: str = field("auto", "mark of thousands: auto, none, ',', '.', ' ' or an apostrophe")
    skip_rows: int = field(0, "lines of a CSV before its header")
    comment: str = field("", "lines of a CSV that begin with it are left out")
    header: str = field("first", "first: the first line names the columns; none: column_1, column_2, ...")
    date_order: str = field("auto", "order of dates in text: auto, dmy, mdy or ymd")
    bin_edges: dict[str, list[float]] = field({}, BIN_EDGES)
    drop_unlabeled: bool = field(False, "leave rows without a target out instead of refusing them")
    split: str = field("auto", "auto (unit if given, else stratified), column, unit, time, stratified")
    split_column: str | None = field(None, "column that holds train, validation and test")
    validation_fraction: float = field(0.2, "fraction of the rows in the validation set")
    test_fraction: float = field(0.2, "fraction of the rows in the test set")
    gap: float = field(0.0, "split=time: days (or the number's own unit) left out before each later split")
    disjoint_entities: bool = field(True, "split=time: leave out later rows of a unit in an earlier split")

    def __post_init__(self) -> None:
        """Accept one name for a list of one (data.target=outcome); raise ValueError for a split that can't be."""
        lists = (
            "target",
            "sensitive",
            "numeric",
            "categorical",
            "text",
            "references",
            "drop_columns",
        )
        for key in lists:
            setattr(self, key, as_list(getattr(self, key)))
        if self.missing is not None:
            self.missing = as_list(self.missing)
        self.reader()
        check_split(self)
        at_least_zero("data", gap=self.gap)

    def reader(self) -> ReaderSettings:
        """Return the settings of the reader; raises ValueError that names the key of one that can't be."""
        return ReaderSettings(
            delimiter=self.delimiter,
            quote=self.quote,
            encoding=self.encoding,
            decimal=self.decimal,
            thousands=self.thousands,
            missing=None if self.missing is None else tuple(self.missing),
            skip_rows=self.skip_rows,
            comment=self.comment,
            header=self.header,
            date_order=self.date_order,
        )


@register("data", "text", builds="core.data.sources.table:read")
class TextData(TableData):
    """Your own texts: a table or JSONL with a text column and a target."""

    text: Any = field(["text"], "the text columns")
    infer_roles: bool = field(False, "use the other columns as inputs too")


@register("data", "images", builds="core.data.sources.table:read")
class ImagesData(TableData):
    """Your own images in a Parquet file: a column of encoded images (or of file paths) and a target."""

    image: str = field("image", "the column of encoded images or of paths")
    infer_roles: bool = field(False, "use the other columns as inputs too")


@register("data", "image_folder", builds="core.data.sources.image_folder:read")
class ImageFolderData(DataConfig):
    """Your own folder of images: one folder per class, below train, validation and test where given."""

    path: str = field("", "the folder; relative paths are looked up here and under PLINTH_DATA")
    metadata: str | None = field(None, "table with a row per image: file, label, sensitive columns, unit")
    file: str = field("file", "metadata: column of the path below the folder (or the file's name)")
    target: str = field("label", "metadata: column of the class, if the folders do not give it")
    sensitive: Any = field([], "metadata: columns of sensitive attributes")
    unit: str | None = field(None, "metadata: column of whom an image belongs to")
    bin_edges: dict[str, list[float]] = field({}, BIN_EDGES)
    drop_unlabeled: bool = field(False, "leave images without a class out instead of refusing them")
    split: str = field(
        "auto", "auto (folders, else unit if given, else stratified), column, unit, stratified"
    )
    split_column: str | None = field(None, "metadata: column that holds train, validation and test")
    validation_fraction: float = field(0.2, "fraction of the images in the validation set, without folders")
    test_fraction: float = field(0.2, "fraction of the images in the test set, without folders")

    def __post_init__(self) -> None:
        """Accept one name for a list of one; raise ValueError for a split that can't be."""
        self.sensitive = as_list(self.sensitive)
        check_split(self)


@register("data", "mask_folder", builds="core.data.sources.mask_folder:read")
class MaskFolderData(ImageFolderData):
    """Your own images with masks: folders images and masks (same names), and a text file of class names."""

    images: str = field("images", "folder of images below the path (or below train, validation, test)")
    masks: str = field("masks", "folder of masks, images of class numbers, beside it")
    classes: str = field("classes.txt", "file below the path: names of pixel values 0, 1, ... one a line")
    target: str = field("mask", "name of the column of masks; nothing to choose")
