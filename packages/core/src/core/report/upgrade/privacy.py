"""Upgrade the ``privacy`` of a schema-1 record: sentences become codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Content = dict[str, Any]

STATISTICS = {
    "scales and quantiles of the numeric inputs": "numeric_scales",
    "the lists of categories": "categories",
    "the vocabulary of the texts": "vocabulary",
    "the length of the longest text": "text_length",
    "how frequent words are": "word_frequencies",
    "scales of signals and events": "signal_scales",
    "the target's classes or scale": "target_scale",
    "the names of the slots": "slot_names",
    "the groups' names and bands": "group_names",
    "what the checks of the data found": "data_checks",
    "the held-out figures of the classical challenger": "baseline_metrics",
}
"""How a sentence of schema 1 begins -> its code."""
FALLBACKS = {
    "every unit is in every batch": "full_batch",
    "too large for PRV's grid": "grid_too_large",
    "no noise is added": "no_noise",
}
"""What a sentence of schema 1 says -> why another accountant gave the bound."""


def upgrade_privacy(old: Content) -> Content:
    """Return the section in the form of schema 2."""
    attack = None if old.get("attack") is None else _attack(old["attack"])
    if old.get("epsilon") is None:
        return {"mechanism": "none", "attack": attack}
    conditions: Mapping[str, str] = old["statement"]["conditions"]
    norm = old["normalisation"]
    return {
        **{key: old[key] for key in ("epsilon", "delta", "target_epsilon", "unit", "units", "noise_multiplier")},
        **{key: old[key] for key in ("clipping", "steps", "sampling_rate", "accountant", "preflight")},
        "mechanism": "dp_sgd",
        "count_noise_multiplier": old["count_noise"],
        "noise_source": "configured_seed" if "in the configuration" in conditions["random generator"] else "system_key",
        "l2_clip_norm": old["clip_norm"],
        "engine": "bookkeeping" if old["engine"] == "one_pass" else old["engine"],
        "expected_batch_size": old["expected_batch"],
        "accountant_fallback": next(
            (code for words, code in FALLBACKS.items() if words in conditions["accounting"]), None
        ),
        "num_trials": _trials(conditions["settings tried"]),
        "initial_weights": _initial_weights(conditions["pretraining"]),
        "non_private_statistics": _statistics(conditions["what was fitted without noise"]),
        "batch_norm": {"policy": norm["how"], "layers": norm["layers"]},
        "audit": _audit(old.get("audit"), "white_box"),
        "blackbox_audit": _audit(old.get("audit_examples"), "black_box"),
        "attack": attack,
    }  # fmt: skip


def _attack(old: Content) -> Content:
    prefix = "tpr_at_fpr_"
    return {
        "attack": old["attack"],
        "shadow_models": old["reference_models"],
        "members": old["members"],
        "non_members": old["others"],
        "auc": old["auc"],
        "tpr_at_fpr": {
            key.removeprefix(prefix): value for key, value in old.items() if key.startswith(prefix)
        },
    }


def _audit(old: Content | None, kind: str) -> Content | None:
    if old is None:
        return None
    tests = [
        {("name" if key == "test" else key): value for key, value in test.items()} for test in old["tests"]
    ]
    return {**old, "kind": kind, "tests": tests}


def _trials(sentence: str) -> int:
    found = re.match(r"(\d+) configurations", sentence)
    return int(found[1]) if found else 1


def _initial_weights(sentence: str) -> str | None:
    found = re.match(r"started from (.*), whose own", sentence)
    return found[1] if found else None


def _statistics(sentence: str) -> list[str]:
    listed = sentence.split(": not covered by")[0].split("; ")
    return [code for text in listed for start, code in STATISTICS.items() if text.startswith(start)]
