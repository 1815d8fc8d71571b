"""Linear-chain conditional random field (CRF): the partition function, the score of a label sequence, Viterbi decoding.

Lafferty, McCallum and Pereira 2001. Scores of a row y: sum of emissions e[t, y_t] and of transitions a[y_(t-1), y_t].
Each example has its own transition table, so that no example's loss depends on another's. K labels, T places, of
which the first n of an example are real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

FORBIDDEN = -1e4
"""Score of what can't follow: its exponential is 0 in float32, and it adds up without becoming infinite."""


def allowed_bio(labels: int) -> Tensor:
    """Return the transition scores (K + 1, K) of BIO codes: row i for code i before, the last row for the first place.

    A further word of a slot (2 s + 2) follows only the first or a further word of that slot; the rest is free.
    """
    table = torch.zeros(labels + 1, labels)
    for further in range(2, labels, 2):
        table[:, further] = FORBIDDEN
        table[[further - 1, further], further] = 0.0
    return table


def partition(emissions_BTK: Tensor, transitions_BKK: Tensor, real_BT: Tensor) -> Tensor:
    """Compute the log partition function: the log of the sum over all label sequences of exp(score), (B,).

    The forward recursion with products of exponentials about each step's greatest value. At least one place is real.
    """
    most = transitions_BKK.amax(dim=(1, 2))
    step_BKK = torch.exp(transitions_BKK - most[:, None, None])
    alpha_BK = emissions_BTK[:, 0]
    for t in range(1, emissions_BTK.shape[1]):
        greatest_B1 = alpha_BK.amax(dim=1, keepdim=True)
        mixed_BK = torch.bmm(torch.exp(alpha_BK - greatest_B1).unsqueeze(1), step_BKK).squeeze(1)
        later_BK = torch.log(mixed_BK.clamp_min(1e-30)) + greatest_B1 + most[:, None] + emissions_BTK[:, t]
        alpha_BK = torch.where(real_BT[:, t, None], later_BK, alpha_BK)
    return torch.logsumexp(alpha_BK, dim=1)


def score(emissions_BTK: Tensor, transitions_BKK: Tensor, real_BT: Tensor, labels_BT: Tensor) -> Tensor:
    """Compute the score of label sequences, (B,); what stands at places that are not real does not count."""
    labels_BT = torch.where(real_BT, labels_BT, torch.zeros_like(labels_BT))
    own_BT = emissions_BTK.gather(2, labels_BT.unsqueeze(-1)).squeeze(-1)
    k = transitions_BKK.shape[1]
    pair_BT = labels_BT[:, :-1] * k + labels_BT[:, 1:]
    joined_BT = transitions_BKK.flatten(1).gather(1, pair_BT)
    return (own_BT * real_BT).sum(dim=1) + (joined_BT * real_BT[:, 1:]).sum(dim=1)


def viterbi(emissions_BTK: Tensor, transitions_BKK: Tensor, real_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return the label sequence with the highest score, (B, T) int64 (0 where not real), and that score (B,).

    Viterbi 1967.
    """
    alpha_BK = emissions_BTK[:, 0]
    steps = []
    for t in range(1, emissions_BTK.shape[1]):
        best_BK, before_BK = (alpha_BK.unsqueeze(2) + transitions_BKK).max(dim=1)
        here_B1 = real_BT[:, t, None]
        stay = torch.arange(alpha_BK.shape[1], device=alpha_BK.device).expand_as(before_BK)
        steps.append(torch.where(here_B1, before_BK, stay))
        alpha_BK = torch.where(here_B1, best_BK + emissions_BTK[:, t], alpha_BK)
    top_B, last_B = alpha_BK.max(dim=1)
    row = [last_B]
    for before_BK in reversed(steps):
        row.append(before_BK.gather(1, row[-1].unsqueeze(1)).squeeze(1))
    labels_BT = torch.stack(row[::-1], dim=1)
    return torch.where(real_BT, labels_BT, torch.zeros_like(labels_BT)), top_B
