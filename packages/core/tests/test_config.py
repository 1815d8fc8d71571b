"""Options register, are kept as plain values, come back equal, and say where two configurations differ."""

from __future__ import annotations

import pytest

import core.training.config  # noqa: F401 - registers options
from core.config import (
    OPTIONS,
    config_error,
    derive_seed,
    differences,
    field,
    field_help,
    from_dict,
    from_yaml,
    register,
    to_yaml,
)


def test_unknown_group_is_refused() -> None:
    with pytest.raises(ValueError, match="optimiser"):
        register("optimiser", "adam")


def test_option_comes_back_equal_through_yaml() -> None:
    made = OPTIONS["schedule", "multistep"](milestones=[0.2, 0.9], gamma=0.3)
    content = {"option": "multistep", **vars(made)}
    back = from_dict("schedule", from_yaml(to_yaml({"schedule": content}))["schedule"])
    assert back == made


def test_unknown_option_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="packages that wrote it"):
        from_dict("optimizer", {"option": "lion"})


def test_differences_name_key_old_and_new() -> None:
    old = {"training": {"epochs": 3, "ema": None}, "seed": 0}
    new = {"training": {"epochs": 5, "ema": None}, "seed": 0, "device": "cpu"}
    assert differences(old, new) == ["training.epochs: 3, now 5", "device: None, now 'cpu'"]
    assert differences(old, old) == []


def test_streams_are_independent_and_stable() -> None:
    drawn = {derive_seed(s, use, n) for s in range(10) for use in ("step", "noise") for n in range(100)}
    assert len(drawn) == 2000
    assert all(0 <= d < 2**63 for d in drawn)
    assert derive_seed(3, "step", 17) == derive_seed(3, "step", 17)
    assert derive_seed(1, "1") != derive_seed(11), "names and numbers must not run together"


def test_settings_carry_their_help() -> None:
    found = field_help(OPTIONS["optimizer", "adamw"])
    assert found["lr"]
    assert all(found.values()), found


def test_every_option_explains_every_key() -> None:
    silent = [
        f"{group}={name}.{key}"
        for (group, name), made in OPTIONS.items()
        for key, text in field_help(made).items()
        if not text
    ]
    assert silent == []


def test_mutable_defaults_are_not_shared() -> None:
    schedule = OPTIONS["schedule", "multistep"]
    schedule().milestones.append(0.99)
    assert 0.99 not in schedule().milestones


def test_wrong_names_key_value_and_remedy() -> None:
    assert str(config_error("training.epochs", 0, "give 1 or more")) == "training.epochs=0: give 1 or more"


def test_setting_with_a_list() -> None:
    assert field([1], help="x").default_factory() == [1]
