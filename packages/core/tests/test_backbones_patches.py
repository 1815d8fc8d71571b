"""Random patches: the dictionary, its coefficients against a slow computation, mirror images, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch

from core.backbones import patches
from core.backbones.config import PatchesConfig
from core.backbones.dead_leaves import dead_leaves
from core.backbones.patches import Similarities, contrast_normalized, dictionary
from core.config import build
from core.data.types import Layout

LAYOUT = Layout(image=(3, 32, 32))
SMALL = {"num_patches": 16, "patch_size": 4}


def random_images(count: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255


def test_coefficients_are_those_of_the_definition() -> None:
    words = dictionary(3, 4, 6, seed=3)
    image = dead_leaves(2, 3, 12, seed=9)[:, :, :10]
    found = Similarities(10, 12, words, 4, 2, threshold=1.5)(image)
    assert found.shape == (2, 12, 2, 2)
    t = 1.5 / math.sqrt(48)
    for b in range(2):
        values = torch.zeros(12, 7, 9)
        for y in range(7):
            for x in range(9):
                patch = image[b, :, y : y + 4, x : x + 4].flatten()
                patch = patch - patch.mean()
                patch = patch / (patch.square().sum() + 0.01**2 * 48).sqrt()
                patch = words.whitening @ (patch - words.mean)
                cosine = words.patches @ patch / (patch.norm() + 1e-3)
                values[:, y, x] = torch.cat([(cosine - t).clamp(min=0), (-cosine - t).clamp(min=0)])
        for i, down in enumerate((1.5, 4.5)):  # regions' middles: a quarter and three quarters of 0 to 6, ...
            for j, right in enumerate((2.0, 6.0)):  # ... of 0 to 8
                weight = torch.exp(-((torch.arange(7) - down) ** 2) / (2 * (0.6 * 3.5) ** 2))[:, None] * (
                    torch.exp(-((torch.arange(9) - right) ** 2) / (2 * (0.6 * 4.5) ** 2))
                )
                expected = (values * weight).sum((1, 2)) / weight.sum()
                torch.testing.assert_close(found[b, :, i, j], expected, rtol=1e-3, atol=1e-5)


def test_many_images_are_processed_a_few_at_a_time_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = build(PatchesConfig(**SMALL), LAYOUT, 0)
    image = random_images(7)
    whole = network({"image": image}).pooled
    monkeypatch.setitem(patches.SIMILARITIES_PER_PASS, "cpu", 1)
    torch.testing.assert_close(network({"image": image}).pooled, whole, rtol=1e-4, atol=1e-4)


def test_the_dictionary_is_white_and_has_the_mirror_image_of_each_patch() -> None:
    words = dictionary(3, 6, 64, seed=0)
    torch.testing.assert_close(words.patches.norm(dim=1), torch.ones(64))
    cut = torch.nn.functional.unfold(dead_leaves(200, 3, 32, seed=77), 6).transpose(1, 2).flatten(0, 1)
    white = (contrast_normalized(cut) - words.mean) @ words.whitening
    values = torch.linalg.eigvalsh(torch.cov(white.T))
    assert float(values[-1] / values.median()) < 2, "other images are nearly white too"
    raw = torch.linalg.eigvalsh(torch.cov(contrast_normalized(cut).T))
    assert float(raw[-1] / raw.median()) > 20, "without it they are far from it"
    turned = words.patches[:32].view(-1, 3, 6, 6).flip(-1).flatten(1)  # whitening has the mirror's symmetry
    torch.testing.assert_close(turned, words.patches[32:], rtol=1e-3, atol=1e-4)
    assert torch.equal(dictionary(3, 6, 64, seed=0).patches, words.patches)
    assert not torch.allclose(dictionary(3, 6, 64, seed=1).patches, words.patches, atol=0.01)


def test_flat_patches_stay_short() -> None:
    rough = torch.rand(1, 48, generator=torch.Generator().manual_seed(0))
    lengths = contrast_normalized(
        torch.cat([rough, 0.5 + (rough - 0.5) * 1e-3, torch.full((1, 48), 0.3)])
    ).norm(dim=1)
    assert float(lengths[0]) > 0.99
    assert float(lengths[1]) < 0.05
    assert float(lengths[2]) == pytest.approx(0, abs=1e-4)


def test_coefficients_are_standardized_over_synthetic_images() -> None:
    others = dead_leaves(96, 3, 32, seed=5) * 255  # other ones than those that the network measures
    found = build(PatchesConfig(), LAYOUT, 0)({"image": others}).pooled.reshape(96, 1024, 16)
    spread, mean = torch.std_mean(found, dim=(0, 2))
    assert float(mean.abs().max()) < 0.5
    assert 0.8 < float(spread.median()) < 1.1
    assert float(spread.quantile(0.95) / spread.quantile(0.05)) < 2


@pytest.mark.parametrize("size", [(32, 32), (32, 37), (21, 64)])
@pytest.mark.parametrize("places", [3, 4])
def test_features_are_invariant_to_mirroring_from_one_pass(size: tuple[int, int], places: int) -> None:
    layout = Layout(image=(3, *size))
    network = build(PatchesConfig(**SMALL, pool_grid=places, mirror=True), layout, 0)
    whole = build(PatchesConfig(**SMALL, pool_grid=places), layout, 0)
    image = random_images(2, *size)
    found = network({"image": image}).pooled
    assert found.shape == (2, network.num_features)
    assert network.num_features == 32 * places * -(-places // 2)
    torch.testing.assert_close(found, network({"image": image.flip(-1)}).pooled, rtol=1e-4, atol=1e-4)
    two = whole.coefficients(image / 255) + whole.coefficients(image.flip(-1) / 255)
    expected = two[..., : -(-places // 2)].flatten(1) * 2**-0.5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, network({"image": image.flip(-2)}).pooled, atol=0.1), "down is not up"


def test_patches_and_statistics_are_saved_with_the_weights() -> None:
    network, served = (
        build(PatchesConfig(**SMALL), LAYOUT, 0),
        build(PatchesConfig(**SMALL), LAYOUT, 0, architecture={}),
    )
    assert sum(p.numel() for p in network.parameters()) == 0
    assert not torch.equal(served.usual_mean, network.usual_mean), "a saved run's patches are not drawn anew"
    served.load_state_dict(network.state_dict())
    assert torch.equal(
        served({"image": random_images(2)}).pooled, network({"image": random_images(2)}).pooled
    )
    other = build(PatchesConfig(**SMALL), LAYOUT, 1)
    assert not torch.allclose(other.similarities.patches, network.similarities.patches, atol=0.01)


@pytest.mark.parametrize(
    ("option", "key"),
    [
        (partial(PatchesConfig, num_patches=0), "num_patches=0"),
        (partial(PatchesConfig, num_patches=7), "num_patches=7"),
        (partial(PatchesConfig, patch_size=1), "patch_size=1"),
        (partial(PatchesConfig, pool_grid=0), "pool_grid=0"),
        (partial(PatchesConfig, threshold=-0.5), "threshold"),
        (partial(PatchesConfig, linear_branch_lr_scale=-1.0), "linear_branch_lr_scale"),
        (partial(PatchesConfig, patch_size=30), "patch_size=30"),
    ],
)
def test_wrong_values_are_refused_with_their_key(option: Callable[[], PatchesConfig], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        build(option(), LAYOUT, 0)
