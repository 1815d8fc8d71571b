"""Sentences about prediction sets, their coverage, and deferral: the record's ``uncertainty``."""

from __future__ import annotations

from core.oversight.section import UncertaintyMeasures, UncertaintySection
from core.report.formatting import format_percent

REGIONS = {"number": "Intervals", "pixel": "Sets of pixels"}
"""What covers a prediction; of other items: Sets."""
COVERED = {
    "pixel": "the class of a random pixel of",
    "label": "a random label that applies to",
    "intent": "the intent of",
    "number": "the number of",
}
"""What is covered, before "a new row"; of other items: the class of."""
NAMES = {"lac": "LAC", "aps": "APS", "contiguous": "contiguous sets", "absolute": "absolute residuals",
         "normalized": "normalized residuals"}  # fmt: skip


def headline(section: UncertaintySection) -> str:
    """Return the coverage that was measured beside the nominal one."""
    return coverage(section, section.item)


def coverage(measures: UncertaintyMeasures, item: str) -> str:
    """Return the measured coverage beside the nominal one; ``item``: what a prediction is, of the target."""
    regions, nominal = REGIONS.get(item, "Sets"), format_percent(measures.guarantee.nominal)
    return f"{regions} of {nominal} cover {format_percent(measures.coverage.value)}"


def detail(section: UncertaintySection) -> str:
    """Return how large sets are, what calibrated them, and whether they fall short."""
    size = section.size.value
    if section.item == "number":
        sizes = "Half an interval has no finite mean width"
        if size is not None:
            sizes = f"Half an interval is {size / 2:.3g} wide on average"
    elif section.item == "label":
        sizes = f"A set has {size:.2f} labels on average"
    else:
        single = None if section.single is None else section.single.value
        sizes = f"A set has {size:.2f} classes on average, {format_percent(single or 0.0)} have one"
    counted = section.calibration
    units = f"{counted.rows} rows" if counted.units is None else f"{counted.units} {counted.unit}s"
    short = "" if section.guarantee.holds else " Below the nominal coverage by more than chance explains."
    return f"{sizes}; calibrated on {units} of validation, measured on test.{short}"


def guarantee(section: UncertaintySection) -> str:
    """Return of what the coverage is guaranteed: the class of a new row, of a random row of a new patient ..."""
    covered = COVERED.get(section.item, "the class of")
    row = "image" if section.item == "pixel" else "row"
    if section.calibration.units is None:
        return f"{covered} a new {row}"
    return f"{covered} a random {row} of a new {section.calibration.unit}"


def used_before(section: UncertaintySection) -> str:
    """Return what the calibration set had been used for before."""
    return "early stopping, recalibration and thresholds"


def threshold(section: UncertaintySection) -> str:
    """Return by which criterion the threshold of deferral was chosen."""
    chosen = section.threshold
    if chosen.criterion == "none":
        return "nothing is deferred"
    if chosen.criterion == "fraction":
        return f"a fraction of {chosen.target:g} is deferred"
    if chosen.criterion == "accuracy":
        return f"the predictions left to the model have an accuracy of at least {chosen.target:g}"
    return (
        f"least expected cost, a human's decision costing {chosen.cost_of_deferral:g} of a wrong prediction"
    )


def notes(section: UncertaintySection) -> list[str]:
    """Return what limits the guarantee: halves, units, groups and classes that were too few."""
    calibration, nominal = section.calibration, section.guarantee.nominal
    found = []
    if calibration.residual_scale_split:
        found.append(
            "The residual scale was fitted on a half of validation that is not counted in the calibration."
        )
    if calibration.too_few_units is not None:
        found.append(
            f"{calibration.too_few_units} units of validation are too few for a coverage of {format_percent(nominal)} "
            "of a new unit: rows stand in for them, and nothing is guaranteed."
        )
    if section.mondrian == "groups":
        found.append(
            "Each group has a conformal quantile of its own: predicting needs the sensitive attributes, else the "
            "largest quantile is used."
        )
    if calibration.common_quantile:
        found.append(
            f"Fewer than {calibration.min_group_units} calibration units, so the common quantile: "
            f"{', '.join(calibration.common_quantile)}."
        )
    if section.quantiles.overall is None:
        found.append(f"{calibration.rows} rows are too few for a quantile: every set has all classes.")
    return found
