"""Simulated data with a known ground truth, a planted signal and a planted bias."""
