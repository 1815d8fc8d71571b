"""Changes of inputs are exact where they can be, stay within their strengths, and touch each example alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from core.config import build
from core.data.augmentation import Augmentation
from core.data.config import ImageAugmentation, NoAugmentation, SignalAugmentation, TableAugmentation
from core.data.types import Layout

STILL = {
    "scale": 1.0, "ratio": 1.0, "flip": False, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
}  # fmt: skip


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(count: int = 32, side: int = 16) -> Tensor:
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (count, 3, side, side)).astype(np.uint8)
    )


def _changes(side: int = 16, **settings: object) -> Augmentation:
    made = build(ImageAugmentation(**(STILL | settings)), Layout(image=(3, side, side)))
    assert made is not None
    return made


def _apply(changes: Augmentation, images: Tensor, seed: int = 0) -> Tensor:
    return changes({"image": images}, _generator(seed))["image"]


def test_at_rest_nothing_changes() -> None:
    assert torch.equal(_apply(_changes(), _images()), _images())
    assert build(NoAugmentation(), Layout()) is None


def test_all_eight_mirrored_turns_come_and_nothing_else() -> None:
    image = _images(1).expand(400, -1, -1, -1)
    turns = [torch.rot90(image[0], k, (1, 2)) for k in range(4)]
    turns += [t.flip(2) for t in turns]
    found = _apply(_changes(dihedral=True), image)
    counts = [sum(torch.equal(f, t) for f in found) for t in turns]
    assert sum(counts) == 400
    assert min(counts) > 25


def test_quarter_turns_by_resampling_are_exact_too() -> None:
    image = _images(1).expand(200, -1, -1, -1)
    turns = [torch.rot90(image[0], k, (1, 2)) for k in range(4)]
    turns += [t.flip(2) for t in turns]
    found = _apply(_changes(dihedral=True, shift=1e-9), image)
    near = [min(int((f.int() - t.int()).abs().max()) for t in turns) for f in found]
    assert max(near) <= 1


def test_a_random_crop_is_a_piece_of_the_image() -> None:
    ramp = torch.linspace(0, 255, 64).to(torch.uint8).expand(50, 3, 64, 64).contiguous()
    found = _apply(_changes(64, scale=0.25), ramp).float()
    widths = (found[:, 0, 0, -1] - found[:, 0, 0, 0]) / 255
    assert widths.min() > 0.45
    assert widths.max() <= 1.0
    assert widths.mean() < 0.85
    assert (found.diff(dim=3) >= 0).all(), "a crop without mirroring keeps left to right"


def test_a_turn_keeps_the_shape_of_what_is_round_also_in_wide_images() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    disc = (255 * (((rows - 15.5) ** 2 + (columns - 31.5) ** 2) < 100)).to(torch.uint8).expand(20, 3, 32, 64)
    made = build(ImageAugmentation(**(STILL | {"rotation": 180.0})), Layout(image=(3, 32, 64)))
    assert made is not None
    # in the middle: what lies outside is mirrored in
    difference = (_apply(made, disc).float() - disc.float())[..., 16:48].abs().mean((1, 2, 3))
    assert difference.max() < 10


def test_examples_are_changed_alone_and_by_the_generator_only() -> None:
    changes = _changes(scale=0.5, rotation=30.0, brightness=0.3, hue=0.1, cutout=0.3, color_balance=0.1)
    images = _images()
    found = _apply(changes, images)
    assert torch.equal(found, _apply(changes, images))
    assert not torch.equal(found, _apply(changes, images, seed=1))
    other = images.clone()
    other[5] = 0
    again = _apply(changes, other)
    assert torch.equal(found[torch.arange(32) != 5], again[torch.arange(32) != 5])
    assert found.dtype == torch.uint8


def test_colors_keep_gray_gray_and_brightness_within_its_strength() -> None:
    gray = torch.full((64, 3, 4, 4), 100, dtype=torch.uint8)
    turned = _apply(_changes(4, saturation=0.9, hue=0.5), gray)
    assert (turned.int() - 100).abs().max() <= 1
    light = _apply(_changes(4, brightness=0.2), gray).float()
    assert light.min() >= 79
    assert light.max() <= 121
    assert light.std() > 5


def test_cutout_has_its_size() -> None:
    holed = _apply(_changes(16, cutout=0.5), _images())
    changed = (holed != _images()).any(1).float().sum((1, 2))
    assert changed.max() <= 64
    assert changed.median() > 30


def test_probability_leaves_some_alone() -> None:
    images = _images(400)
    found = _apply(_changes(scale=0.3, brightness=0.5, probability=0.5), images)
    alone = ((found.int() - images.int()).abs().amax((1, 2, 3)) <= 1).float().mean()
    assert alone == pytest.approx(0.25, abs=0.07)


def test_larger_sources_come_out_in_the_layouts_size() -> None:
    images = _images(4, 32)
    assert _apply(_changes(16, scale=0.5), images).shape == (4, 3, 16, 16)
    flat = _apply(_changes(16), torch.full((2, 3, 32, 32), 77, dtype=torch.uint8))
    assert flat.shape == (2, 3, 16, 16)
    assert flat.unique().tolist() == [77]


def test_signals_are_shifted_scaled_and_disturbed_within_strengths() -> None:
    signal = torch.sin(torch.linspace(0, 12, 200)).expand(64, 2, 200)
    still = {"gain": 0.0, "shift": 0.0, "jitter": 0.0, "baseline_wander": 0.0}

    def apply(**settings: float) -> Tensor:
        made = build(SignalAugmentation(**(still | settings)), Layout(signal=(2, 200)))
        assert made is not None
        return made({"signal": signal}, _generator())["signal"]

    assert torch.equal(apply(), signal)
    gains = apply(gain=0.2).std(2) / signal.std(2)
    assert 0.8 <= gains.min() < 0.85
    assert 1.15 < gains.max() <= 1.2
    jitter = apply(jitter=0.1) - signal
    assert jitter.std() == pytest.approx(0.1 * float(signal[0, 0].std()), rel=0.05)
    wander = apply(baseline_wander=0.5) - signal
    assert wander.abs().max() <= 0.5 * float(signal[0, 0].std()) + 1e-6
    assert wander.diff(dim=2).abs().max() < 0.02, "the baseline moves slowly"
    shifted = apply(shift=0.1)
    assert shifted.shape == signal.shape
    best = [
        min(float((signal[0, 0, 30 + k : 170 + k] - s[0, 30:170]).abs().mean()) for k in range(-21, 22))
        for s in shifted
    ]
    assert max(best) < 0.03


def test_table_features_are_hidden_as_missing() -> None:
    layout = Layout(pad_token_id=1)
    inputs = {
        "numeric": torch.ones(500, 8),
        "missing": torch.zeros(500, 8),
        "categorical": torch.full((500, 5), 3),
        "tokens": torch.full((500, 20), 7),
        "tfidf": torch.ones(500, 30),
    }
    config = TableAugmentation(
        numeric_dropout=0.2, categorical_dropout=0.3, token_dropout=0.4, tfidf_dropout=0.5
    )
    changes = build(config, layout)
    assert changes is not None
    found = changes(inputs, _generator())
    assert torch.equal(found["missing"] == 1, found["numeric"] == 0)
    assert found["missing"].mean() == pytest.approx(0.2, abs=0.02)
    assert (found["categorical"] == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (found["tokens"][:, 1:] == 1).float().mean() == pytest.approx(0.4, abs=0.02)
    assert (found["tokens"][:, 0] == 7).all()
    assert found["tfidf"].mean() == pytest.approx(1.0, abs=0.05)
    assert inputs["numeric"].min() == 1, "the part's own tensors stay as they are"


def test_strengths_that_cannot_be_are_refused_by_key() -> None:
    with pytest.raises(ValueError, match=r"augmentation\.scale=1\.5"):
        _changes(scale=1.5)
    with pytest.raises(ValueError, match=r"augmentation\.gain=2\.0"):
        SignalAugmentation(gain=2.0)
    with pytest.raises(ValueError, match=r"augmentation\.token_dropout=1\.0"):
        TableAugmentation(token_dropout=1.0)
    with pytest.raises(ValueError, match="no image column"):
        build(ImageAugmentation(), Layout())
