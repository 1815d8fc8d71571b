"""CIFAR-10 from scratch under differential privacy: test accuracy at epsilon 1, 3 and 8, delta 1e-5.

PLINTH_DATA=... python benchmarks/dp_cifar10.py [--epsilons 1 3 8] [--seeds 1]
    [--size random_patches|scattering|linear_probe|small|wide]
    [--train-fraction 1] [--steps N] [--weights FILE] [--runs FOLDER] [--json FILE]
The training is an ordinary run (driving's task of one class per image) with ``privacy=dp``, so what is measured is what
users get: Poisson sampling, exact clipping, noise keyed by the operating system, the accountant's epsilon in the
record. ``--size random_patches`` trains a linear layer on random patch features (Coates and Ng 2012) of synthetic
images (another dictionary for each seed), ``scattering`` one on wavelet scattering coefficients (Tramèr and Boneh 2021,
arXiv:2011.11660); these features are computed once: minutes on two cores. ``small`` trains a CNN in such a time,
``wide`` one that needs a GPU. ``linear_probe`` trains a linear layer on the network of ``--weights``, a file for
backbone=cnn_small that was not pretrained on CIFAR-10 (``python -m core.pretrain recipe=cnn recipe.objects=``; a run
refuses the pretrained weights of core, which were).
Steps and learning rates of ``scattering`` and the shape and learning rate of ``random_patches`` were chosen on training
images (10,000 and 5,000 of them held out) outside this script.
In the literature, from scratch: 56.4 % at epsilon 1, 81.4 % at 8 (De et al. 2022, arXiv:2204.13650, far longer runs).
A finished run in FOLDER is read, not repeated.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from repeated_runs import interval

import driving
from core.pretrain.images import read_strips
from core.privacy.section import DPSection

AUGMENTATION = (
    "augmentation=image", "augmentation.scale=0.8", "augmentation.flip=true", "augmentation.brightness=0",
    "augmentation.contrast=0", "augmentation.saturation=0", "augmentation.hue=0", "training.tta_views=2",
)  # fmt: skip
STEPS = {1.0: 90, 3.0: 150, 8.0: 300}
"""Epsilon -> steps on fixed features: fewer for a smaller budget."""
ANCHORS = {1.0: "56.4 %", 8.0: "81.4 %"}
"""Epsilon -> accuracy of De et al. (2022)."""
LINEAR = ("augmentation=none", "privacy.batch_size=8192", "training.ema=0.95", "schedule=constant")
"""For a linear layer on fixed features."""
SIZES: dict[str, tuple[str, ...]] = {
    "random_patches": (
        "backbone=patches", "backbone.num_patches=1024", "backbone.mirror=true", "optimizer.lr=0.4", *LINEAR,
    ),
    "scattering": ("backbone=scattering", "backbone.mirror=true", "optimizer.lr=0.7", *LINEAR),
    "linear_probe": ("backbone=cnn_small", "adapter=linear_probe", "optimizer.lr=0.7", *LINEAR),
    "small": (
        "backbone=resnet_gn", "backbone.hidden_size=16", "backbone.blocks=[1,1,1]", "backbone.stem_stride=2",
        "privacy.batch_size=1024", "training.micro_batch_size=256", "training.steps=400", "optimizer.lr=0.4",
        "training.ema=0.98", "schedule.warmup=0.02", *AUGMENTATION,
    ),
    "wide": (
        "backbone=resnet_gn", "backbone.hidden_size=64", "backbone.blocks=[2,2,2]", "backbone.stem_stride=1",
        "privacy.batch_size=4096", "training.micro_batch_size=1024", "training.steps=2500", "optimizer.lr=0.4",
        "training.ema=0.998", "training.precision=auto", "schedule.warmup=0.02", *AUGMENTATION,
    ),
}  # fmt: skip
COMMON = (
    "task=signs", "data=images", "data.target=label", "data.split=column", "data.split_column=split",
    "data.validation_fraction=0.04", "optimizer=sgd", "optimizer.momentum=0.9",
    "training.channels_last=true", "training.validate_every_epochs=0", "privacy=dp", "privacy.delta=1e-5",
    "privacy.l2_clip_norm=1.0", "evaluation.studies=false", "evaluation.resamples=200", "evaluation.resamples_slow=50",
    "baseline=none", "fairness=none", "explanation=none", "oversight=none",
)  # fmt: skip


def cifar10_table(folder: Path) -> Path:
    """Write CIFAR-10 once, as a table with one image a row; return its path."""
    path = folder / "cifar10_rows.parquet"
    if path.exists():
        return path
    rows = []
    for part in ("train", "test"):
        images = read_strips("core/cifar10/cifar10.parquet", "PLINTH_DATA", part, {})
        for pixels, label in zip(
            images.image.permute(0, 2, 3, 1).numpy(), images.label.tolist(), strict=True
        ):
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
            rows.append({"image": file.getvalue(), "label": f"class {label}", "split": part})
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path)
    return path


def main() -> None:
    """Train and evaluate at each epsilon."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epsilons", nargs="*", type=float, default=[1.0, 3.0, 8.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", choices=list(SIZES), default="random_patches")
    parser.add_argument("--train-fraction", type=float, default=1.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--weights")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_dp_cifar10"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data = cifar10_table(given.runs)
    settings = [
        *COMMON,
        f"data.path={data.resolve()}",
        *SIZES[given.size],
        f"training.train_fraction={given.train_fraction:g}",
    ]
    if (given.size == "linear_probe") != bool(given.weights):
        parser.error("--size linear_probe and --weights FILE belong together")
    if given.weights:
        settings.append(f"backbone.weights={Path(given.weights).resolve()}")
    measured = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
    for epsilon in given.epsilons:
        linear = set(LINEAR) <= set(SIZES[given.size])
        steps = given.steps or (STEPS.get(epsilon, 200) if linear else None)
        own = [*settings, f"privacy.epsilon={epsilon:g}", *([f"training.steps={steps}"] if steps else [])]
        values, spent, seconds = [], 0.0, []
        for seed in range(given.seeds):
            name = f"{given.size}_{given.weights and Path(given.weights).stem}_{given.steps}_{given.train_fraction:g}"
            folder = given.runs / name / f"epsilon{epsilon:g}_{seed}"
            record = driving.train(*own, f"seed={seed}", folder=folder).record
            value = record.metrics["accuracy"].value
            assert value is not None
            values.append(value)
            assert isinstance(record.privacy, DPSection)
            spent = record.privacy.epsilon
            seconds.append(record.training.seconds)
            print(f"epsilon {epsilon:g} seed {seed}: accuracy {value:.4f}, spent {spent:.3f}", flush=True)
        row: dict[str, Any] = {
            "epsilon": epsilon,
            "spent": spent,
            "delta": 1e-5,
            "accuracy": interval(values),
            "each": values,
            "seeds": given.seeds,
            "steps": record.training.steps,
            "train_seconds": seconds,
            "pretrained_on": sorted(json.loads(Path(given.weights).with_suffix(".json").read_text())["files"])
            if given.weights
            else [],
            "network": given.size,
            "anchor": ANCHORS.get(epsilon),
            "command": " ".join(["python -m driving.train", *own])
            .replace(str(data.resolve()), data.name)
            .replace(f"{Path(given.weights or '.').resolve().parent}/", ""),
        }
        measured = [r for r in measured if (r["network"], r["epsilon"]) != (given.size, epsilon)] + [row]
        measured.sort(key=lambda r: (r["network"], r["epsilon"]))
        if given.json:
            given.json.write_text(json.dumps(measured, indent=1) + "\n")
    for row in measured:
        print(f"epsilon {row['epsilon']:g}: {row['accuracy']['value']:.4f}")


if __name__ == "__main__":
    main()
