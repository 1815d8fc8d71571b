"""Backbones: image, text, tabular and sequence networks behind one interface; heads and adapters."""
