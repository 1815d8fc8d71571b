"""Serving: load a saved run and predict."""
