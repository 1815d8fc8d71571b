"""The embedded default of every task: simulated data with a known ground truth, a planted signal and a planted bias."""
