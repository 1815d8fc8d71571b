"""Evaluation: held-out metrics with intervals, calibration, thresholds, decision curves, the baseline."""
