"""Data: sources, checks, splits, encoders and batches."""
