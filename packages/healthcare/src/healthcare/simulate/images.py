"""Simulated skin lesions: pigmented blobs whose border and symmetry determine the diagnosis."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from numpy.random import Generator
from PIL import Image

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

SIZE = 32
CLASSES = ("naevus", "melanoma", "keratosis")
LIGHT = np.array([0.86, 0.70, 0.60])
DARK = np.array([0.42, 0.28, 0.20])
PIGMENT = {"naevus": (0.42, 0.26, 0.18), "melanoma": (0.20, 0.13, 0.13), "keratosis": (0.55, 0.40, 0.22)}
BORDER_IRREGULARITY = {"naevus": 0.04, "melanoma": 0.22, "keratosis": 0.09}


def _lesion(rng: Generator, diagnosis: str, skin: np.ndarray, contrast: float) -> bytes:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    center = SIZE / 2 + rng.normal(0, 2, 2)
    angle = np.arctan2(y - center[0], x - center[1])
    radius = rng.uniform(6, 10) * np.ones_like(angle)
    for order in range(2, 7):
        radius *= 1 + BORDER_IRREGULARITY[diagnosis] * rng.normal() * np.cos(
            order * angle + rng.uniform(0, 2 * np.pi)
        )
    inside = 1 / (1 + np.exp((np.hypot(y - center[0], x - center[1]) - radius) / 0.8))
    pigment = np.array(PIGMENT[diagnosis]) + rng.normal(0, 0.06, 3)
    image = skin + contrast * inside[..., None] * (pigment - skin)
    image = image + rng.normal(0, 0.04, image.shape)
    out = io.BytesIO()
    Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` images of 32 x 32 pixels in three classes.

    The planted bias: images of dark skin are lit so poorly that the lesion keeps only
    ``1 - 0.6 * bias`` of its contrast.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated images"))
    labels = rng.choice(CLASSES, rows, p=(0.6, 0.15, 0.25))
    dark = rng.random(rows) < 0.25
    images = [
        _lesion(rng, label, DARK if d else LIGHT, 1 - 0.6 * bias if d else 1.0)
        for label, d in zip(labels, dark, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "lesion": [f"L{n:06d}" for n in range(rows)],
            "image": images,
            "skin": np.where(dark, "dark", "light"),
            "sex": rng.choice(["female", "male"], rows),
            "diagnosis": labels,
        }
    )
    return Dataset(
        frame,
        ColumnRoles(target=("diagnosis",), image="image", sensitive=("skin", "sex"), unit="lesion"),
        name="simulated skin lesions",
        simulated=True,
        split=SplitPlan(by="stratified", seed=seed),
        unit_name="lesion",
        ground_truth={"bias": {"attribute": "skin", "against": "dark", "strength": bias, "through": "image"}},
    )
