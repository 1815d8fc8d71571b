"""The record's ``explanation``: which features predictions rest on, and whether the explanations are faithful."""

from __future__ import annotations

from pydantic import Field

from core.config.section import Estimate, Section


class FeatureImportance(Section):
    """Mean absolute effect of a feature over the explained rows."""

    name: str
    kind: str
    """column, event, word, patch or segment."""
    mean_abs: float
    """In the explained output."""
    low: float | None
    high: float | None


class FaithfulnessTest(Estimate):
    """Area gained over random orders, as a share of the whole effect; 0 is random."""

    above_random: bool
    """The interval lies above 0."""
    ratio_to_random: Estimate
    """Area over the area of random orders."""
    random: Estimate
    """Area of random orders, as a share of the whole effect."""


class FaithfulnessSection(Section):
    """Deletion and insertion curves (Petsiuk et al. 2018) against random orders."""

    deletion: FaithfulnessTest
    """Features masked, the most supportive first."""
    insertion: FaithfulnessTest
    """Features restored, the most supportive first."""
    above_random: bool
    """In both directions."""


class CheckedRows(Estimate):
    """Mean rank correlation of two explanations of the same rows."""

    rows: int
    """Rows in which it is defined."""


class SanityCheck(CheckedRows):
    """Rank correlation with the explanations of the model with permuted weights (Adebayo et al. 2018); low is right."""

    passed: bool | None
    """The interval lies below 0.5; null where it could not be tested."""


class MethodComparison(Estimate):
    """Mean rank correlation with another method's explanations."""

    unavailable: str | None = None
    """Code of the reason why the network has no such method: see ``core.explanation.rollout.MethodUnavailable``."""


class GroupFaithfulness(Estimate):
    """Gain over random orders in one group."""

    rows: int


class FaithfulnessDisparity(Estimate):
    """The largest disparity between two groups; its interval allows for all pairs compared."""

    between: list[str]
    """Higher group, lower group."""


class GroupFaithfulnessTable(Section):
    """Faithfulness in the groups of one attribute."""

    groups: dict[str, GroupFaithfulness]
    suppressed: list[str]
    """Groups with too few rows."""
    disparity: FaithfulnessDisparity | None
    """Null with fewer than two groups."""


class Reason(Section):
    """One of an example's strongest features."""

    name: str
    effect: float
    value: float | int | str | bool | None = None
    """Of a column."""
    has_value: bool = False
    """The feature is a column, whose value may be missing."""


class TextPiece(Section):
    """A piece of a text."""

    text: str
    effect: float | None
    """Of its word; null between words."""


class HighlightedText(Section):
    """A text in pieces."""

    column: str
    pieces: list[TextPiece]


class SignalExample(Section):
    """A signal and the effects of its segments."""

    points: list[float]
    """Samples of the first channel, thinned."""
    effects: list[float]
    segments: list[str]
    """Names of the segments."""


class ExampleSection(Section):
    """One explained row, with its content."""

    row: int
    """Number in the source."""
    chosen_as: str
    """confident_correct, wrong, least_confident, or "" for further ones."""
    predicted: str
    label: str
    """Ground truth."""
    explained_class: str
    """Class whose evidence is explained; "" where it is a value."""
    score: float | None
    """Confidence of the prediction; null for values and masks."""
    shows_labels: bool = True
    """Prediction and label are words; of masks they are not shown."""
    reasons: list[Reason]
    texts: list[HighlightedText] = Field(default_factory=list)
    image: str | None = None
    """PNG in a data address: the image, and beside it in gray what spoke for and against the prediction."""
    strongest_patch: list[str] | None = None
    """Where the strongest patch lies: top, middle or bottom; left, center or right."""
    signal: SignalExample | None = None


class ExplanationSection(Section):
    """Explained test rows: importance of features, tests of the explanations, examples."""

    unavailable: str | None = None
    """Why nothing was explained: too_few_rows, or a code of ``MethodUnavailable``; null where it was."""
    method: str | None = None
    """occlusion, integrated_gradients or rollout."""
    method_reason: str = "requested"
    """requested, few_features or many_features."""
    features_per_row: float | None = None
    max_occluded_features: int | None = None
    """Features of a row up to which they are masked one by one."""
    rows: int = 0
    """Test rows that were explained."""
    rows_requested: int | None = None
    compute_fraction: float | None = None
    """Of training's forward passes that explaining may take."""
    stratified: bool = False
    """Rows were drawn alike from every predicted class; else at random."""
    feature_kind: str = "feature"
    """column, event, word, patch, segment, or feature where there are several kinds."""
    explained_output: str = ""
    """What is explained, before recalibration: class_log_odds, label_log_odds, intent_log_odds, expected_grade, value,
    class_area."""
    confidence: float | None = None
    """Of the intervals."""
    importance: list[FeatureImportance] = Field(default_factory=list)
    concentration: float | None = None
    """Share of the absolute effect that the strongest quarter of a row's features carries, mean over rows."""
    min_word_rows: int | None = None
    """Explained rows that a word must occur in to be named: a rarer one may name a person."""
    faithfulness: FaithfulnessSection | None = None
    sanity: SanityCheck | None = None
    stability: CheckedRows | None = None
    """Rank correlation with the explanations of perturbed rows; null where no input can be perturbed."""
    by_group: dict[str, GroupFaithfulnessTable] = Field(default_factory=dict)
    """By attribute."""
    comparison: dict[str, MethodComparison] = Field(default_factory=dict)
    """By method."""
    unassigned: float | None = None
    """Share of the absolute attributions of integrated gradients that belongs to no feature."""
    completeness_error: float | None = None
    """Of integrated gradients: mean absolute convergence delta over the mean absolute sum."""
    examples_reason: str = "withheld"
    """requested, simulated, or withheld: no row is shown because the data are real."""
    examples: list[ExampleSection] = Field(default_factory=list)
    seconds: float | None = None
