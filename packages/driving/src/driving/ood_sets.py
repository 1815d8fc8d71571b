"""Out-of-distribution sets: random pixels, unknown signs, images of CIFAR-10, street scenes upside down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.config import derive_seed
from driving.simulate.signs import SIDE, SUPERSAMPLING, draw_polygon, photograph
from driving.sources.image_strips import encode_ppm, split_strip

if TYPE_CHECKING:
    import pandas as pd
    from numpy.random import Generator

    from core.evaluation.ood_detection import OodRows
    from core.evaluation.study import EvaluationContext

COLORS = ((120, 40, 160), (20, 130, 60), (230, 120, 20), (60, 60, 60))


def sign_ood_sets(path: str | None, rows: int) -> dict[str, OodRows]:
    """Return the OOD sets for signs: random pixels, unknown signs, and CIFAR-10 if a path is given."""
    sets: dict[str, OodRows] = {
        "random_pixels": lambda context: _frame(context, _random_pixels(_rng(context, "noise"), rows)),
        "unknown_signs": lambda context: _frame(context, _unknown_signs(_rng(context, "unknown"), rows)),
    }
    if path is not None:
        sets["cifar10"] = lambda context: _frame(context, _cifar10(_rng(context, "cifar10"), path, rows))
    return sets


def scene_ood_sets(rows: int) -> dict[str, OodRows]:
    """Return the OOD sets for street scenes: random pixels, and the test images upside down."""
    return {
        "random_pixels": lambda context: _frame(
            context, _random_frames(context, _rng(context, "noise"), rows)
        ),
        "upside_down": lambda context: _frame(context, _upside_down(context, _rng(context, "turned"), rows)),
    }


def _random_frames(context: EvaluationContext, rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    height, width = _images(context, np.array([0]))[0].shape[:2]
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(rows)]


def _upside_down(context: EvaluationContext, rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    chosen = np.sort(rng.permutation(len(context.frames["test"]))[:rows])
    return [np.ascontiguousarray(image[::-1]) for image in _images(context, chosen)]


def _images(context: EvaluationContext, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    from core.data.encoders.images import open_image

    column = context.dataset.roles.image
    assert column is not None
    found = []
    for row, value in context.frames["test"][column].iloc[rows].items():
        with open_image(value, row, column) as image:
            found.append(np.asarray(image.convert("RGB"), np.uint8))
    return found


def _rng(context: EvaluationContext, use: str) -> Generator:
    return np.random.default_rng(derive_seed(context.seed, "foreign", use))


def _frame(context: EvaluationContext, images: list[NDArray[np.uint8]]) -> pd.DataFrame:
    import pandas as pd

    assert context.dataset.roles.image is not None
    return pd.DataFrame({context.dataset.roles.image: [encode_ppm(image) for image in images]})


def _random_pixels(rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    return [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(rows)]


def _unknown_signs(rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    """Return signs with corners, colors and symbols that no class has."""
    return [
        photograph(rng, _unknown_sign(rng), rng.uniform(0.5, 1), rng.normal(0, 6), 1.0, 0.05)
        for _ in range(rows)
    ]


def _unknown_sign(rng: Generator) -> Image.Image:
    canvas = Image.new("RGBA", (SIDE * SUPERSAMPLING, SIDE * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    corners, color = int(rng.choice([4, 5, 6])), COLORS[rng.integers(len(COLORS))]
    draw_polygon(draw, corners, np.pi / corners, 0.55, color)
    draw_polygon(draw, corners, np.pi / corners, 0.42, (240, 240, 240))
    across = rng.uniform(0.25, 0.75, 6) * SIDE * SUPERSAMPLING
    draw.line(
        [(float(across[n]), float(across[n + 3])) for n in range(3)],
        fill=color,
        width=SIDE * SUPERSAMPLING // 10,
    )
    return canvas


def _cifar10(rng: Generator, path: str, rows: int) -> list[NDArray[np.uint8]]:
    """Return images of the test strips of CIFAR-10 (strips of 32 x 32 images)."""
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns

    file = resolve_path(path, "task.ood_path")
    table = read_table(file)
    require_columns(table.frame, {"task.ood_path": ["split", "n", "image"]}, file)
    strips = table.frame[table.frame["split"] == "test"]
    images: list[NDArray[np.uint8]] = []
    for row, strip in strips.iterrows():
        strip_images = split_strip(strip["image"], int(strip["n"]), f"{file}, row {row}")
        chosen = rng.permutation(len(strip_images))[: -(-rows // len(strips))]
        images += [strip_images[n] for n in sorted(chosen)]
    return images[:rows]
