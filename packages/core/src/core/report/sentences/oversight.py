"""Sentences about who decides: the record's ``oversight``, and the counts of any predicted rows."""

from __future__ import annotations

from core.oversight.decision_rule import DEFER_ALL
from core.oversight.section import DecisionCounts, OversightSection, RuleSection
from core.report.formatting import format_percent


def headline(section: OversightSection) -> str:
    """Return whose role it is to answer for the decisions, and how much goes to a human."""
    responsible = section.declaration.responsible
    role = f"{responsible[:1].upper()}{responsible[1:]}"
    if not section.declaration.acts:
        return f"{role}, in every case"
    return f"{role}; {format_percent(section.counts.share(section.counts.to_human))} go to a human"


def detail(section: OversightSection) -> str:
    """Return the shares of the test set that a human decides or confirms, and what happens to the rest."""
    if section.rule.method == "none":
        return "Nobody checks before: no prediction is deferred or confirmed (oversight=none)."
    counts = section.counts
    rest = "takes effect" if section.declaration.acts else "only advises"
    text = (
        f"{format_percent(counts.share(counts.unsure))} of the test rows go to a human as unsure, "
        f"{format_percent(counts.share(counts.confirm))} to be confirmed; the rest {rest}."
    )
    if section.rule.threshold >= DEFER_ALL:
        text += " On validation no confidence reached the accuracy asked of predictions left to the model."
    return text


def rule(section: OversightSection) -> list[str]:
    """Return the decision rule that ``predict`` and ``serve`` obey, in sentences."""
    return rule_in_words(section.rule)


def rule_in_words(rule: RuleSection) -> list[str]:
    """Return a decision rule in sentences."""
    stands = "takes effect" if rule.acts else "is offered as advice"
    if rule.method == "none":
        found = [f"Every prediction {stands}, however unsure: oversight=none."]
    elif rule.threshold <= 0:
        found = [f"Every prediction {stands}; none is deferred to a human for want of confidence."]
    elif rule.threshold >= DEFER_ALL:
        found = [
            "Every prediction goes to a human: on validation no confidence reached the accuracy asked of the rest."
        ]
    else:
        confidence = "its probability"
        if rule.method in ("absolute", "normalized"):
            confidence = "its confidence (how narrow its interval is beside the others')"
        found = [
            f"A prediction {stands} where {confidence} is at least {rule.threshold:.3f}; else a human decides."
        ]
    if rule.confirm:
        found.append(f"A human confirms {', '.join(rule.confirm)} before anything is done.")
    if rule.confirm_words:
        found.append(
            f"A human confirms predictions on texts with one of the words {', '.join(rule.confirm_words)}."
        )
    return found


def notes(section: OversightSection) -> list[str]:
    """Return what was declared that these data can't fulfil."""
    if not section.missing_confirm_classes:
        return []
    return [
        f"Declared to be confirmed, but no class of these data: {', '.join(section.missing_confirm_classes)}."
    ]


def counts(found: DecisionCounts) -> str:
    """Return how many rows go to a human.

    >>> counts(DecisionCounts(rows=100, model=90, unsure=8, confirm=2))
    '10 of 100 go to a human (8 unsure, 2 to confirm)'
    """
    return f"{found.to_human:,} of {found.rows:,} go to a human ({found.unsure:,} unsure, {found.confirm:,} to confirm)"
