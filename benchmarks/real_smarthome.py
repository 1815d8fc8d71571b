"""Smarthome on real data: the model and its classical baseline on the same splits, over seeds.

PLINTH_DATA=... python benchmarks/real_smarthome.py [--only snips ...] [--runs FOLDER] [--json FILE]
A finished run in FOLDER is read, not repeated.
"""

from __future__ import annotations

from repeated_runs import Row, main

UTTERANCES = ("intent_accuracy", "slot_f1", "exact_match")
ROWS = [
    Row("SNIPS, seven intents", "snips", UTTERANCES),
    Row("SLURP, devel to test, 59 intents", "slurp", UTTERANCES),
    Row(
        "Home Assistant, 41 languages, split by block", "home_assistant", (*UTTERANCES, "plans.plan_success")
    ),
    Row("occupancy without Light, test 1", "occupancy", ("accuracy", "auroc"), ("data.test_set=1",)),
    Row("occupancy without Light, test 2", "occupancy", ("accuracy", "auroc"), ("data.test_set=2",)),
    Row("appliances, ten minutes ahead", "appliances", ("rmse", "mae")),
    Row("thermal preference, unseen buildings", "ashrae", ("macro_auroc", "accuracy")),
]

if __name__ == "__main__":
    main("smarthome", ROWS, __doc__ or "")
