"""Studies of a perception model beyond metrics on clean images: robustness, OOD detection, latency, the ODD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.evaluation.latency import latency
from core.evaluation.ood_detection import ood_detection
from core.evaluation.robustness import robustness
from core.evaluation.selective import risk_coverage
from core.evaluation.slices import slices
from driving.classes import RIGHT_OF_WAY, VULNERABLE
from driving.metrics import pixel_recall_of, recall_of
from driving.odd import odd_coverage
from driving.ood_sets import scene_ood_sets, sign_ood_sets

if TYPE_CHECKING:
    from core.evaluation.study import Study
    from driving.segmentation import Segmentation
    from driving.signs import Signs


def sign_studies(kind: str, task: Signs) -> dict[str, Study]:
    """Return the studies of sign classification; none for other targets."""
    recalls = {"recall vulnerable": recall_of(VULNERABLE), "recall right of way": recall_of(RIGHT_OF_WAY)}
    of_signs = {
        "robustness": robustness(task.robustness_rows),
        "ood_detection": ood_detection(sign_ood_sets(task.ood_path, task.ood_rows), task.ood_rows),
        "risk_coverage": risk_coverage(),
        "slices": slices(recalls),
        "latency": latency(100),
        "operational_design_domain": odd_coverage("signs"),
    }
    return {"multiclass": of_signs}.get(kind, {})


def segmentation_studies(kind: str, task: Segmentation) -> dict[str, Study]:
    """Return the studies of semantic segmentation; none for other targets."""
    of_scenes = {
        "robustness": robustness(task.robustness_rows),
        "ood_detection": ood_detection(scene_ood_sets(task.ood_rows), task.ood_rows),
        "risk_coverage": risk_coverage(),
        "slices": slices({"recall vulnerable": pixel_recall_of(VULNERABLE)}),
        "latency": latency(40),
        "operational_design_domain": odd_coverage("segmentation"),
    }
    return {"segmentation": of_scenes}.get(kind, {})
