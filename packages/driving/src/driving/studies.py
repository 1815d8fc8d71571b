"""What is asked of a perception model beyond its figures on clean pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.evaluation.latency import latency
from core.evaluation.ood_detection import outliers
from core.evaluation.robustness import robustness
from core.evaluation.selective import risk_coverage
from core.evaluation.slices import slices
from driving.classes import RIGHT_OF_WAY, VULNERABLE
from driving.odd import declared_domain
from driving.ood_sets import foreign_scenes, foreign_sets
from driving.metrics import pixel_recall_of, recall_of

if TYPE_CHECKING:
    from core.evaluation.study import Study
    from driving.segmentation import Scene
    from driving.signs import Signs


def sign_studies(kind: str, task: Signs) -> dict[str, Study]:
    """Name the studies of one sign a picture; none for other kinds of answer."""
    if kind != "multiclass":
        return {}
    others = {"recall vulnerable": recall_of(VULNERABLE), "recall right of way": recall_of(RIGHT_OF_WAY)}
    return {
        "robustness": robustness(task.robustness_rows),
        "outliers": outliers(foreign_sets(task.outliers, task.outlier_rows), task.outlier_rows),
        "risk_coverage": risk_coverage(),
        "slices": slices(others),
        "latency": latency(100),
        "operational_design_domain": declared_domain("signs"),
    }


def scene_studies(kind: str, task: Scene) -> dict[str, Study]:
    """Name the studies of masks; none for other kinds of answer."""
    if kind != "mask":
        return {}
    return {
        "robustness": robustness(task.robustness_rows),
        "outliers": outliers(foreign_scenes(task.outlier_rows), task.outlier_rows),
        "risk_coverage": risk_coverage(),
        "slices": slices({"recall vulnerable": pixel_recall_of(VULNERABLE)}),
        "latency": latency(40),
        "operational_design_domain": declared_domain("scene"),
    }
