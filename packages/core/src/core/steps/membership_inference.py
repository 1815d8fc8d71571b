"""Part of step 5: attack the finished model as an outsider would who asks whose rows it was trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from core.backbones.contexts import eval_mode
from core.config import RunConfig, build, derive_seed
from core.data.encoded_split import EncodedSplit
from core.privacy.membership_inference import evaluate_attack, lira, rmia
from core.steps.design import ModelAndData, build_model, shuffled
from core.steps.lp_ft import linear_probe_settings, train_linear_probe
from core.steps.feature_cache import cache_frozen_features
from core.steps.prepare import PreparedData
from core.training.loop import fit
from core.training.parallel import ALONE
from core.training.trainer import plain_update

if TYPE_CHECKING:
    from numpy.typing import NDArray


def attack(config: RunConfig, prepared: PreparedData, designed: ModelAndData) -> dict[str, Any] | None:
    """Tell training rows from test rows by the model's losses, for the record; None where not asked for.

    ``loss`` calls those rows known whose loss is small (Yeom et al. 2018, arXiv:1709.01604). For the others,
    reference models are trained as the model was, each on a random half of the units of both parts.
    """
    options = config.privacy
    if options.attack == "none":
        return None
    if options.attack == "loss":
        return _by_loss(config, prepared, designed)
    pool, member, units = _pool(prepared)
    losses = _losses(config, designed.model, prepared, pool)
    references, inside = [], []
    for number in range(options.shadow_models):
        seed = derive_seed(config.seed, "shadow", number)
        chosen = _half(units, member, seed)
        print(f"attack: reference model {number + 1} of {options.shadow_models}")
        references.append(
            _losses(config, _trained(config, prepared, designed, pool, chosen, seed), prepared, pool)
        )
        inside.append(chosen)
    if options.attack == "rmia":
        scores = rmia(losses, np.stack(references))
    else:
        scores = lira(losses, np.stack(references), np.stack(inside))
    found = evaluate_attack(scores, member, units, derive_seed(config.seed, "attack"))
    return {
        "attack": options.attack,
        "reference_models": options.shadow_models,
        "members": int(member.sum()),
        "others": int((~member).sum()),
        **found,
    }


def _by_loss(config: RunConfig, prepared: PreparedData, designed: ModelAndData) -> dict[str, Any]:
    rng = np.random.default_rng(derive_seed(config.seed, "attack"))
    scores, member, units = [], [], []
    seen = 0
    for name in ("train", "test"):
        part = prepared.parts[name]
        chosen = np.sort(rng.permutation(len(part))[: config.privacy.attack_rows])
        scores.append(-_losses(config, designed.model, prepared, part, chosen))
        codes = np.arange(len(part)) if part.unit_codes is None else part.unit_codes.numpy()
        own = np.unique(codes[chosen], return_inverse=True)[1]
        units.append(own + seen)
        seen += int(own.max()) + 1
        member.append(np.full(len(chosen), name == "train"))
    inside = np.concatenate(member)
    found = evaluate_attack(np.concatenate(scores), inside, np.concatenate(units), derive_seed(config.seed, "attack"))
    return {
        "attack": "loss",
        "reference_models": 0,
        "members": int(inside.sum()),
        "others": int((~inside).sum()),
        **found,
    }


def _pool(prepared: PreparedData) -> tuple[EncodedSplit, NDArray[np.bool_], NDArray[np.int64]]:
    train, test = prepared.parts["train"], prepared.parts["test"]
    pool = EncodedSplit(
        pd.concat([train.frame, test.frame]),
        np.concatenate([train.rows, test.rows]),
        prepared.encoder,
        prepared.target.encode,
        prepared.dataset.roles,
        prepared.groups,
        prepared.dataset.frame,
    )
    units = np.arange(len(pool)) if pool.unit_codes is None else pool.unit_codes.numpy()
    return pool, np.arange(len(pool)) < len(train), units


def _half(units: NDArray[np.int64], member: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Choose half of the units of each side, all rows of each."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(int(units.max()) + 1, dtype=bool)
    for side in (member, ~member):
        own = rng.permutation(np.unique(units[side]))
        chosen[own[: len(own) // 2]] = True
    return np.asarray(chosen[units])


def _trained(
    config: RunConfig,
    prepared: PreparedData,
    designed: ModelAndData,
    pool: EncodedSplit,
    chosen: NDArray[np.bool_],
    seed: int,
) -> torch.nn.Module:
    own = replace(config, seed=seed)
    settings = config.training
    model = build_model(own, prepared, designed.device, private=False)
    share = pool.subset(np.flatnonzero(chosen))
    augmentation = build(config.augmentation, prepared.encoder.layout())
    rows, _ = cache_frozen_features(settings, model, share, augmentation)
    batches = shuffled(own, rows, augmentation, seed)
    first = linear_probe_settings(config)
    if first is not None:
        train_linear_probe(own, model, prepared.target, share, batches, first, ALONE)
    update = plain_update(
        settings,
        config.optimizer.build(model),
        config.schedule.build(batches.steps),
        model,
        prepared.target,
        designed.precision.precision,
        objective=config.fairness.objective(share, prepared.groups, prepared.target),
    )
    model.train()
    fit(update, batches, seed=seed)
    if update.ema is not None:
        update.ema.keep()
    return model


def _losses(
    config: RunConfig,
    model: torch.nn.Module,
    prepared: PreparedData,
    part: EncodedSplit,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Give the losses of a part's rows (all, where none are named), a batch at a time: outputs of masks are large."""
    chosen = torch.arange(len(part)) if rows is None else torch.from_numpy(rows)
    device, size, found = next(model.parameters()).device, config.training.validation_batch_size, []
    with eval_mode(model), torch.inference_mode():
        for start in range(0, len(chosen), size):
            batch = part.batch(chosen[start : start + size]).to(device)
            losses = prepared.target.losses(model(batch.inputs).float(), batch.targets)
            found.append(losses.double().cpu().numpy())
    return np.concatenate(found)
