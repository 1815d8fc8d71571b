"""Probes of one task: what its code does to made-up situations, measured on a run that was prepared but not trained."""
