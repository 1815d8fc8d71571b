"""Layouts and random inputs that conform to them, for the tests of backbones."""

from __future__ import annotations

import torch

from core.data.types import Layout

COLUMNS = {
    "numeric": ("age", "dose", "flag"),
    "bin_edges": ((-2.0, -0.5, 0.0, 0.5, 2.0), (-1.0, 0.0, 3.0), (-0.5, 2.0)),
    "categorical": ("ward", "drug"),
    "cardinalities": (3, 5),
}
TEXT = {"vocab_size": 50, "max_length": 9, "pad_token_id": 0}

TABLE = Layout(**COLUMNS)
NOTE = Layout(**TEXT)
LAYOUTS = {
    "table": TABLE,
    "table and note": Layout(**COLUMNS, **TEXT, tfidf_size=7),
    "note": NOTE,
    "note and columns": Layout(**TEXT, tfidf_size=7, **COLUMNS),
    "note and words": Layout(**TEXT, words=(5, 3), word_vocab_size=11),
    "image": Layout(image=(3, 32, 32)),
    "image and columns": Layout(image=(3, 32, 32), **COLUMNS),
    "signal": Layout(signal=(2, 50)),
    "signal and columns": Layout(signal=(2, 50), **COLUMNS),
    "events": Layout(events=(6, 4)),
    "events and columns": Layout(events=(6, 4), **COLUMNS),
}


def random_inputs(layout: Layout, rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Make tensors as an encoder gives them."""
    draw = torch.Generator().manual_seed(seed)
    inputs: dict[str, torch.Tensor] = {}
    if layout.numeric:
        missing = (torch.rand(rows, len(layout.numeric), generator=draw) < 0.2).float()
        inputs["missing"] = missing
        inputs["numeric"] = torch.randn(rows, len(layout.numeric), generator=draw) * (1 - missing)
    if layout.categorical:
        columns = [torch.randint(0, c, (rows,), generator=draw) for c in layout.cardinalities]
        inputs["categorical"] = torch.stack(columns, dim=1)
    if layout.max_length:
        tokens = torch.randint(1, layout.vocab_size, (rows, layout.max_length), generator=draw)
        lengths = torch.randint(2, layout.max_length - 2, (rows, 1), generator=draw)
        inputs["tokens"] = torch.where(torch.arange(layout.max_length) < lengths, tokens, layout.pad_token_id)
    if layout.words:
        places, kinds = layout.words
        given = torch.arange(places) < torch.randint(1, places, (rows, 1), generator=draw)
        inputs["words_mask"] = given.float()
        codes = torch.randint(1, layout.word_vocab_size, (rows, places, kinds), generator=draw)
        inputs["words"] = codes * given.unsqueeze(-1)
        starts = torch.randint(0, layout.max_length, (rows, places), generator=draw)
        inputs["word_starts"] = starts.sort(dim=1).values * given
    if layout.tfidf_size:
        inputs["tfidf"] = torch.rand(rows, layout.tfidf_size, generator=draw)
    if layout.image:
        inputs["image"] = torch.randint(0, 256, (rows, *layout.image), generator=draw, dtype=torch.uint8)
    if layout.signal:
        inputs["signal"] = torch.randn(rows, *layout.signal, generator=draw)
    if layout.events:
        inputs["events"] = torch.randn(rows, *layout.events, generator=draw)
        first = torch.randint(0, layout.events[0], (rows, 1), generator=draw)
        inputs["events_mask"] = (torch.arange(layout.events[0]) >= first).float()
    return inputs
