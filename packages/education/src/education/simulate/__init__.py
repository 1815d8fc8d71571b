"""Data with a known truth: the embedded defaults."""
