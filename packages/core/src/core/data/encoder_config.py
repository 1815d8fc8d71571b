"""The ``encoder=`` options. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import EncoderConfig, config_error, field, register
from core.config.validate import one_of

TRAINED_TOKENIZERS = ("bpe", "words")
"""Tokenizers that are trained on the training texts."""


def _at_least(prefix: str, config: object, least: dict[str, int]) -> None:
    for key, low in least.items():
        if getattr(config, key) < low:
            raise config_error(f"{prefix}.{key}", getattr(config, key), f"at least {low}")


@dataclass
class TextEncoding:
    """How texts are encoded: as tokens, as words with features, as TF-IDF, compared with references."""

    tokens: bool = field(True, "encode texts as tokens")
    tokenizer: str = field(
        "bpe",
        "bpe (byte-level, trained), words (trained), text_small (with backbone=text_small), a folder or a hub name",
    )
    vocab_size: int = field(8000, "size of the vocabulary of a trained tokenizer (bpe, words)")
    max_length: int = field(256, "most tokens of one row; longer texts are truncated")
    truncation: str = field("end", "where a text that is too long is truncated: end, middle, start")
    lowercase: bool = field(True, "trained tokenizers and TF-IDF: fold upper case to lower")
    word_features: bool = field(False, "encode each word by its features (target=intent_slots)")
    max_word_features: int = field(40_000, "word_features: most features (words, their ends, neighbors) kept")
    tfidf_features: int = field(0, "number of TF-IDF features of the texts, 0 for none")
    tfidf_word_ngrams: int = field(2, "TF-IDF: longest word n-gram, 0 for no words")
    tfidf_char_ngrams: int = field(0, "TF-IDF: longest character n-gram (from 2, inside words), 0 for none")
    tfidf_per_prompt: int = field(0, "TF-IDF features of n-grams within the texts to one prompt, 0 for none")
    lsa_components: int = field(
        64, "text with references: components of latent semantic analysis, 0 for none"
    )
    text_pair: bool = field(False, "tokens hold prompt and references after the text, as a pair")
    knn_examples_per_class: int = field(
        0,
        "k-nearest neighbors: compare with the nearest k training texts of each class that answer the same prompt, "
        "0 for none. They are kept in the run's folder",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        one_of("encoder.text.truncation", self.truncation, ("end", "middle", "start"))
        least = {"vocab_size": 300, "max_length": 4, "max_word_features": 1}
        least |= dict.fromkeys(
            (
                "tfidf_features", "tfidf_word_ngrams", "tfidf_char_ngrams", "tfidf_per_prompt", "lsa_components",
                "knn_examples_per_class",
            ), 0,
        )  # fmt: skip
        _at_least("encoder.text", self, least)
        if self.tfidf_features and not (self.tfidf_word_ngrams or self.tfidf_char_ngrams):
            raise config_error(
                "encoder.text.tfidf_word_ngrams", 0, "tfidf_features needs word or character n-grams"
            )
        if self.tfidf_char_ngrams == 1:
            raise config_error("encoder.text.tfidf_char_ngrams", 1, "character n-grams start at 2")


@dataclass
class ImageEncoding:
    """How images are brought to one size."""

    size: int = field(0, "height and width in pixels; 0: the training images' own, at most 224")
    width: int = field(0, "width in pixels where it is not the height (size); 0: size")
    pre_crop_size: int = field(0, "height and width kept for random crops to size; 0: size")
    channels: int = field(3, "3 for color, 1 for gray")
    resize_mode: str = field("stretch", "how an image gets its size: stretch, crop (its center), pad")
    cache_mib: int = field(2048, "decoded images are kept in memory up to this size (MiB), else decoded anew")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        one_of("encoder.image.resize_mode", self.resize_mode, ("stretch", "crop", "pad"))
        one_of("encoder.image.channels", self.channels, (1, 3))
        _at_least("encoder.image", self, dict.fromkeys(("size", "width", "pre_crop_size", "cache_mib"), 0))
        if self.width and not self.size:
            raise config_error("encoder.image.width", self.width, "needs encoder.image.size, the height")


@dataclass
class SignalEncoding:
    """How sampled signals are brought to one length and scale."""

    length: int = field(0, "samples of a signal; 0: the longest of the training set")
    fit: str = field("pad", "how a signal gets its length: pad (or truncate at the end), resample")
    scale: str = field("row", "standardization: row (each signal's own mean and deviation), train, none")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        one_of("encoder.signal.fit", self.fit, ("pad", "resample"))
        one_of("encoder.signal.scale", self.scale, ("row", "train", "none"))
        _at_least("encoder.signal", self, {"length": 0})


@register("encoder", "columns", builds="core.data.encoders.columns:ColumnsEncoder")
class ColumnsEncoderConfig(EncoderConfig):
    """Encode each column by its role; everything is fitted on the training set only."""

    numeric: str = field("standard", "numbers: standard (mean 0, deviation 1), quantile (to a normal), none")
    clip_std: float = field(10.0, "limit of a scaled number, in standard deviations; 0 for none")
    bins: int = field(16, "quantile bins of a number, for backbones that encode it piecewise linearly")
    min_frequency: int = field(5, "categories with fewer training rows share one code")
    max_categories: int = field(2000, "most categories kept of one column; the rarest share one code")
    max_events: int = field(0, "events: rows of the same unit seen with a row, itself included; 0 for none")
    text: TextEncoding = field(TextEncoding, "how texts are encoded")
    image: ImageEncoding = field(ImageEncoding, "how images are encoded")
    signal: SignalEncoding = field(SignalEncoding, "how signals are encoded")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        one_of("encoder.numeric", self.numeric, ("standard", "quantile", "none"))
        least = {"clip_std": 0, "bins": 2, "min_frequency": 1, "max_categories": 2, "max_events": 0}
        _at_least("encoder", self, least)
