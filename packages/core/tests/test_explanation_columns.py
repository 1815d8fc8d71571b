"""Effects of columns against a model whose effects are known, and their positions against the encoder itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from core.data.config import ColumnsEncoderConfig
from core.data.encoders.columns import ColumnsEncoder
from core.data.types import ColumnRoles, Layout
from core.explanation.column_occlusion import HISTORY, occlude, quantile_references

POSITIONS: dict[str, dict[str, list[int] | None]] = {
    "a": {"numeric": [0], "missing": [0]},
    "b": {"numeric": [1], "missing": [1]},
    "c": {"categorical": [0]},
}


class Logistic:
    """log odds = w . numeric + v[category] + u * missing."""

    w = torch.tensor([1.5, -0.7])
    v = torch.tensor([0.0, 0.4, -0.9])
    u = torch.tensor([0.3, 2.0])

    def log_odds(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["numeric"] @ self.w + self.v[inputs["categorical"][:, 0]] + inputs["missing"] @ self.u

    def scores(self, rows: Any, history: Any = None) -> np.ndarray:
        p = torch.sigmoid(self.log_odds(rows).double()).numpy()
        return np.column_stack([1 - p, p])


def given(rows: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    missing = (torch.rand(rows, 2, generator=generator) < 0.3).float()
    return {
        "numeric": torch.randn(rows, 2, generator=generator) * (1 - missing),
        "missing": missing,
        "categorical": torch.randint(0, 3, (rows, 1), generator=generator),
    }


def test_effects_of_a_linear_model_are_its_terms() -> None:
    model, inputs, references = Logistic(), given(7, 0), given(50, 1)
    found = occlude(model, inputs, references, POSITIONS)  # type: ignore[arg-type]
    assert found.names == ("a", "b", "c")
    for j in range(2):
        term = inputs["numeric"][:, j] * model.w[j] + inputs["missing"][:, j] * model.u[j]
        usual = references["numeric"][:, j] * model.w[j] + references["missing"][:, j] * model.u[j]
        np.testing.assert_allclose(found.effects[:, j], (term - usual.mean()).numpy(), atol=1e-5)
    categories = model.v[inputs["categorical"][:, 0]] - model.v[references["categorical"][:, 0]].mean()
    np.testing.assert_allclose(found.effects[:, 2], categories.numpy(), atol=1e-5)


def test_a_group_is_replaced_together_and_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, references = Logistic(), given(9, 2), given(20, 3)
    alone = occlude(model, inputs, references, POSITIONS)  # type: ignore[arg-type]
    groups = {"both": ("a", "c"), "b": ("b",)}
    together = occlude(model, inputs, references, POSITIONS, groups)  # type: ignore[arg-type]
    np.testing.assert_allclose(together.effects[:, 0], alone.effects[:, 0] + alone.effects[:, 2], atol=1e-5)
    monkeypatch.setattr("core.explanation.column_occlusion.BATCH_ROWS", 40)
    small = occlude(model, inputs, references, POSITIONS, groups)  # type: ignore[arg-type]
    np.testing.assert_allclose(small.effects, together.effects, atol=1e-6)


def test_strongest_raise_the_score() -> None:
    model = Logistic()
    found = occlude(model, given(6, 4), given(30, 5), POSITIONS)  # type: ignore[arg-type]
    for row, names in zip(found.effects, found.strongest(2), strict=True):
        assert [effect for _, effect in names] == sorted((e for e in row if e >= 0.01), reverse=True)[:2]


def test_a_column_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'z': no input columns"):
        occlude(Logistic(), given(2, 0), given(2, 1), POSITIONS, {"z": ("z",)})  # type: ignore[arg-type]


class Earlier:
    """The score is the sum of earlier events' first feature, and of the own event's first and second."""

    def scores(self, rows: Any, history: Any = None) -> np.ndarray:
        past = (rows["events"][:, :-1, 0] * rows["events_mask"][:, :-1]).sum(1)
        return (past + 10 * rows["events"][:, -1, 0] + 100 * rows["numeric"][:, 0]).double().numpy()[:, None]


def test_history_and_the_own_event_are_told_apart() -> None:
    torch.manual_seed(0)
    numeric = torch.randn(4, 1)
    events = torch.randn(4, 3, 2)
    events[:, -1, 0] = numeric[:, 0]
    inputs = {
        "numeric": numeric,
        "missing": torch.zeros(4, 1),
        "events": events,
        "events_mask": torch.tensor([[1.0, 1, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]]),
    }
    references = quantile_references(Layout(numeric=("a",), bin_edges=((-1.0, 0.0, 1.0),), events=(3, 2)))
    positions = {"a": {"numeric": [0], "missing": [0], "events": [0, 1]}}
    found = occlude(Earlier(), inputs, references, positions, value=True)  # type: ignore[arg-type]
    assert found.names == ("a", HISTORY)
    past = (events[:, :-1, 0] * inputs["events_mask"][:, :-1]).sum(1)
    np.testing.assert_allclose(found.effects[:, 1], past.numpy(), atol=1e-4)
    usual = references["numeric"][:, 0].mean()
    np.testing.assert_allclose(found.effects[:, 0], (110 * (numeric[:, 0] - usual)).numpy(), atol=1e-3)


def test_positions_are_those_that_a_column_changes() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=60),
            "y": rng.normal(size=60),
            "k": rng.choice(["a", "b", "c"], 60),
            "l": rng.choice(["u", "v"], 60),
            "who": rng.choice(["p", "q", "r"], 60),
            "when": np.arange(60.0),
        }
    )
    roles = ColumnRoles(numeric=("x", "y"), categorical=("k", "l"), unit="who", time="when")
    encoder = ColumnsEncoder(ColumnsEncoderConfig(max_events=4, min_frequency=1), roles)
    encoder.fit(frame)
    before = encoder.transform(frame)
    changes = {"x": None, "y": 2.5, "k": "b", "l": "v"}
    assert set(encoder.column_positions()) == set(changes)
    moved: dict[str, set[tuple[str, int]]] = {}
    for column, value in changes.items():
        row = frame.iloc[[59]].copy()
        if row[column].iloc[0] == value:
            value = "a" if column == "k" else "u"
        row[column] = pd.Series([value], index=row.index, dtype=frame[column].dtype)
        after = encoder.encode(row, frame).take(torch.tensor([0]))
        moved[column] = set()
        for name, tensor in after.items():
            old = before[name][59]
            new = tensor[0]
            if name == "events":
                assert torch.equal(old[:-1], new[:-1]), "earlier events are not the row's own"
                old, new = old[-1], new[-1]
            moved[column] |= {(name, int(i)) for i in torch.nonzero(old != new).flatten()}
        stated = {(name, i) for name, at in encoder.column_positions()[column].items() for i in at or []}
        assert moved[column], column
        assert moved[column] <= stated, column
    width = before["events"].shape[-1]
    listed = sorted(i for at in encoder.column_positions().values() for i in at["events"] or [])
    assert listed == list(range(width - 1)), "every feature of an event but its time belongs to one column"
