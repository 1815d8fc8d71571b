"""Transformer over events in time, or over patches of a sampled signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import pad

from core.backbones.config import SequenceConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, input_kinds, side_features, side_kinds, wide_inputs
from core.backbones.layers import Blocks, ClsToken, Pooling, PositionalEmbedding, drop_tokens
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class SequenceTransformer(nn.Module):
    """One token an event (or a patch of a signal), then Transformer blocks; masked events change nothing."""

    title = "sequence"
    provides = ("pooled", "tokens")

    def __init__(
        self,
        config: SequenceConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        check_inputs(layout, "sequence", ("events", "signal"), side_kinds(config.linear_branch_lr_scale))
        if {"events", "signal"} <= set(input_kinds(layout)):
            raise ValueError(
                "backbone=sequence reads events or a signal, but the inputs have both; leave one out"
            )
        d = config.hidden_size
        self.patch_size = config.patch_size if layout.signal else 0
        if layout.signal:
            channels, samples = layout.signal
            length, features = -(-samples // self.patch_size), channels * self.patch_size
        else:
            assert layout.events is not None
            length, features = layout.events
        with seeded_init(seed, "backbone"):
            self.event = nn.Linear(features, d)
            self.places = PositionalEmbedding(length, d)
            self.first = ClsToken(d)
            self.dropout = nn.Dropout(config.dropout)
            self.blocks = Blocks(
                d, config.num_layers, config.num_heads, config.mlp_ratio, config.dropout, config.causal
            )
            self.pooling = Pooling(config.pooling, d)
            self.side = side_features(layout, d)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.token_dropout = config.token_dropout
        self.num_features = d
        self.architecture = architecture or {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read events (B, T, F) with events_mask (B, T), or signal (B, C, T), and columns beside them."""
        if self.patch_size:
            signal_BCT = inputs["signal"]
            signal_BCT = pad(signal_BCT, (0, -signal_BCT.shape[2] % self.patch_size))
            b, c, t = signal_BCT.shape
            patches = signal_BCT.reshape(b, c, t // self.patch_size, self.patch_size)
            events_BTF = patches.transpose(1, 2).flatten(2)
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
            pooled_BD,
            tokens=x_BTD[:, 1:],
            mask=given_BT,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )
