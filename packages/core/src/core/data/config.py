"""The ``data=`` and ``encoder=`` options (and, by import, ``augmentation=``). Imports nothing heavy, for ``--help``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from core.config import DataConfig, EncoderConfig, config_error, field, register
from core.config.validate import one_of
from core.data.augmentation_config import ImageAugmentation as ImageAugmentation
from core.data.augmentation_config import NoAugmentation as NoAugmentation
from core.data.augmentation_config import SignalAugmentation as SignalAugmentation
from core.data.augmentation_config import TableAugmentation as TableAugmentation

if TYPE_CHECKING:
    from core.data.encoders.columns import ColumnsEncoder
    from core.data.types import Dataset, ColumnRoles, SplitPlan

TRAINED_TOKENIZERS = ("own", "words")
"""Tokenizers that are made from the training texts."""
SPLIT_METHODS = ("auto", "column", "unit", "time", "stratified")


class SimulatedTask(Protocol):
    """A use case that can make data with a known truth."""

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Make labelled rows, the same ones for the same seed."""


def as_list(value: object) -> list[str]:
    """Give a list of names: nothing, one name, or a list of them."""
    if value is None or value == "":
        return []
    return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]


@register("data", "simulated")
class SimulatedData(DataConfig):
    """Made by the task's simulation, with a known truth and a planted bias; every output says so."""

    rows: int = field(4000, "rows to make")

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Ask the task for its simulation."""
        if self.rows < 100:
            raise config_error("data.rows", self.rows, "at least 100 rows, so that every part has some")
        return task.simulate(self.rows, seed)


@register("data", "table")
class TableData(DataConfig):
    """Your own table: CSV, TSV, JSONL or Parquet, also .gz, .xz, .zst, .bz2 or .zip."""

    path: str = field("", "the file; relative paths are looked up here and under PLINTH_DATA")
    target: Any = field([], "the column to predict (several 0/1 columns: multilabel)")
    sensitive: Any = field([], "columns of sensitive attributes, compared between groups")
    unit: str | None = field(None, "column that says whom a row belongs to (patient, card); kept in one part")
    time: str | None = field(None, "column of dates or numbers that orders rows")
    numeric: Any = field([], "input columns to read as numbers")
    categorical: Any = field([], "input columns to read as categories")
    text: Any = field([], "input columns to read as text")
    references: Any = field([], "text columns that the text is compared with, such as model answers")
    prompt: str | None = field(None, "text column of the question or task that the text answers")
    ignore: Any = field([], "columns to leave out")
    infer: bool = field(True, "infer the part that every other column plays (false: leave them out)")
    missing: Any = field([], "values that mean missing, besides empty, ?, NA, N/A, NaN, null")
    delimiter: str = field("auto", "what stands between fields of a CSV; auto tells it from the file")
    encoding: str = field("auto", "text encoding; auto tries UTF-8, then Windows-1252")
    bands: dict[str, list[float]] = field(
        {}, "edges of a sensitive number's bands: +data.bands.bmi=[18.5,25,30]"
    )
    drop_unlabelled: bool = field(False, "leave rows without a target out instead of refusing them")
    split: str = field("auto", "auto (unit if given, else stratified), column, unit, time, stratified")
    split_column: str | None = field(None, "column that holds train, validation and test")
    validation: float = field(0.2, "share of the rows for validation")
    test: float = field(0.2, "share of the rows for the test")
    gap: float = field(0.0, "split=time: days (or the number's own unit) left out before each later part")
    units_apart: bool = field(True, "split=time: leave out later rows of a unit that an earlier part has")

    def __post_init__(self) -> None:
        """Let one name stand for a list of one: data.target=outcome."""
        for key in (
            "target",
            "sensitive",
            "numeric",
            "categorical",
            "text",
            "references",
            "ignore",
            "missing",
        ):
            setattr(self, key, as_list(getattr(self, key)))

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read the table and infer what was not said."""
        from core.data.sources.table import own_table

        return own_table(self, seed)


@register("data", "text")
class TextData(TableData):
    """Your own texts: a table or JSONL with a text column and a target."""

    text: Any = field(["text"], "the text columns")
    infer: bool = field(False, "use the other columns as inputs too")


@register("data", "images")
class ImagesData(TableData):
    """Your own images in a Parquet file: a column of encoded images (or of file paths) and a target."""

    image: str = field("image", "the column of encoded images or of paths")
    infer: bool = field(False, "use the other columns as inputs too")


@register("data", "image_folder")
class ImageFolderData(DataConfig):
    """Your own folder of images: one folder per class, below train, validation and test where given."""

    path: str = field("", "the folder; relative paths are looked up here and under PLINTH_DATA")
    metadata: str | None = field(None, "table with a row per image: file, label, sensitive columns, unit")
    file: str = field("file", "metadata: column of the path below the folder (or the file's name)")
    target: str = field("label", "metadata: column of the class, if the folders do not give it")
    sensitive: Any = field([], "metadata: columns of sensitive attributes")
    unit: str | None = field(None, "metadata: column that says whom an image belongs to")
    bands: dict[str, list[float]] = field(
        {}, "edges of a sensitive number's bands: +data.bands.bmi=[18.5,25,30]"
    )
    drop_unlabelled: bool = field(False, "leave images without a class out instead of refusing them")
    split: str = field(
        "auto", "auto (folders, else unit if given, else stratified), column, unit, stratified"
    )
    split_column: str | None = field(None, "metadata: column that holds train, validation and test")
    validation: float = field(0.2, "share of the images for validation, where no folder gives it")
    test: float = field(0.2, "share of the images for the test, where no folder gives it")

    def __post_init__(self) -> None:
        """Let one name stand for a list of one."""
        self.sensitive = as_list(self.sensitive)

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """List the folder's images."""
        from core.data.sources.table import own_image_folder

        return own_image_folder(self, seed)


@register("data", "mask_folder")
class MaskFolderData(ImageFolderData):
    """Your own images with masks: folders images and masks (same names), and a text file of class names."""

    images: str = field("images", "folder of images below the path (or below train, validation, test)")
    masks: str = field("masks", "folder of masks, pictures of class numbers, beside it")
    classes: str = field("classes.txt", "file below the path: names of pixel values 0, 1, ... one a line")
    target: str = field("mask", "name of the column of masks; nothing to choose")

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """List the folder's images and their masks."""
        from core.data.sources.mask_folder import own_mask_folder

        return own_mask_folder(self, seed)


def split_plan(config: TableData | ImageFolderData, seed: int) -> SplitPlan:
    """Make the plan of a data option, naming the key of a value that can't be."""
    from core.data.types import SplitPlan

    one_of("data.split", config.split, SPLIT_METHODS)
    for key in ("validation", "test"):
        share = getattr(config, key)
        if not 0 < share < 1:
            raise config_error(f"data.{key}", share, "a share of the rows between 0 and 1")
    if config.validation + config.test >= 1:
        raise config_error(
            "data.validation", config.validation, f"with data.test={config.test} nothing is left to train on"
        )
    by = "column" if config.split == "auto" and config.split_column else config.split
    if by == "column" and not config.split_column:
        raise config_error("data.split_column", None, "data.split=column needs the column's name")
    if by == "unit" and not config.unit:
        raise config_error("data.unit", None, "data.split=unit needs the column's name")
    time = getattr(config, "time", None)
    if by == "time" and not time:
        raise config_error("data.time", None, "data.split=time needs the column's name")
    gap = getattr(config, "gap", 0.0)
    if gap < 0:
        raise config_error("data.gap", gap, "zero or more")
    return SplitPlan(
        by=by,
        column=config.split_column,
        validation_fraction=config.validation,
        test_fraction=config.test,
        seed=seed,
        gap=gap,
        disjoint_entities=getattr(config, "units_apart", True),
    )


@register("encoder", "fields")
class ColumnsEncoderConfig(EncoderConfig):
    """Encode each column by the part it plays; everything is fitted on the training part only."""

    numeric: str = field("standard", "numbers: standard (mean 0, deviation 1), quantile (to a normal), none")
    clip: float = field(10.0, "limit of a scaled number, in deviations; 0 for none")
    bins: int = field(16, "quantile bins of a number, for backbones that embed it piecewise")
    rare: int = field(5, "categories with fewer training rows share one code")
    categories: int = field(2000, "most categories kept of one column; the rarest share one code")
    tokens: bool = field(True, "give texts as tokens")
    tokenizer: str = field(
        "own",
        "own (byte-level BPE), words, text_small (with backbone=text_small), a local folder or a hub name",
    )
    vocabulary: int = field(8000, "most tokens that the own tokenizer (or words) knows")
    length: int = field(256, "most tokens of one row; longer texts lose their middle or end (see cut)")
    cut: str = field("end", "what a text that is too long loses: end, middle, start")
    lowercase: bool = field(True, "own tokenizer and bag: fold upper case to lower")
    words: bool = field(False, "give the text as words with features, one place a word (target=tokens)")
    word_features: int = field(40_000, "words: most features (words, their ends, neighbours) that are known")
    bag: int = field(0, "number of TF-IDF features of the texts, 0 for none")
    bag_words: int = field(2, "longest word n-gram of the bag, 0 for no words")
    bag_chars: int = field(0, "longest character n-gram of the bag (from 2, inside words), 0 for none")
    bag_prompt: int = field(0, "TF-IDF features of n-grams within the answers to one prompt, 0 for none")
    compare_topics: int = field(
        64, "text with references: directions of latent semantic analysis, 0 for none"
    )
    companions: bool = field(False, "tokens hold prompt and references after the text, as a pair")
    examples: int = field(
        0,
        "compare with so many graded training texts of each class that answer the same prompt; 0 for none. "
        "They are kept in the run's folder",
    )
    image_size: int = field(0, "height and width in pixels; 0: the training images' own, at most 224")
    image_width: int = field(0, "width in pixels where it is not the height (image_size); 0: image_size")
    image_source: int = field(0, "height and width kept for random crops to image_size; 0: image_size")
    image_channels: int = field(3, "3 for colour, 1 for grey")
    image_fit: str = field("squash", "how an image gets its size: squash, crop (its centre), pad")
    signal_length: int = field(0, "samples of a signal; 0: the longest of the training part")
    signal_fit: str = field("pad", "how a signal gets its length: pad (or crop at the end), resample")
    signal_scale: str = field("row", "signals: row (each its own mean and deviation), train, none")
    history: int = field(0, "events: rows of the same unit seen with a row, itself included; 0 for none")
    cache_mb: int = field(2048, "decoded images are kept in memory up to this size, else decoded anew")

    def build(self, roles: ColumnRoles) -> ColumnsEncoder:
        """Make an unfitted encoder for columns that play these parts."""
        from core.data.encoders.columns import ColumnsEncoder

        self.check()
        return ColumnsEncoder(self, roles)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        choices = {
            "numeric": ("standard", "quantile", "none"),
            "cut": ("end", "middle", "start"),
            "image_fit": ("squash", "crop", "pad"),
            "signal_fit": ("pad", "resample"),
            "signal_scale": ("row", "train", "none"),
            "image_channels": (1, 3),
        }
        for key, allowed in choices.items():
            one_of(f"encoder.{key}", getattr(self, key), allowed)
        least = {"clip": 0, "bins": 2, "rare": 1, "categories": 2, "vocabulary": 300, "length": 4, "bag": 0}
        least |= {
            "word_features": 1,
            "bag_words": 0,
            "bag_chars": 0,
            "bag_prompt": 0,
            "compare_topics": 0,
            "examples": 0,
            "image_size": 0,
            "image_width": 0,
            "image_source": 0,
            "signal_length": 0,
            "history": 0,
            "cache_mb": 0,
        }
        for key, low in least.items():
            if getattr(self, key) < low:
                raise config_error(f"encoder.{key}", getattr(self, key), f"at least {low}")
        if self.image_width and not self.image_size:
            raise config_error(
                "encoder.image_width", self.image_width, "needs encoder.image_size, the height"
            )
        if self.bag and not (self.bag_words or self.bag_chars):
            raise config_error("encoder.bag_words", 0, "encoder.bag needs word or character n-grams")
        if self.bag_chars == 1:
            raise config_error("encoder.bag_chars", 1, "character n-grams start at 2")
