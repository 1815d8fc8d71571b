"""Transformer over events in time, or over patches of a sampled signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import pad

from core.backbones.inputs import present, require, side_inputs, side_of, wide_of
from core.backbones.layers import Blocks, ClsToken, PositionalEmbedding, Pooling, drop_tokens
from core.backbones.contexts import seeded_init
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import SequenceConfig
    from core.data.types import Json, Layout


class SequenceTransformer(nn.Module):
    """One token an event (or a patch of a signal), mixed by Transformer blocks; masked events change nothing."""

    title = "sequence"
    gives = ("pooled", "tokens")

    def __init__(self, layout: Layout, settings: SequenceConfig, seed: int) -> None:
        super().__init__()
        require(layout, "sequence", ("events", "signal"), side_inputs(settings.wide))
        if {"events", "signal"} <= set(present(layout)):
            raise ValueError(
                "backbone=sequence reads events or a signal, but the inputs have both; leave one out"
            )
        d = settings.width
        self.patch = settings.patch if layout.signal else 0
        if layout.signal:
            channels, samples = layout.signal
            length, features = -(-samples // self.patch), channels * self.patch
        else:
            assert layout.events is not None
            length, features = layout.events
        with seeded_init(seed, "backbone"):
            self.event = nn.Linear(features, d)
            self.places = PositionalEmbedding(length, d)
            self.first = ClsToken(d)
            self.dropout = nn.Dropout(settings.dropout)
            self.blocks = Blocks(
                d, settings.layers, settings.heads, settings.ffn, settings.dropout, settings.causal
            )
            self.pooling = Pooling(settings.pooling, d)
            self.side = side_of(layout, d)
        self.wide = wide_of(layout, settings.wide)
        self.token_dropout = settings.token_dropout
        self.width = d
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read events (B, T, F) with events_mask (B, T), or signal (B, C, T), and columns beside them."""
        if self.patch:
            signal_BCT = inputs["signal"]
            signal_BCT = pad(signal_BCT, (0, -signal_BCT.shape[2] % self.patch))
            b, c, t = signal_BCT.shape
            events_BTF = signal_BCT.reshape(b, c, t // self.patch, self.patch).transpose(1, 2).flatten(2)
            given_BT = torch.ones(events_BTF.shape[:2], dtype=torch.bool, device=events_BTF.device)
        else:
            events_BTF = inputs["events"]
            given_BT = inputs["events_mask"] > 0.5
        real_BT = given_BT
        if self.training and self.token_dropout:
            real_BT = drop_tokens(real_BT, self.token_dropout)
        real_BT = torch.cat([torch.ones_like(real_BT[:, :1]), real_BT], dim=1)
        x_BTD = self.first(self.dropout(self.places(self.event(events_BTF))))
        x_BTD = self.blocks(x_BTD, real_BT)
        pooled_BD = self.pooling(x_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(
            pooled_BD, tokens=x_BTD[:, 1:], mask=given_BT, wide=self.wide(inputs) if self.wide else None
        )
