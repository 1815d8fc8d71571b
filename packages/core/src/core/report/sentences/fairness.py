"""Sentences about differences between groups and their mitigation: the record's ``fairness``."""

from __future__ import annotations

from core.fairness.section import FairnessSection, MitigationSection, ReferenceRun
from core.report.glossary import display_name

MITIGATIONS = {
    "dro": "Groups with a higher loss gained weight in training (group DRO).",
    "penalty": "Squared disparities between groups were penalized in training.",
    "threshold": "Groups are decided by thresholds of their own, chosen on validation; no decision is randomized.",
    "decorrelate": "What correlates with the attribute was removed from the numeric inputs.",
}
"""Option -> what was done; ``reweight`` depends on where its weights come from."""


def headline(section: FairnessSection) -> str:
    """Return how many differences were found."""
    if not section.comparisons:
        return "Groups too small to compare"
    found = sum(comparison.found for comparison in section.comparisons)
    if not found:
        return "No difference found"
    return f"{found} difference{'s' * (found > 1)} found"


def detail(section: FairnessSection) -> str:
    """Return the largest difference, what can't be excluded, what was done, and how the reference run compares."""
    parts = [_largest(section), mitigation(section), reference_run(section)]
    return " ".join(part for part in parts if part)


def method(section: FairnessSection) -> str:
    """Return what was compared and how the intervals were computed."""
    return (
        f"Each group against all others, {section.unit}s resampled; {100 * section.confidence:g} % intervals that hold "
        "for all comparisons at once (largest studentized difference)."
    )


def mitigation(section: FairnessSection) -> str:
    """Return what was done about disparities; "" where nothing was."""
    return "" if section.mitigation is None else _mitigation(section.mitigation)


def needed_to_predict(section: FairnessSection) -> str:
    """Return which attributes every row that is predicted must have; "" where none."""
    if section.mitigation is None or not section.mitigation.needed_to_predict:
        return ""
    return (
        f"{' and '.join(section.mitigation.needed_to_predict)} must be known of every row that is predicted."
    )


def reference_run(section: FairnessSection) -> str:
    """Return which disparities changed beside the reference run and at what cost; "" without one."""
    return "" if section.reference_run is None else _reference_run(section.reference_run)


def suppressed(section: FairnessSection) -> list[str]:
    """Return by attribute which groups are too small to compare."""
    return [
        f"{attribute}: {', '.join(names)} {'has' if len(names) == 1 else 'have'} fewer than {section.min_group_rows} "
        f"rows and {'is' if len(names) == 1 else 'are'} not compared."
        for attribute, names in section.suppressed.items()
        if " × " not in attribute
    ]


def _largest(section: FairnessSection) -> str:
    small = sum(len(names) for names in section.suppressed.values())
    rest = f" {small} groups are too small to compare." if small else ""
    comparisons = section.comparisons
    if not comparisons:
        return rest.strip()
    many = f"{len(comparisons)} comparisons at {100 * section.confidence:g} % over all"
    first = comparisons[0]
    if not first.found:
        ends = [end for c in comparisons for end in (c.difference.low, c.difference.high) if end is not None]
        return f"{many}; differences of up to {max(map(abs, ends)):.2g} can't be excluded.{rest}"
    return (
        f"Largest: {first.metric} {first.rate:.2f} for {first.attribute} {first.group}, {first.others:.2f} for "
        f"{first.against}. {many}.{rest}"
    )


def _mitigation(done: MitigationSection) -> str:
    if done.option == "reweight":
        source = (
            "given by group"
            if done.settings.get("weights")
            else "by group and class, counted on training rows"
        )
        return f"Training rows were reweighed: weights {source}."
    return MITIGATIONS.get(done.option, f"Mitigated by fairness={done.option}.")


def _reference_run(other: ReferenceRun) -> str:
    changed = [comparison for comparison in other.comparisons if comparison.found]
    utility = ", ".join(
        f"{display_name(cost.metric)} {_number(cost.here)} against {_number(cost.there)}"
        for cost in other.utility_costs
    )
    subject = "Privacy cost by group" if other.privacy_cost else "Against the reference run"
    if not changed:
        return f"{subject}: no disparity between groups clearly changed; {utility}."
    wider, first = sum(comparison.wider for comparison in changed), changed[0]
    many = f"{len(changed)} disparit{'ies' if len(changed) > 1 else 'y'}"
    return (
        f"{subject}: {many} changed, {wider} of them wider; most {first.metric} of {first.attribute} {first.group}, "
        f"{first.difference_there:+.2f} to {first.difference_here:+.2f}; {utility}."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
