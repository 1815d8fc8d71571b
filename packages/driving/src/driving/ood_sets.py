"""Pictures that show no known sign: noise, signs that were never taught, and everyday pictures of CIFAR-10's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.config import derive_seed
from driving.simulate.signs import FINE, SIDE, photographed, ring
from driving.sources.image_strips import ppm, strip_pictures

if TYPE_CHECKING:
    import pandas as pd
    from numpy.random import Generator

    from core.evaluation.ood_detection import Foreign
    from core.evaluation.study import EvaluationContext

COLOURS = ((120, 40, 160), (20, 130, 60), (230, 120, 20), (60, 60, 60))


def foreign_sets(path: str | None, rows: int) -> dict[str, Foreign]:
    """Name the sets of foreign pictures: noise and unknown signs always, CIFAR-10 where a path is given."""
    sets: dict[str, Foreign] = {
        "noise": lambda held: _frame(held, _noise(_rng(held, "noise"), rows)),
        "unknown_signs": lambda held: _frame(held, _unknown(_rng(held, "unknown"), rows)),
    }
    if path is not None:
        sets["cifar10"] = lambda held: _frame(held, _everyday(_rng(held, "cifar10"), path, rows))
    return sets


def foreign_scenes(rows: int) -> dict[str, Foreign]:
    """Name the sets of pictures that are no street seen from a car: noise, and the test pictures upside down."""
    return {
        "noise": lambda held: _frame(held, _noise_like(held, _rng(held, "noise"), rows)),
        "upside_down": lambda held: _frame(held, _turned(held, _rng(held, "turned"), rows)),
    }


def _noise_like(held: EvaluationContext, rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    height, width = _pictures(held, np.array([0]))[0].shape[:2]
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(rows)]


def _turned(held: EvaluationContext, rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    chosen = np.sort(rng.permutation(len(held.frames["test"]))[:rows])
    return [np.ascontiguousarray(picture[::-1]) for picture in _pictures(held, chosen)]


def _pictures(held: EvaluationContext, places: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    from core.data.encoders.images import open_image

    column = held.dataset.roles.image
    assert column is not None
    found = []
    for row, value in held.frames["test"][column].iloc[places].items():
        with open_image(value, row, column) as picture:
            found.append(np.asarray(picture.convert("RGB"), np.uint8))
    return found


def _rng(held: EvaluationContext, use: str) -> Generator:
    return np.random.default_rng(derive_seed(held.seed, "foreign", use))


def _frame(held: EvaluationContext, pictures: list[NDArray[np.uint8]]) -> pd.DataFrame:
    import pandas as pd

    assert held.dataset.roles.image is not None
    return pd.DataFrame({held.dataset.roles.image: [ppm(p) for p in pictures]})


def _noise(rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    return [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(rows)]


def _unknown(rng: Generator, rows: int) -> list[NDArray[np.uint8]]:
    """Draw signs of corners, colours and symbols that no class has."""
    return [
        photographed(rng, _odd_sign(rng), rng.uniform(0.5, 1), rng.normal(0, 6), 1.0, 0.05)
        for _ in range(rows)
    ]


def _odd_sign(rng: Generator) -> Image.Image:
    canvas = Image.new("RGBA", (SIDE * FINE, SIDE * FINE))
    draw = ImageDraw.Draw(canvas)
    corners, colour = int(rng.choice([4, 5, 6])), COLOURS[rng.integers(len(COLOURS))]
    ring(draw, corners, np.pi / corners, 0.55, colour)
    ring(draw, corners, np.pi / corners, 0.42, (240, 240, 240))
    across = rng.uniform(0.25, 0.75, 6) * SIDE * FINE
    draw.line(
        [(float(across[n]), float(across[n + 3])) for n in range(3)], fill=colour, width=SIDE * FINE // 10
    )
    return canvas


def _everyday(rng: Generator, path: str, rows: int) -> list[NDArray[np.uint8]]:
    """Take pictures of the test strips of CIFAR-10 in its published classes (strips of 32 x 32 pictures)."""
    from core.data.readers.table import resolve_path, read_table
    from core.data.roles import require_columns

    file = resolve_path(path, "task.outliers")
    table = read_table(file)
    require_columns(table.frame, {"task.outliers": ["split", "n", "image"]}, file)
    strips = table.frame[table.frame["split"] == "test"]
    pictures: list[NDArray[np.uint8]] = []
    for row, strip in strips.iterrows():
        cut = strip_pictures(strip["image"], int(strip["n"]), f"{file}, row {row}")
        chosen = rng.permutation(len(cut))[: -(-rows // len(strips))]
        pictures += [cut[n] for n in sorted(chosen)]
    return pictures[:rows]
