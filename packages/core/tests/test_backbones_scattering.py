"""Scattering: its wavelets, and its coefficients against a slow computation by the definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.fft import fft2, ifft2
from torch.nn.functional import pad

from core.backbones.config import ScatteringConfig
from core.backbones.dead_leaves import dead_leaves
from core.backbones.scattering import Scattering, gabor, morlet
from core.config import build
from core.data.types import Layout


def slow(image: torch.Tensor, scales: int, orientations: int) -> torch.Tensor:
    """Compute the coefficients of one channel (H, W) at full resolution, subsampling at the very end: (K, h, w)."""
    step = 2**scales
    h, w = image.shape
    side = math.ceil((max(h, w) + 2 * step) / step) * step
    edged = pad(image[None, None], (step,) * 4, mode="reflect")
    edged = pad(edged, (0, side - w - 2 * step, 0, side - h - 2 * step), mode="replicate")[0, 0].double()
    low = fft2(gabor(side, 0.8 * 2 ** (scales - 1), 0.0, 1.0, 0.0))

    def averaged(u: torch.Tensor) -> torch.Tensor:
        return ifft2(fft2(u.to(torch.complex128)) * low).real[
            step : step + h // step * step : step, step : step + w // step * step : step
        ]

    def modulus(u: torch.Tensor, scale: int, k: int) -> torch.Tensor:
        wave = fft2(morlet(side, scale, math.pi * k / orientations, orientations))
        return ifft2(fft2(u.to(torch.complex128)) * wave).abs()

    found = [averaged(edged)]
    for j in range(scales):
        firsts = [modulus(edged, j, k) for k in range(orientations)]
        found += [averaged(u) for u in firsts]
        for i in range(j + 1, scales):
            found += [averaged(modulus(u, i, k)) for u in firsts for k in range(orientations)]
    return torch.stack(found)


@pytest.mark.parametrize(("scales", "orientations", "size"), [(2, 8, (32, 32)), (3, 4, (33, 50))])
def test_coefficients_are_those_of_the_definition(
    scales: int, orientations: int, size: tuple[int, int]
) -> None:
    draw = torch.Generator().manual_seed(3)
    rough = torch.rand(1, 1, size[0] // 4 + 1, size[1] // 4 + 1, generator=draw)
    image = torch.nn.functional.interpolate(rough, size=size, mode="bicubic")[0, 0]
    image = image + 0.1 * torch.rand(size, generator=draw)
    fast = Scattering(*size, scales, orientations)(image[None, None])[0]
    expected = slow(image, scales, orientations).float()
    assert fast.shape == expected.shape
    assert fast.shape[0] == 1 + scales * orientations + scales * (scales - 1) // 2 * orientations**2
    inside = (slice(1, -1), slice(1, -1))  # at the edge the definition here averages around to the other side
    torch.testing.assert_close(fast[0][inside], expected[0][inside], rtol=1e-4, atol=1e-4)
    # Subsampling between the steps folds back a little of the highest frequencies.
    apart = (fast - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
    assert float(apart.max()) < 0.06
    assert float(apart.mean()) < 0.02


def test_wavelets_have_no_mean_and_see_their_own_frequency_most() -> None:
    for scale in (0, 1, 2):
        wave = morlet(64, scale, 0.0, 8)
        assert abs(complex(wave.sum())) < 1e-10
        spectrum = fft2(wave).abs()
        place = int(spectrum.flatten().argmax())
        assert place // 64 == 0, "a wave along x has no frequency along y"
        assert abs(place % 64 * 2 * math.pi / 64 - 0.75 * math.pi / 2**scale) < 0.2


def test_a_shift_by_one_step_shifts_the_coefficients() -> None:
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    scattering = Scattering(48, 48, 2, 8)
    a, b = scattering(image), scattering(image.roll((4, 4), (2, 3)))
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(a[inside], b.roll((-1, -1), (2, 3))[inside], rtol=1e-3, atol=1e-4)
    moved = (a[inside] - b[inside]).norm() / a[inside].norm()
    assert float(moved) > 0.05, "coefficients of another place are others"


def test_flat_images_have_but_their_brightness() -> None:
    found = Scattering(32, 32, 2, 8)(torch.full((1, 1, 32, 32), 0.7))
    torch.testing.assert_close(found[0, 0], torch.full((8, 8), 0.7))
    assert float(found[0, 1:].abs().max()) < 1e-6


def test_neighbouring_coefficients_are_brought_to_one_scale_within_an_image() -> None:
    network = build(ScatteringConfig(standardize="none"), Layout(image=(3, 32, 32)), 0)
    assert sum(p.numel() for p in network.parameters()) == 0
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255
    groups = network({"image": image}).pooled.reshape(2, 81, 3 * 64)
    assert float(groups.mean(dim=2).abs().max()) < 1e-3
    deviations = groups.std(dim=2)
    assert float(deviations.max()) < 1.01
    assert float(deviations[:, 0].min()) > 0.9, "the image itself has contrast enough"


def test_coefficients_are_standardized_over_synthetic_images() -> None:
    images = dead_leaves(64, 3, 32, seed=5) * 255  # other ones than those that the network measures
    layout = Layout(image=(3, 32, 32))
    found = build(ScatteringConfig(), layout, 0)({"image": images}).pooled.reshape(64, 243, 64)
    spread, mean = torch.std_mean(found, dim=(0, 2))
    assert float(mean.abs().max()) < 0.3
    assert 0.75 < float(spread.min()) < float(spread.max()) < 1.25
    raw = build(ScatteringConfig(standardize="none"), layout, 0)({"image": images}).pooled.reshape(
        64, 243, 64
    )
    spread = raw.std(dim=(0, 2))
    assert float(spread.max() / spread.min()) > 5, "without it they differ"


def test_dead_leaves_are_a_function_of_the_seed_and_have_edges_at_all_scales() -> None:
    one, same, other = (dead_leaves(6, 3, 32, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) < 0.1
    assert 0.9 < float(one.max()) <= 1
    gray = dead_leaves(64, 1, 64, 2)[:, 0]
    power = torch.fft.fft2(gray - gray.mean()).abs().square().mean(0)[0, 1:17]  # along one axis
    slope = torch.linalg.lstsq(
        torch.stack([torch.arange(1, 17).float().log(), torch.ones(16)], 1), power.log()[:, None]
    ).solution[0]
    assert -3 < float(slope) < -1.2, "natural images fall with about the square of the frequency (Field 1987)"


def test_opponent_colors_are_computed_for_three_channels_only() -> None:
    gray = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)).repeat(1, 3, 1, 1)
    layout = Layout(image=(3, 32, 32))
    brightness, *differences = (
        build(ScatteringConfig(standardize="none", norm_window=81), layout, 0)({"image": gray * 255})
        .pooled.reshape(2, 3, 81, 64)
        .unbind(1)
    )
    assert all(float(one.abs().max()) < 0.02 for one in differences), "gray images have none"
    alone = build(ScatteringConfig(standardize="none", norm_window=81), Layout(image=(1, 32, 32)), 0)
    torch.testing.assert_close(
        alone({"image": gray[:, :1] * 255}).pooled, brightness.flatten(1), rtol=1e-3, atol=1e-3
    )
    unchanged = build(ScatteringConfig(standardize="none", norm_window=81, color_space="rgb"), layout, 0)
    red, green, _ = unchanged({"image": gray * 255}).pooled.reshape(2, 3, 81, 64).unbind(1)
    torch.testing.assert_close(red, green)


@pytest.mark.parametrize("width", [32, 36])
def test_features_are_invariant_to_mirroring(width: int) -> None:
    image = torch.rand(2, 3, 32, width, generator=torch.Generator().manual_seed(1)) * 255
    network = build(ScatteringConfig(mirror=True), Layout(image=(3, 32, width)), 0)
    whole = build(ScatteringConfig(), Layout(image=(3, 32, width)), 0)
    found = network({"image": image}).pooled
    assert found.shape == (2, network.num_features)
    assert network.num_features == 243 * 8 * -(-width // 8)
    torch.testing.assert_close(found, network({"image": image.flip(-1)}).pooled, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(
        whole({"image": image}).pooled, whole({"image": image.flip(-1)}).pooled, atol=0.1
    )
    assert not torch.allclose(found, network({"image": image.flip(-2)}).pooled, atol=0.1), "down is not up"


def test_the_statistics_are_saved_with_the_weights() -> None:
    layout = Layout(image=(3, 32, 32))
    network, served = (
        build(ScatteringConfig(), layout, 0),
        build(ScatteringConfig(), layout, 0, architecture={}),
    )
    assert set(network.state_dict()) == {"usual_mean", "usual_deviation"}
    assert not torch.equal(served.usual_mean, network.usual_mean), "a saved run's sizes are not measured anew"
    served.load_state_dict(network.state_dict())
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255
    assert torch.equal(served({"image": image}).pooled, network({"image": image}).pooled)
    assert not build(ScatteringConfig(standardize="none"), Layout(image=(3, 32, 32)), 0).state_dict()


@pytest.mark.parametrize(
    ("option", "key"),
    [
        (partial(ScatteringConfig, scales=0), "scales"),
        (partial(ScatteringConfig, norm_window=0), "norm_window"),
        (partial(ScatteringConfig, conv_channels=[20]), "conv_channels"),
        (partial(ScatteringConfig, color_space="hsv"), "color_space"),
        (partial(ScatteringConfig, standardize="data"), "standardize"),
        (partial(ScatteringConfig, mirror=True, conv_channels=[16]), "mirror"),
        (partial(ScatteringConfig, linear_branch_lr_scale=-1.0), "linear_branch_lr_scale"),
        (partial(ScatteringConfig, scales=5), "scales=5"),
    ],
)
def test_wrong_values_are_refused_with_their_key(option: Callable[[], ScatteringConfig], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        build(option(), Layout(image=(3, 32, 32)), 0)
