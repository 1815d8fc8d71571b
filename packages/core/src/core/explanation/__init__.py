"""Explanation: what of an input made a score what it is."""
