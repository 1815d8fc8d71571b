"""The cross-domain gate: every installed domain's small tasks against kept baselines, ``python -m core.regression``."""
