"""Real data sets in their published layouts, and own utterances."""
