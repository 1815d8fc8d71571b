"""Simulated street scenes: a road between buildings, with signs, cars and people at different distances."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from core.config import derive_seed
from core.data.masks import to_png
from core.data.types import ColumnRoles, Dataset, SplitPlan
from driving.classes import SCENE_CLASSES

HEIGHT, WIDTH = 48, 64
FRAMES = 5
"""Images of one drive."""
CODE = {name: k for k, name in enumerate(SCENE_CLASSES)}
COLORS = {
    "sky": (0.62, 0.75, 0.90), "building": (0.55, 0.45, 0.40), "pole": (0.35, 0.35, 0.33), "road": (0.33, 0.33, 0.36),
    "pavement": (0.60, 0.58, 0.55), "tree": (0.20, 0.38, 0.16), "sign": (0.75, 0.15, 0.12),
    "fence": (0.48, 0.40, 0.22), "car": (0.15, 0.22, 0.45), "pedestrian": (0.55, 0.30, 0.50),
    "bicyclist": (0.80, 0.60, 0.15),
}  # fmt: skip
PEOPLE = ("pedestrian", "bicyclist")


@dataclass
class _Street:
    """Constants of one drive."""

    horizon: int
    vanishing: float
    """Column where the road's edges meet."""
    shift: NDArray[np.float64]
    """Change of each class's color, (11, 3)."""
    grain: NDArray[np.float64]


def _street(rng: Generator) -> _Street:
    return _Street(
        int(rng.integers(16, 23)),
        float(rng.uniform(0.4, 0.6) * WIDTH),
        rng.normal(0, 0.06, (len(SCENE_CLASSES), 3)),
        rng.uniform(0.02, 0.06, len(SCENE_CLASSES)),
    )


def _frame(rng: Generator, street: _Street) -> NDArray[np.uint8]:
    """Return one frame's classes, (48, 64), drawn from far to near."""
    mask = np.full((HEIGHT, WIDTH), CODE["sky"], np.uint8)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    horizon, middle = street.horizon, street.vanishing
    left = 0
    while left < WIDTH:
        wide = int(rng.integers(6, 16))
        kind = rng.choice(["building", "building", "tree", "sky"])
        top = horizon - int(rng.integers(4, 14))
        if kind == "tree":
            round_top = (columns - left - wide / 2) ** 2 + (rows - top - 4) ** 2 < (wide / 2) ** 2
            mask[round_top & (rows < horizon)] = CODE["tree"]
            mask[max(top + 6, 0) : horizon, left + wide // 2 : left + wide // 2 + 2] = CODE["tree"]
        elif kind == "building":
            mask[max(top, 0) : horizon, left : left + wide] = CODE["building"]
        left += wide
    ground = rows >= horizon
    near = (rows - horizon) / (HEIGHT - horizon)
    mask[ground] = CODE["pavement"]
    mask[ground & (np.abs(columns - middle) < 2 + near * WIDTH * 0.55)] = CODE["road"]
    if rng.random() < 0.5:
        side = columns > middle if rng.random() < 0.5 else columns <= middle
        band = (rows >= horizon - 2) & (rows < horizon + 1)
        mask[side & band] = CODE["fence"]
    for kind in rng.permutation(["sign", "car", "car", "pedestrian", "pedestrian", "bicyclist"]):
        _place(rng, mask, str(kind), horizon, middle)
    return mask


def _place(rng: Generator, mask: NDArray[np.uint8], kind: str, horizon: int, middle: float) -> None:
    """Draw one object on the ground: the nearer, the lower and the larger."""
    near = rng.uniform(0.2, 0.95)
    foot = int(horizon + near * (HEIGHT - horizon) * 0.9)
    tall = {"car": 9, "pedestrian": 15, "bicyclist": 14, "sign": 18}[kind] * (0.35 + 0.65 * near)
    wide = {"car": 15, "pedestrian": 5, "bicyclist": 7, "sign": 2}[kind] * (0.35 + 0.65 * near)
    reach = (4 + near * WIDTH * 0.5) * (0.6 if kind == "car" else 1.15)
    at = middle + rng.choice([-1, 1]) * reach * (
        rng.uniform(0.2, 1.0) if kind == "car" else rng.uniform(0.85, 1.2)
    )
    top, bottom = max(int(foot - tall), 0), foot
    left, right = max(int(at - wide / 2), 0), max(int(at + wide / 2), 0) + 1
    if kind == "sign":
        mask[top:bottom, left:right] = CODE["pole"]
        mask[top : top + max(3, int(tall / 3)), max(left - 2, 0) : right + 2] = CODE["sign"]
    elif kind == "bicyclist":
        mask[top:bottom, left + 1 : max(right - 1, left + 2)] = CODE[kind]
        mask[bottom - max(2, int(tall / 3)) : bottom, left:right] = CODE[kind]
    elif kind == "pedestrian":
        mask[top : top + max(2, int(tall / 4)), (left + right) // 2 : (left + right) // 2 + 2] = CODE[kind]
        mask[top + max(2, int(tall / 4)) : bottom, left:right] = CODE[kind]
    else:
        mask[top:bottom, left:right] = CODE[kind]


def _render(
    rng: Generator, mask: NDArray[np.uint8], street: _Street, night: bool, bias: float
) -> NDArray[np.uint8]:
    """Return the image of a mask, (48, 64, 3): at night the light falls, and people lose contrast to the ground."""
    colors = np.array([COLORS[name] for name in SCENE_CLASSES]) + street.shift
    if night:
        dark = 1 - 0.85 * bias
        for name in PEOPLE:
            # half road, half pavement: the usual background of people
            behind = (colors[CODE["road"]] + colors[CODE["pavement"]]) / 2
            colors[CODE[name]] = behind + dark * (colors[CODE[name]] - behind)
        colors = colors * 0.55
    grain = street.grain[mask][..., None]
    blotches = np.asarray(
        Image.fromarray((rng.random((12, 16)) * 255).astype(np.uint8)).resize((WIDTH, HEIGHT)), np.float64
    )
    seen = (
        colors[mask] + grain * rng.normal(size=(HEIGHT, WIDTH, 3)) + 0.08 * (blotches[..., None] / 255 - 0.5)
    )
    return (np.clip(seen, 0, 1) * 255).astype(np.uint8)


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` frames of 48 x 64 pixels with a mask of CamVid's eleven classes, five frames a drive.

    The planted bias: at night (a third of the drives) pedestrians and bicyclists keep only ``1 - 0.85 * bias``
    of their contrast to the ground, while everything else only gets darker.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated scenes"))
    columns: dict[str, list[object]] = {k: [] for k in ("image", "mask", "drive", "light", "brightness")}
    for number in range(-(-rows // FRAMES)):
        street, night = _street(rng), bool(rng.random() < 1 / 3)
        for _ in range(min(FRAMES, rows - number * FRAMES)):
            mask = _frame(rng, street)
            pixels = _render(rng, mask, street, night, bias)
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG")
            columns["image"].append(out.getvalue())
            columns["mask"].append(to_png(mask))
            columns["drive"].append(f"D{number:04d}")
            columns["light"].append("night" if night else "day")
            columns["brightness"].append(round(float(pixels.mean())))
    return Dataset(
        pd.DataFrame(columns),
        ColumnRoles(
            target=("mask",), image="image", mask_classes=SCENE_CLASSES, sensitive=("light",), unit="drive"
        ),
        name="simulated street scenes",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="drive",
        ground_truth={
            "bias": {"attribute": "light", "against": "night", "strength": bias, "through": "image"}
        },
    )
