"""Recurrent layers: to be filled."""
