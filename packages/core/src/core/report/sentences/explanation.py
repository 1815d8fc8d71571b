"""Sentences about explanations and their tests: the record's ``explanation``."""

from __future__ import annotations

from core.explanation.section import ExampleSection, ExplanationSection
from core.report.formatting import format_percent, join_words

METHODS = {
    "occlusion": "occlusion",
    "integrated_gradients": "integrated gradients",
    "rollout": "attention rollout",
}
OUTPUTS = {
    "class_log_odds": "log odds of the predicted class",
    "label_log_odds": "log odds of the likeliest label",
    "intent_log_odds": "log odds of the predicted intent (slots are not explained)",
    "expected_grade": "expected grade, in steps from the lowest",
    "value": "predicted value",
    "class_area": "share of the image predicted as one class, that which varies most over the rows",
}
"""Code of ``ExplanationSection.explained_output`` -> the output."""
UNAVAILABLE = {
    "no_attention": "this network has no attention that can be followed",
    "windowed_attention": "its attention is not over one row of tokens (windows, or several resolutions)",
    "tokens_are_not_features": "its tokens are not the row's features",
    "no_patch_grid": "its tokens are no grid of patches",
}
CHOSEN_AS = {
    "confident_correct": "correct and confident",
    "wrong": "wrong",
    "least_confident": "least confident",
}


def headline(section: ExplanationSection) -> str:
    """Return the most important features, or that explanations are no better than random."""
    if section.unavailable is not None:
        return "Not explained"
    if section.faithfulness is None or not section.faithfulness.above_random:
        return "Not explained better than at random"
    units = plural(section.feature_kind)
    if section.feature_kind in ("patch", "segment"):
        return (
            f"A quarter of the {units} carries {format_percent(section.concentration or 0.0)} of the effect"
        )
    names = [
        f"“{line.name}”" if line.kind == "word" else line.name
        for line in section.importance[:3]
        if line.mean_abs
    ]
    return f"Mostly {join_words(names)}" if names else f"Different {units} in every row"


def detail(section: ExplanationSection) -> str:
    """Return how faithful the explanations are and what the other tests found."""
    if section.unavailable == "too_few_rows":
        return "The test set has fewer than two rows."
    if section.unavailable is not None:
        reason = UNAVAILABLE.get(section.unavailable, section.unavailable)
        return f"explanation.method={section.method}: {reason}; choose another method."
    assert section.faithfulness is not None
    units, ratio = plural(section.feature_kind), section.faithfulness.deletion.ratio_to_random
    parts = [f"Masking {units} does not change the output, so nothing could be tested."]
    if ratio.value is not None and ratio.low is not None:
        above = (
            "." if section.faithfulness.above_random else "; they are not above random in both directions."
        )
        parts = [
            f"Masking the {units} ranked first changes the output {ratio.value:.1f} times as much as masking {units} "
            f"at random ({ratio.low:.1f} to {ratio.high:.1f}){above}"
        ]
    tests = []
    if section.sanity is not None and section.sanity.value is not None:
        verb = "change" if section.sanity.passed else "stay partly as they are"
        tests.append(
            f"with permuted weights the explanations {verb} (rank correlation {section.sanity.value:.2f})"
        )
    if section.stability is not None and section.stability.value is not None:
        tests.append(f"after a small perturbation of the row it is {section.stability.value:.2f}")
    if tests:
        text = "; ".join(tests)
        parts.append(f"{text[0].upper()}{text[1:]}.")
    parts.append(f"By {method(section)} on {section.rows} test rows.")
    return " ".join(parts)


def method(section: ExplanationSection) -> str:
    """Return the name of the attribution method."""
    return "" if section.method is None else METHODS.get(section.method, section.method)


def method_reason(section: ExplanationSection) -> str:
    """Return why this method explained."""
    if section.method is None:
        return ""
    if section.method_reason == "requested" or section.features_per_row is None:
        return f"explanation.method={section.method} was requested"
    units = f"a row has {section.features_per_row:.0f} {plural(section.feature_kind)} on average"
    if section.method_reason == "few_features":
        most = f"at most {section.max_occluded_features}"
        return f"{units}, {most}: each can be masked in turn, which tests the whole model"
    return f"{units}, more than {section.max_occluded_features}: masking each in turn would cost too much"


def explained_output(section: ExplanationSection) -> str:
    """Return which output of the model is explained."""
    return OUTPUTS.get(section.explained_output, section.explained_output)


def notes(section: ExplanationSection) -> list[str]:
    """Return how rows and references were chosen, and what the explanations leave out."""
    if section.unavailable is not None:
        return []
    found = [
        f"Explained output: {explained_output(section)}, before recalibration.",
        "Masked columns take quantiles that the encoder keeps, words are left out, patches and segments take the mean "
        "of their own row, earlier events never happened: no training row is read.",
    ]
    if (section.unassigned or 0.0) > 0.01:
        found.append(
            f"{format_percent(section.unassigned)} of the attributions of integrated gradients belong to none of the "
            "features (numbers computed from texts, n-grams of no word)."
        )
    if (section.completeness_error or 0.0) > 0.05:
        found.append(
            f"Integrated gradients miss {format_percent(section.completeness_error)} of what they should add up to; "
            "raise explanation.steps."
        )
    if section.stability is None:
        found.append("Stability was not tested: no feature of these inputs can be perturbed slightly.")
    if section.feature_kind == "word" and not section.importance:
        found.append(f"No word occurs in {section.min_word_rows} explained rows, so none is named.")
    if section.rows_requested is not None and section.rows < section.rows_requested:
        found.append(
            f"{section.rows} of {section.rows_requested} rows were explained: more would take over "
            f"{format_percent(section.compute_fraction or 0.0)} of training's forward passes "
            "(explanation.compute_fraction)."
        )
    stratified = ", stratified by predicted class." if section.stratified else "."
    found.append(f"Rows are sampled at random from the test set{stratified}")
    count = len(section.examples)
    found.append(
        {
            "requested": f"explanation.examples={count} was requested: {count} test rows are shown with their content.",
            "simulated": "The data are simulated: three test rows are shown with their content.",
        }.get(
            section.examples_reason,
            "No single row is shown, because these are no simulated data: explanation.examples=3 shows three, with "
            "their content.",
        )
    )
    return found


def example_title(example: ExampleSection) -> str:
    """Return which row an example shows and why it was selected."""
    reason = CHOSEN_AS.get(example.chosen_as, example.chosen_as)
    return f"Row {example.row}{f': {reason}' if reason else ''}"


def unavailable(reason: str) -> str:
    """Return why a network does not have a method.

    >>> unavailable("no_attention")
    'this network has no attention that can be followed'
    """
    return UNAVAILABLE.get(reason, reason)


def plural(kind: str) -> str:
    """Return the plural of a kind of feature.

    >>> plural("patch"), plural("word")
    ('patches', 'words')
    """
    return "patches" if kind == "patch" else f"{kind}s"
