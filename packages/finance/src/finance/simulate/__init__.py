"""Simulated data with a known truth, a planted signal and a planted bias."""
