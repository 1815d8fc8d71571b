"""Simulated traffic signs: shapes, rims and symbols on a street's colors, on several frames of a drive."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
from numpy.random import Generator
from PIL import Image, ImageDraw

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

SIDE = 32
FRAMES = 5
"""Images of one sign on one pass."""
SUPERSAMPLING = 3
"""Signs are drawn so many times larger, then averaged (antialiasing)."""
RED, BLUE, YELLOW, WHITE, BLACK = (190, 20, 30), (20, 70, 180), (245, 200, 20), (240, 240, 240), (15, 15, 15)
CLASSES = (
    "stop", "yield", "priority road", "no entry", "speed limit 30", "speed limit 80", "pedestrians", "children",
    "bicycles", "keep right", "keep left", "ahead only",
)  # fmt: skip
Point = tuple[float, float]


def _at(x: float, y: float) -> Point:
    """Return the canvas coordinates of a point of the unit square, inside a small margin."""
    span = SIDE * SUPERSAMPLING
    return span * (0.12 + 0.76 * x), span * (0.12 + 0.76 * y)


def draw_polygon(
    draw: ImageDraw.ImageDraw, corners: int, turn: float, size: float, color: tuple[int, ...]
) -> None:
    """Fill a regular polygon around the center, its first corner rotated by so many radians."""
    around = [2 * math.pi * (n / corners) + turn for n in range(corners)]
    draw.polygon([_at(0.5 + size * math.cos(a), 0.5 + size * math.sin(a)) for a in around], fill=color)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: tuple[int, ...]) -> None:
    draw.ellipse([*_at(x - radius, y - radius), *_at(x + radius, y + radius)], fill=color)


def _line(draw: ImageDraw.ImageDraw, points: list[Point], width: float, color: tuple[int, ...]) -> None:
    draw.line([_at(*p) for p in points], fill=color, width=round(width * SIDE * SUPERSAMPLING), joint="curve")


def _person(draw: ImageDraw.ImageDraw, x: float, top: float, tall: float) -> None:
    _disc(draw, x, top + 0.12 * tall, 0.12 * tall, BLACK)
    _line(draw, [(x, top + 0.2 * tall), (x, top + 0.6 * tall)], 0.12 * tall, BLACK)
    _line(
        draw, [(x - 0.2 * tall, top + tall), (x, top + 0.6 * tall), (x + 0.2 * tall, top + tall)], 0.07, BLACK
    )
    _line(draw, [(x - 0.22 * tall, top + 0.45 * tall), (x + 0.22 * tall, top + 0.35 * tall)], 0.05, BLACK)


def _arrow(draw: ImageDraw.ImageDraw, turn: float) -> None:
    across, along = math.cos(turn), math.sin(turn)
    tip, tail = (0.5 + 0.36 * across, 0.5 + 0.36 * along), (0.5 - 0.34 * across, 0.5 - 0.34 * along)
    _line(draw, [tail, (0.5 + 0.1 * across, 0.5 + 0.1 * along)], 0.1, WHITE)
    left = (0.5 + 0.05 * across - 0.22 * along, 0.5 + 0.05 * along + 0.22 * across)
    right = (0.5 + 0.05 * across + 0.22 * along, 0.5 + 0.05 * along - 0.22 * across)
    draw.polygon([_at(*p) for p in (tip, left, right)], fill=WHITE)


def _digits(draw: ImageDraw.ImageDraw, text: str) -> None:
    """Draw digits from seven segments."""
    bars = {"0": "abcdef", "3": "abcdg", "8": "abcdefg"}
    for n, digit in enumerate(text):
        left, right = 0.27 + 0.27 * n, 0.45 + 0.27 * n
        ends = {
            "a": [(left, 0.28), (right, 0.28)], "b": [(right, 0.28), (right, 0.5)],
            "c": [(right, 0.5), (right, 0.72)], "d": [(left, 0.72), (right, 0.72)],
            "e": [(left, 0.5), (left, 0.72)], "f": [(left, 0.28), (left, 0.5)], "g": [(left, 0.5), (right, 0.5)],
        }  # fmt: skip
        for bar in bars[digit]:
            _line(draw, ends[bar], 0.06, BLACK)


def draw_sign(name: str) -> Image.Image:
    """Return one sign on a transparent canvas, three times as large as an image."""
    canvas = Image.new("RGBA", (SIDE * SUPERSAMPLING, SIDE * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    if name == "stop":
        draw_polygon(draw, 8, math.pi / 8, 0.52, RED)
        for x in (0.2, 0.4, 0.6, 0.8):
            _line(draw, [(x, 0.38), (x, 0.62)], 0.07, WHITE)
    elif name == "yield":
        draw_polygon(draw, 3, math.pi / 2, 0.58, RED)
        draw_polygon(draw, 3, math.pi / 2, 0.32, WHITE)
    elif name == "priority road":
        draw_polygon(draw, 4, 0.0, 0.52, WHITE)
        draw_polygon(draw, 4, 0.0, 0.38, YELLOW)
    elif name == "no entry":
        _disc(draw, 0.5, 0.5, 0.48, RED)
        _line(draw, [(0.2, 0.5), (0.8, 0.5)], 0.14, WHITE)
    elif name.startswith("speed limit"):
        _disc(draw, 0.5, 0.5, 0.5, RED)
        _disc(draw, 0.5, 0.5, 0.38, WHITE)
        _digits(draw, name.removeprefix("speed limit "))
    elif name in ("pedestrians", "children", "bicycles"):
        draw_polygon(draw, 3, -math.pi / 2, 0.6, RED)
        draw_polygon(draw, 3, -math.pi / 2, 0.42, WHITE)
        if name == "pedestrians":
            _person(draw, 0.5, 0.28, 0.4)
        elif name == "children":
            _person(draw, 0.38, 0.4, 0.28)
            _person(draw, 0.62, 0.34, 0.34)
        else:
            for x in (0.36, 0.64):
                _disc(draw, x, 0.56, 0.12, BLACK)
                _disc(draw, x, 0.56, 0.07, WHITE)
            _line(draw, [(0.36, 0.56), (0.48, 0.4), (0.64, 0.56), (0.5, 0.56), (0.46, 0.36)], 0.04, BLACK)
    else:
        _disc(draw, 0.5, 0.5, 0.5, BLUE)
        _arrow(
            draw, {"keep right": math.pi / 4, "keep left": 3 * math.pi / 4, "ahead only": -math.pi / 2}[name]
        )
    return canvas


def _background(rng: Generator) -> np.ndarray:
    """Return a blurred background, (32, 32, 3) from 0 to 1."""
    coarse = rng.uniform(0.2, 0.6) + rng.normal(0, 0.06, (4, 4, 3))
    small = Image.fromarray((np.clip(coarse, 0, 1) * 255).astype(np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64) / 255


def photograph(
    rng: Generator, sign: Image.Image, zoom: float, lean: float, light: float, grain: float
) -> np.ndarray:
    """Return an image of a sign, (32, 32, 3) uint8: far away it is small and blurred, at night dim and grainy."""
    fine = SIDE * SUPERSAMPLING
    turned = sign.rotate(lean + rng.normal(0, 1.5), Image.Resampling.BILINEAR)
    side = max(8, round(SIDE * zoom))
    small = turned.resize((side, side), Image.Resampling.BOX).resize((fine, fine), Image.Resampling.BILINEAR)
    spread = 0.78 + 0.2 * zoom
    placed = Image.new("RGBA", (fine, fine))
    shown = small.resize((round(fine * spread), round(fine * spread)))
    room = fine - shown.width
    placed.paste(shown, (round(room * rng.uniform(0, 1)), round(room * rng.uniform(0, 1))))
    pixels = np.asarray(placed.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64) / 255
    opacity = pixels[..., 3:]
    seen = _background(rng) * (1 - opacity) + pixels[..., :3] * opacity
    seen = seen * light * rng.normal(1, 0.04) + rng.normal(0, grain, seen.shape)
    return (np.clip(seen, 0, 1) * 255).astype(np.uint8)


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` images of 32 x 32 pixels in twelve classes, five frames a pass of one sign.

    Signs approach from frame to frame. The planted bias: at night (a quarter of the passes) signs keep only
    ``1 - 0.65 * bias`` of their light, under the same camera grain. Day and night have the same signs.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated signs"))
    drawn = {name: draw_sign(name) for name in CLASSES}
    passes = -(-rows // FRAMES)
    columns: dict[str, list[object]] = {
        k: [] for k in ("image", "sign", "track", "light", "pixels", "brightness")
    }
    for number in range(passes):
        name = CLASSES[number % len(CLASSES)]
        night = bool(rng.random() < 0.25)
        light = 1 - 0.65 * bias if night else 1.0
        lean, near = rng.normal(0, 4), rng.uniform(0.5, 0.7)
        for frame in range(min(FRAMES, rows - number * FRAMES)):
            zoom = min(1.0, near + 0.1 * frame)
            pixels = photograph(rng, drawn[name], zoom, lean, light, 0.035)
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG")
            columns["image"].append(out.getvalue())
            columns["sign"].append(name)
            columns["track"].append(f"T{number:05d}")
            columns["light"].append("night" if night else "day")
            columns["pixels"].append(round(64 * zoom))
            columns["brightness"].append(round(float(pixels.mean())))
    return Dataset(
        pd.DataFrame(columns),
        ColumnRoles(target=("sign",), image="image", sensitive=("light", "pixels"), unit="track"),
        name="simulated traffic signs",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="track",
        group_edges={"pixels": [32.0, 48.0]},
        ground_truth={
            "bias": {"attribute": "light", "against": "night", "strength": bias, "through": "image"}
        },
    )
