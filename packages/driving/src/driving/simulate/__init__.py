"""The embedded defaults: simulated signs and street scenes with a known ground truth and a planted bias."""
