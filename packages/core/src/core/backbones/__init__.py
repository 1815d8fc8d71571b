"""Backbones: vision, text, tabular and sequence networks behind one interface; heads and adapters."""
