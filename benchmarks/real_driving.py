"""Driving on real data: the model and its classical baseline on the same splits, over seeds.

PLINTH_DATA=... [SEEDS=3] python benchmarks/real_driving.py [--only gtsrb ...] [--runs FOLDER] [--json FILE]
A finished run in FOLDER is read, not repeated. One seed unless SEEDS says more: a run takes a core's half hour.
"""

from __future__ import annotations

import os

from repeated_runs import Row, main

REPEATS = [(f"seed={seed}",) for seed in range(int(os.environ.get("SEEDS", "1")))]
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
            "ood_detection.auroc_cifar10_energy",
            "ood_detection.fpr_at_95_tpr_cifar10_energy",
            "risk_coverage.aurc",
            "latency.model_p99_ms",
        ),
        repeats=REPEATS,
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
        repeats=REPEATS,
    ),
]

if __name__ == "__main__":
    assert __doc__
    main("driving", ROWS, __doc__)
