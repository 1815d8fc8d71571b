"""Public sets in their published layouts."""
