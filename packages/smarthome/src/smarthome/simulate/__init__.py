"""The embedded defaults: simulated data with a known ground truth and a planted bias."""
