"""Names of keys and options that were changed: the old ones work for one more version, with a warning.

Overrides of the command line and of Python, and the ``config.yaml`` of runs written before, pass through here.
Every row is removed in version 0.3.0 (see "Deprecation" in CONTRIBUTING.md).
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from core.config.registry import OPTIONS

REMOVED_IN = "0.3.0"

RENAMED_GROUPS: dict[str, str] = {
    "challenger": "baseline",
    "batch": "batch_size",  # of finance.monitor
    "least": "min_confidence",  # of smarthome.control
    "checkpoint_minutes": "checkpoint_every_minutes",  # of core.pretrain
    "ship": "install",  # of core.pretrain
}
"""Old group, or key of a verb that belongs to no group, -> new one."""

RENAMED_OPTIONS: dict[tuple[str, str], str] = {
    ("schedule", "step"): "multistep",
    ("task", "beats"): "ecg",
    ("encoder", "fields"): "columns",
    ("backbone", "cnn"): "resnet_gn",
    ("backbone", "hf_text"): "transformers",
    ("backbone", "scatter"): "scattering",
    ("backbone", "signal"): "cnn1d",
    ("backbone", "vision"): "timm",
    ("adapter", "head"): "linear_probe",
    ("energy", "meter"): "measured",
    ("target", "mask"): "segmentation",
    ("target", "tokens"): "intent_slots",
}
"""(group, old option) -> new option. The group is the new one where it was renamed too."""

RENAMED_TASKS: dict[tuple[str, str], str] = {
    ("driving", "scene"): "segmentation",
}
"""(domain, old task) -> new task, where another domain has a task of the old name."""

RENAMED_KEYS: dict[str, str] = {
    "recipe.cooccurrence": "recipe.ppmi_init",
    "recipe.held_out": "recipe.validation_fraction",
    "recipe.hidden": "recipe.mask_fraction",
    "recipe.judge_every": "recipe.validate_every_epochs",
    "recipe.length": "recipe.max_length",
    "recipe.long_every": "recipe.long_rows_every",
    "recipe.minutes": "recipe.target_minutes",
    "recipe.move": "recipe.crop_padding",
    "recipe.pair_length": "recipe.pair_max_length",
    "recipe.pairs": "recipe.contrastive_pairs",
    "recipe.pairs_from": "recipe.contrastive_from",
    "recipe.pool": "recipe.max_pool",
    "recipe.rate": "recipe.lr",
    "recipe.shares": "recipe.source_weights",
    "recipe.signs_share": "recipe.signs_fraction",
    "recipe.smoothing": "recipe.label_smoothing",
    "recipe.start": "recipe.initial_weights",
    "recipe.stem": "recipe.stem_channels",
    "recipe.views": "recipe.tta_views",
    "recipe.vocabulary": "recipe.vocab_size",
    "recipe.widths": "recipe.channels",
    "data.bands": "data.bin_edges",
    "data.drop_unlabelled": "data.drop_unlabeled",
    "data.ignore": "data.drop_columns",
    "data.infer": "data.infer_roles",
    "data.units_apart": "data.disjoint_entities",
    "encoder.clip": "encoder.clip_std",
    "encoder.rare": "encoder.min_frequency",
    "encoder.categories": "encoder.max_categories",
    "encoder.history": "encoder.max_events",
    "encoder.tokens": "encoder.text.tokens",
    "encoder.tokenizer": "encoder.text.tokenizer",
    "encoder.vocabulary": "encoder.text.vocab_size",
    "encoder.length": "encoder.text.max_length",
    "encoder.cut": "encoder.text.truncation",
    "encoder.lowercase": "encoder.text.lowercase",
    "encoder.words": "encoder.text.word_features",
    "encoder.word_features": "encoder.text.max_word_features",
    "encoder.bag": "encoder.text.tfidf_features",
    "encoder.bag_words": "encoder.text.tfidf_word_ngrams",
    "encoder.bag_chars": "encoder.text.tfidf_char_ngrams",
    "encoder.bag_prompt": "encoder.text.tfidf_per_prompt",
    "encoder.compare_topics": "encoder.text.lsa_components",
    "encoder.companions": "encoder.text.text_pair",
    "encoder.examples": "encoder.text.knn_examples_per_class",
    "encoder.image_size": "encoder.image.size",
    "encoder.image_width": "encoder.image.width",
    "encoder.image_source": "encoder.image.pre_crop_size",
    "encoder.image_channels": "encoder.image.channels",
    "encoder.image_fit": "encoder.image.resize_mode",
    "encoder.cache_mb": "encoder.image.cache_mib",
    "encoder.signal_length": "encoder.signal.length",
    "encoder.signal_fit": "encoder.signal.fit",
    "encoder.signal_scale": "encoder.signal.scale",
    "augmentation.side": "augmentation.train_resolution",
    "augmentation.balance": "augmentation.color_balance",
    "augmentation.stretch": "augmentation.time_stretch",
    "augmentation.noise": "augmentation.jitter",
    "augmentation.wander": "augmentation.baseline_wander",
    "augmentation.numeric": "augmentation.numeric_dropout",
    "augmentation.categorical": "augmentation.categorical_dropout",
    "augmentation.tokens": "augmentation.token_dropout",
    "augmentation.bag": "augmentation.tfidf_dropout",
    "optimizer.rate": "optimizer.lr",
    "privacy.audit": "privacy.audit_canaries",
    "privacy.audit_examples": "privacy.blackbox_canaries",
    "privacy.clip_norm": "privacy.l2_clip_norm",
    "privacy.configurations_tried": "privacy.num_trials",
    "privacy.normalisation": "privacy.batch_norm",
    "schedule.at": "schedule.milestones",
    "schedule.factor": "schedule.gamma",
    "schedule.final": "schedule.min_lr_ratio",
    "schedule.start": "schedule.start_lr_ratio",
    "baseline.iterations": "baseline.max_iter",
    "baseline.leaves": "baseline.max_leaf_nodes",
    "baseline.rows": "baseline.max_rows",
    "baseline.strengths": "baseline.C_grid",
    "baseline.topics": "baseline.svd_components",
    "baseline.vocabulary": "baseline.max_features",
    "evaluation.minimum_group": "evaluation.min_group_rows",
    "evaluation.resamples_single": "evaluation.resamples_slow",
    "evaluation.rule": "evaluation.threshold_rule",
    "evaluation.scaling": "evaluation.recalibration",
    "evaluation.sensitivity": "evaluation.target_sensitivity",
    "evaluation.specificity": "evaluation.target_specificity",
    "target.decide": "target.decision_rule",
    "target.length": "target.max_words",
    "target.select": "training.monitor",
    "training.balanced": "training.sampling",
    "training.balanced_power": "training.sampling_power",
    "training.checkpoint_every": "training.checkpoint_every_steps",
    "training.checkpoint_minutes": "training.checkpoint_every_minutes",
    "training.evaluate_every": "training.validate_every_epochs",
    "training.keep": "training.keep_checkpoints",
    "training.metric": "training.monitor",
    "training.micro_batch": "training.micro_batch_size",
    "training.once_gib": "training.feature_cache_mib",
    "training.share": "training.train_fraction",
    "training.views": "training.tta_views",
    "adapter.head": "adapter.head_type",
    "adapter.head_epochs": "adapter.linear_probe_epochs",
    "adapter.head_rate": "adapter.linear_probe_lr",
    "adapter.layers": "adapter.target_modules",
    "backbone.bag_dropout": "backbone.tfidf_dropout",
    "backbone.colors": "backbone.color_space",
    "backbone.colours": "backbone.pixel_norm",
    "backbone.ffn": "backbone.mlp_ratio",
    "backbone.groups": "backbone.channels_per_group",
    "backbone.heads": "backbone.num_heads",
    "backbone.kernel": "backbone.kernel_size",
    "backbone.layers": "backbone.num_layers",
    "backbone.normalisation": "backbone.norm",
    "backbone.numbers": "backbone.numeric_embedding",
    "backbone.patch": "backbone.patch_size",
    "backbone.patches": "backbone.num_patches",
    "backbone.places": "backbone.pool_grid",
    "backbone.settings": "backbone.config_overrides",
    "backbone.side": "backbone.patch_size",
    "backbone.standard": "backbone.standardize",
    "backbone.stem": "backbone.stem_stride",
    "backbone.together": "backbone.norm_window",
    "backbone.topics": "backbone.lsa_components",
    "backbone.wide": "backbone.linear_branch_lr_scale",
    "backbone.wide_words": "backbone.word_linear_branch_lr_scale",
    "backbone.width": "backbone.hidden_size",
    "backbone.widths": "backbone.conv_channels",
    "explanation.minimum_group": "explanation.min_group_rows",
    "explanation.orders": "explanation.random_orders",
    "explanation.parts": "explanation.max_occluded_features",
    "explanation.references": "explanation.num_references",
    "explanation.share": "explanation.compute_fraction",
    "explanation.stretches": "explanation.segments",
    "fairness.baseline": "fairness.reference_run",
    "fairness.by": "fairness.reweigh_by",
    "fairness.minimum": "fairness.min_group_rows",
    "fairness.notion": "fairness.constraint",
    "fairness.rate": "fairness.step_size",
    "fairness.strength": "fairness.weight",
    "oversight.agreement": "oversight.target_accuracy",
    "oversight.mask_rows": "oversight.mask_images",
    "oversight.mondrian_units": "oversight.min_group_units",
    "oversight.share": "oversight.defer_fraction",
    "data.validation": "data.validation_fraction",
    "data.test": "data.test_fraction",
    "data.ahead": "data.horizon",
    "data.delay": "data.label_delay",
    "data.hold_out": "data.held_out_classes",
    "data.indices": "data.comfort_indices",
    "data.least": "data.min_count",
    "data.most": "data.max_rows",
    "data.outside": "data.out_of_scope_sentences",
    "data.per_day": "data.time_units_per_day",
    "data.templates": "data.sentences_per_template",
    "task.bias": "task.simulated_bias",
    "task.by": "task.subgroup_columns",
    "task.equality_gap": "task.max_fpr_difference",
    "task.false_alarms": "task.gaming_max_fpr",
    "task.miss_share": "task.miss_amount_fraction",
    "task.order": "task.grade_order",
    "task.outlier_rows": "task.ood_rows",
    "task.outliers": "task.ood_path",
    "task.raters": "task.rater_columns",
    "task.reasons": "task.num_reasons",
    "task.review_agreement": "task.target_agreement",
    "task.terminal": "task.terminal_features",
}
"""Old key -> new key, groups by their new name. A new key may lie deeper: ``encoder.text.vocab_size``."""

RENAMED_VALUES: dict[tuple[str, str], str] = {
    ("encoder.text.tokenizer", "own"): "bpe",
    ("encoder.image.resize_mode", "squash"): "stretch",
    ("privacy.engine", "one_pass"): "bookkeeping",
    ("training.sampling", "none"): "uniform",
    ("training.sampling", "class"): "class_balanced",
    ("training.sampling", "group"): "group_balanced",
    ("training.sampling", "group_class"): "group_class_balanced",
    ("backbone.color_space", "asis"): "rgb",
    ("backbone.pixel_norm", "own"): "symmetric",
    ("backbone.standardize", "leaves"): "dead_leaves",
    ("backbone.weights", "none"): "random",
    ("backbone.weights", "shipped"): "pretrained",
    ("recipe.initial_weights", "none"): "random",
    ("recipe.initial_weights", "shipped"): "pretrained",
    ("oversight.defer", "agreement"): "accuracy",
    ("oversight.defer", "share"): "fraction",
    ("oversight.method", "normalised"): "normalized",
}
"""(new key, old value) -> new value."""

RENAMED_BY_VALUE: dict[tuple[str, str], str] = {
    **{
        ("data.test", name): "data.test_set"
        for name in ("unseen_answers", "unseen_questions", "unseen_domains", "1", "2", "both")
    },
    **{("data.terminal", value): "data.terminal_features" for value in ("true", "false")},
}
"""(old key, value in lower case) -> new key, where one old key meant two things: a set's name, or a fraction."""

SCALED_VALUES: dict[str, float] = {
    "training.once_gib": 1024.0,  # GiB -> MiB
}
"""Old key -> factor to the unit of its new key."""


def renamed_override(override: str, domain: str) -> str:
    """Return an override of the command line (``optimizer.rate=1e-3``) in today's words, warning of old ones.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     renamed_override("challenger=none", "healthcare")
    'baseline=none'
    >>> print(told[0].message)
    challenger=none is called baseline=none since 0.2.0; the old name is removed in 0.3.0
    """
    key, equals, value = override.partition("=")
    mark = key[: len(key) - len(key.lstrip("+~"))]
    new_key, new_value = _renamed(key.lstrip("+~"), value, domain)
    if (mark + new_key, new_value) == (key, value):
        return override
    new = f"{mark}{new_key}{equals}{new_value}"
    warnings.warn(
        f"{override} is called {new} since 0.2.0; the old name is removed in {REMOVED_IN}",
        DeprecationWarning,
        stacklevel=2,
    )
    return new


def _renamed(key: str, value: str, domain: str) -> tuple[str, str]:
    group, dot, rest = key.partition(".")
    group = RENAMED_GROUPS.get(group, group)
    if not dot:
        return group, ",".join(_renamed_option(group, choice, domain) for choice in value.split(","))
    path = _renamed_key(f"{group}.{rest}", value)
    value = ",".join(_scaled(f"{group}.{rest}", one) for one in value.split(","))  # each value of a sweep
    return path, ",".join(RENAMED_VALUES.get((path, one), one) for one in value.split(","))


def _renamed_option(group: str, choice: str, domain: str) -> str:
    choice = RENAMED_TASKS.get((domain, choice), choice) if group == "task" else choice
    return RENAMED_OPTIONS.get((group, choice), choice)


def hint(message: str) -> str:
    """Return what Hydra's message about an unknown key or option of a YAML file leaves out: its name today.

    Overrides are translated before Hydra reads them; files of a user's own (``--config-dir``) are not.

    >>> hint("Key 'rate' not in 'AdamWConfig' full_key: optimizer.rate")
    'optimizer.rate is called optimizer.lr since 0.2.0'
    >>> hint("Could not find 'backbone/vision'")
    'backbone=vision is called backbone=timm since 0.2.0'
    >>> hint("Key 'colour' not in 'AdamWConfig'")
    ''
    """
    words = set(re.findall(r"[\w./]+", message))
    found = [
        f"{old} is called {new} since 0.2.0"
        for old, new in RENAMED_KEYS.items()
        if new and "Key " in message and old.rpartition(".")[2] in words and _group_fits(old, message)
    ]
    found += [
        f"{group}={old} is called {group}={new} since 0.2.0"
        for (group, old), new in RENAMED_OPTIONS.items()
        if f"{group}/{old}" in words
    ]
    return "; ".join(found)


def _group_fits(old: str, message: str) -> bool:
    """Return whether the option class of a message (``AdamWConfig``) or its path belongs to the key's group."""
    group = old.partition(".")[0]
    classes = {cls.__name__ for (of, _), cls in OPTIONS.items() if of == group}
    return f"{group}." in message or any(name in message for name in classes)


def _renamed_key(path: str, value: object) -> str:
    first = str(value).partition(",")[0].lower()  # of a sweep, the first value
    if (path, first) in RENAMED_BY_VALUE:
        return RENAMED_BY_VALUE[path, first]
    for old in (path, path.rpartition(".")[0]):  # a key, or an entry of one that is a mapping
        if old in RENAMED_KEYS:
            return RENAMED_KEYS[old] + path.removeprefix(old)
    return path


def _scaled(old_path: str, value: str) -> str:
    if old_path not in SCALED_VALUES:
        return value
    try:
        return f"{SCALED_VALUES[old_path] * float(value):g}"
    except ValueError:
        return value  # not a number: the option's own check reports it


def upgraded_config(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a run's ``config.yaml`` in today's words; nothing is warned of, nobody typed it.

    >>> upgraded_config({"domain": "driving", "challenger": {"option": "none"}, "task": {"option": "scene"}})
    {'domain': 'driving', 'baseline': {'option': 'none'}, 'task': {'option': 'segmentation'}}
    """
    domain = str(content.get("domain", ""))
    upgraded: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for old_group, value in content.items():
        group = RENAMED_GROUPS.get(old_group, old_group)
        if not isinstance(value, dict):
            upgraded[group] = value
            continue
        option = str(value.get("option", ""))
        if group == "task":
            option = RENAMED_TASKS.get((domain, option), option)
        keys: dict[str, Any] = {}
        if "option" in value:
            keys["option"] = RENAMED_OPTIONS.get((group, option), option)
        for key, entry in value.items():
            if key == "option":
                continue
            path = _renamed_key(f"{group}.{key}", entry)
            entry = RENAMED_VALUES.get((path, str(entry)), entry) if isinstance(entry, str) else entry
            if path == "":
                continue  # an option that is gone without a successor
            if f"{group}.{key}" in SCALED_VALUES and isinstance(entry, int | float):
                entry = entry * SCALED_VALUES[f"{group}.{key}"]
            new_group, *inner, last = path.split(".")
            if new_group != group:
                moved |= {} if entry is None else {path: entry}
                continue
            place = keys
            for step in inner:
                place = place.setdefault(step, {})
            place[last] = entry
        upgraded[group] = keys
    for path, entry in moved.items():
        new_group, last = path.split(".")
        upgraded[new_group][last] = entry
    return upgraded
