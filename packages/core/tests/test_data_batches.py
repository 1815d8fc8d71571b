"""Parts carry what a step needs, and batches are a pure function of seed and step."""

import io
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.config import build
from core.data.batches import ShuffledBatches
from core.data.config import (
    ColumnsEncoderConfig,
    ImageAugmentation,
    ImageEncoding,
    SignalAugmentation,
    TableAugmentation,
    TextEncoding,
)
from core.data.encoded_split import EncodedSplit
from core.data.encoders.columns import ColumnsEncoder
from core.data.groups import Groups
from core.data.types import ColumnRoles, Dataset
from core.training.config import StandardTraining

CLASSES = ("often", "rare")


def classes(frame: pd.DataFrame) -> Tensor:
    return torch.tensor([CLASSES.index(v) for v in frame["y"]])


def two_labels(frame: pd.DataFrame) -> Tensor:
    codes = classes(frame)
    return torch.stack([codes, 1 - codes], 1).float()


def _part(rows: int = 100, labels: bool = False, rare: float = 0.1) -> EncodedSplit:
    frame = pd.DataFrame(
        {
            "x": np.arange(rows, dtype=float),
            "y": ["rare" if i < rare * rows else "often" for i in range(rows)],
            "sex": ["F" if i % 4 == 0 else "M" for i in range(rows)],
            "who": [f"p{i // 2}" if i else None for i in range(rows)],
        },
        index=pd.RangeIndex(1, rows + 1),
    )
    roles = ColumnRoles(("y",), ("x",), sensitive=("sex",), unit="who")
    encoder = ColumnsEncoder(ColumnsEncoderConfig(numeric="none"), roles)
    encoder.fit(frame)
    groups = Groups.fit(frame, Dataset(frame, roles, "t"))
    return EncodedSplit(
        frame, np.arange(rows) + 500, encoder, two_labels if labels else classes, roles, groups
    )


def test_a_split_gives_inputs_targets_groups_and_units_of_the_same_rows() -> None:
    part = _part()
    batch = part.batch(torch.tensor([7, 0, 42]))
    assert batch.inputs["numeric"][:, 0].tolist() == [7, 0, 42]
    assert batch.targets.tolist() == [1, 1, 0]
    assert batch.index.tolist() == [7, 0, 42]
    assert part.rows[7] == 507
    assert part.groups["sex"][[7, 0, 42]].tolist() == ["M", "F", "M"]
    assert batch.groups["sex"].tolist() == [1, 0, 1]
    assert part.units is not None
    assert part.units[[7, 0, 42]].tolist() == ["p3", "row 500", "p21"]
    assert batch.units is not None
    assert part.unit_codes is not None
    assert len(part.unit_codes.unique()) == 51
    assert part.unit_codes[6] == part.unit_codes[7]
    assert "sex" not in batch.inputs


def test_an_epoch_has_every_row_once_and_orders_differ() -> None:
    batches = ShuffledBatches(_part(), 10, seed=3, epochs=2)
    assert (batches.steps, batches.steps_per_epoch) == (20, 10)
    index = [b.index.tolist() for b in batches.from_step(0)]
    first, second = [i for b in index[:10] for i in b], [i for b in index[10:] for i in b]
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


@pytest.mark.parametrize("start", [0, 1, 9, 10, 13, 20])
@pytest.mark.parametrize("sampling", ["uniform", "class_balanced"])
def test_resumed_at_any_step_the_batches_are_the_same(start: int, sampling: str) -> None:
    part = _part()
    changes = build(TableAugmentation(numeric_dropout=0.5), part.layout)
    batches = ShuffledBatches(part, 10, seed=3, epochs=2, sampling=sampling, augmentation=changes)
    straight = list(batches.from_step(0))[start:]
    resumed = list(batches.from_step(start))
    assert len(straight) == len(resumed) == 20 - start
    for one, other in zip(straight, resumed, strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.inputs["numeric"], other.inputs["numeric"])


def test_odd_rows_are_left_out_or_are_a_small_batch() -> None:
    part = _part(25)
    dropped = [len(b) for b in ShuffledBatches(part, 10, seed=0, epochs=1).from_step(0)]
    kept = [len(b) for b in ShuffledBatches(part, 10, seed=0, epochs=1, drop_last=False).from_step(0)]
    assert (dropped, kept) == ([10, 10], [10, 10, 5])
    assert [len(b) for b in ShuffledBatches(part, 64, seed=0, steps=3).from_step(1)] == [25, 25]


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize(("power", "expected"), [(1.0, 0.5), (0.5, 0.25), (0.0, 0.1)])
def test_balanced_by_class_the_rare_come_as_often_as_asked(
    labels: bool, power: float, expected: float
) -> None:
    part = _part(1000, labels)
    batches = ShuffledBatches(part, 100, seed=1, epochs=8, sampling="class_balanced", sampling_power=power)
    rare = np.concatenate([b.index.numpy() < 100 for b in batches.from_step(0)])
    assert rare.mean() == pytest.approx(expected, abs=0.02)


def test_balanced_by_group_and_by_both() -> None:
    part = _part(1000)
    by_group = ShuffledBatches(part, 100, seed=1, epochs=8, sampling="group_balanced")
    assert torch.cat([b.groups["sex"] for b in by_group.from_step(0)]).float().mean() == pytest.approx(
        0.5, abs=0.02
    )
    by_both = ShuffledBatches(part, 100, seed=1, epochs=8, sampling="group_class_balanced")
    cells = Counter(
        (g, t)
        for b in by_both.from_step(0)
        for g, t in zip(b.groups["sex"].tolist(), b.targets.tolist(), strict=True)
    )
    assert all(n / 8000 == pytest.approx(0.25, abs=0.02) for n in cells.values())
    with pytest.raises(ValueError, match=r"training\.sampling='sex'"):
        StandardTraining(sampling="sex")


def test_an_empty_batch_has_the_shapes_of_a_full_one() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=20),
            "k": rng.choice(["a", "b"], 20),
            "t": ["chest pain and fever"] * 20,
            "image": [_png(rng) for _ in range(20)],
            "wave": [rng.normal(size=9) for _ in range(20)],
            "y": ["rare", "often"] * 10,
        }
    )
    roles = ColumnRoles(("y",), ("x",), ("k",), ("t",), "image", "wave")
    config = ColumnsEncoderConfig(
        text=TextEncoding(tfidf_features=5), image=ImageEncoding(size=4, pre_crop_size=8)
    )
    encoder = ColumnsEncoder(config, roles)
    encoder.fit(frame)
    groups = Groups.fit(frame, Dataset(frame, roles, "t"))
    part = EncodedSplit(frame, np.arange(20), encoder, classes, roles, groups)
    none = torch.empty(0, dtype=torch.int64)
    changes = [
        None,
        build(ImageAugmentation(cutout=0.5), part.layout),
        build(SignalAugmentation(time_stretch=0.1), part.layout),
    ]
    for changed in (
        *changes,
        build(ImageAugmentation(scale=1.0, ratio=1.0), part.layout),
        build(TableAugmentation(), part.layout),
    ):
        full = part.batch(torch.arange(3), changed, torch.Generator())
        empty = part.batch(none, changed, torch.Generator())
        assert len(empty) == 0
        for name, tensor in full.inputs.items():
            assert empty.inputs[name].shape[0] == 0
            assert empty.inputs[name].shape[1:] == tensor.shape[1:], name
            assert empty.inputs[name].dtype == tensor.dtype


def _png(rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
