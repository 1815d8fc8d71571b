"""The Gaussian noise of a private step, drawn on all processor threads and the same for any number of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from core.privacy.rng_key import keyed_generator

CHUNK = 1 << 17
"""Values drawn from one stream: few enough to stay in the cache, many enough to make the stream's start cheap."""


def draw_noise(into: Tensor, deviation: float, secret: int, step: int) -> None:
    """Overwrite a flat buffer with the noise of one step: independent N(0, deviation²), a function of secret and step.

    On the CPU each chunk has a stream of its own, because torch fills a tensor from one stream on one thread only.
    """
    if into.device.type != "cpu":
        into.normal_(0.0, deviation, generator=keyed_generator(secret, "noise", step, device=into.device))
        return

    def draw(chunk: int) -> None:
        piece = into[chunk * CHUNK : (chunk + 1) * CHUNK]
        piece.normal_(0.0, deviation, generator=keyed_generator(secret, "noise", step, chunk))

    chunks = range(-(-into.numel() // CHUNK))
    threads = min(torch.get_num_threads(), len(chunks))
    if threads == 1:
        for chunk in chunks:
            draw(chunk)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, chunks))
