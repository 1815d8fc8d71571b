"""Encoders: rows of a frame become tensors, in the same way in training and in every later prediction."""
