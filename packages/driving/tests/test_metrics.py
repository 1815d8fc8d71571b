"""Driving's metrics against scikit-learn and hand-made counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import recall_score

from core.targets.types import Predictions
from driving.metrics import pixel_iou_of, pixel_recall_of, recall_of, worst_recall
from driving.odd import declaration

NAMES = ("stop", "yield", "pedestrians", "children", "keep right")


def signs(seed: int = 0, count: int = 300) -> Predictions:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, count)
    labels = np.where(rng.random(count) < 0.7, truth, rng.integers(0, 5, count))
    return Predictions(np.eye(5)[labels], labels, truth, NAMES, "multiclass")


def test_recall_of_some_classes_is_micro_recall_over_them() -> None:
    p = signs()
    found = recall_of(("pedestrians", "children", "bicycles"))(p)
    assert found == pytest.approx(recall_score(p.targets, p.labels, labels=[2, 3], average="micro"))
    assert math.isnan(recall_of(("bicycles",))(p))
    assert worst_recall(p) == pytest.approx(min(recall_score(p.targets, p.labels, average=None)))


def test_pixels_of_people_count_as_found_whichever_of_them_they_are_given() -> None:
    truth = np.array([[[0, 1], [2, 255]], [[1, 1], [0, 2]]], np.uint8)
    labels = np.array([[[0, 2], [2, 1]], [[1, 0], [1, 2]]], np.uint8)
    p = Predictions(np.full((2, 3), 1 / 3), labels, truth, ("road", "pedestrian", "bicyclist"), "mask")
    people = ("pedestrian", "bicyclist")
    # pixels of people: 1 2 | 1 1 2, of which one is called road; one road pixel is called pedestrian
    assert pixel_recall_of(people)(p) == pytest.approx(4 / 5)
    assert pixel_iou_of(people)(p) == pytest.approx(4 / 6)


@pytest.mark.parametrize("task", ["signs", "segmentation"])
def test_declarations_are_dated_and_whole(task: str) -> None:
    declared = declaration(task)
    assert declared["task"] == task
    assert declared["declared"] >= "2026"
    for limit in declared["domain"]:
        assert {"attribute", "within", "column", "low", "high"} == set(limit)
    for condition in declared["triggering_conditions"]:
        assert {"id", "condition", "effect", "measured_by", "response"} == set(condition)
