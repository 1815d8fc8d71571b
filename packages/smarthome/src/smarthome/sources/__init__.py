"""Public data sets in their published layouts, and your own utterances."""
