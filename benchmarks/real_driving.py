"""Driving on real data: the model and its classical challenger on the same splits, over seeds.

PLINTH_DATA=... python benchmarks/real_driving.py [--only gtsrb ...] [--runs FOLDER] [--json FILE]
A run that is finished in FOLDER is read, not repeated.
"""

from __future__ import annotations

from measured import Row, main

ROWS = [
    Row(
        "gtsrb, 43 traffic signs",
        "gtsrb",
        (
            "accuracy",
            "recall_vulnerable",
            "recall_right_of_way",
            "worst_class_recall",
            "robustness.relative_degradation",
            "outliers.auroc_cifar10_energy",
            "outliers.fpr_at_95_tpr_cifar10_energy",
            "risk_coverage.aurc",
            "latency.model_p99_ms",
        ),
    ),
    Row(
        "camvid, 11 classes of pixels",
        "camvid",
        (
            "miou",
            "pixel_accuracy",
            "iou_pedestrian",
            "iou_bicyclist",
            "recall_vulnerable",
            "robustness.relative_degradation",
            "risk_coverage.aurc",
            "latency.model_p99_ms",
        ),
    ),
]

if __name__ == "__main__":
    assert __doc__
    main("driving", ROWS, __doc__)
