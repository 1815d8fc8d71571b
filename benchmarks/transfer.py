"""What shipped weights bring: each domain's task started from them, from noise, and with the head alone trained.

PLINTH_DATA=... python benchmarks/transfer.py [--only ham10000 ...] [--shares 1 0.1] [--seeds 3] [--runs FOLDER]
    [--json FILE]
Same network, data, number of steps and settings in all three; only ``backbone.weights`` and ``adapter`` (with a rate of
its own for the head alone) differ. A share of 0.1 trains on a tenth of the training units, another tenth for each seed
(``training.share``); validation and test parts stay whole. Weights are those after the last step: validation chooses
nothing but thresholds. ``saw`` lists which of the set's own files the pretraining read, by the card of the weights,
which also says what of them. Figures are means over seeds with 95 % Student intervals; ``gain`` is paired by seed. A
run that is finished in FOLDER is read, not repeated.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured import interval

BARE = (
    "evaluation.studies=false", "evaluation.resamples=100", "evaluation.resamples_single=50", "challenger=none",
    "fairness=none", "explanation=none", "oversight=none", "energy=none", "privacy.attack=none",
    "training.progress=none", "training.evaluate_every=0", "training.precision=auto", "optimizer=adamw",
    "optimizer.beta2=0.98", "optimizer.weight_decay=0.05", "schedule.warmup=0.1",
)  # fmt: skip
"""What the comparison does not need, and what all cases share."""
PICTURES = ("backbone=cnn_small", "training.channels_last=true", "augmentation=image")
TEXTS = ("backbone=text_small", "encoder.tokenizer=text_small")


@dataclass(frozen=True)
class Case:
    """A real set, the network, the budget, and the figure that counts."""

    domain: str
    settings: tuple[str, ...]
    metric: str
    rate: float
    """Learning rate of both whole trainings."""
    head_rate: float
    """Learning rate of the head alone."""


CASES = {
    "ham10000": Case(
        "healthcare",
        ("task=images", "data=ham10000", "encoder.image_size=64", *PICTURES, "augmentation.dihedral=true",
         "augmentation.scale=0.5", "augmentation.hue=0", "training.steps=120", "training.batch_size=32"),
        "macro_auroc", 1e-3, 1e-2,
    ),
    "mtsamples": Case(
        "healthcare",
        ("task=notes", "data=mtsamples", "data.labels=rarest", *TEXTS, "encoder.length=96", "training.steps=80",
         "training.batch_size=16"),
        "macro_f1", 4e-4, 5e-3,
    ),
    "beetle": Case(
        "education",
        ("task=answers", "data=semeval2013", "data.corpus=beetle", "data.test=unseen_answers", *TEXTS,
         "encoder.length=64", "encoder.companions=true", "training.steps=90", "training.batch_size=32"),
        "macro_f1", 4e-4, 5e-3,
    ),
    "camvid": Case(
        "driving",
        ("task=scene", "data=camvid", "target=mask", "target.class_weights=sqrt", *PICTURES,
         "encoder.image_size=240", "encoder.image_width=320", "augmentation.side=0.4", "augmentation.scale=0.1",
         "training.steps=80", "training.batch_size=8", "training.validation_batch_size=8"),
        "miou", 2e-3, 5e-3,
    ),
    "gtsrb": Case(
        "driving",
        ("task=signs", "data=gtsrb", *PICTURES, "augmentation.flip=false", "augmentation.scale=0.8",
         "training.steps=120", "training.batch_size=32"),
        "accuracy", 2e-3, 1e-2,
    ),
    "snips": Case(
        "smarthome",
        ("task=commands", "data=snips", *TEXTS, "encoder.tokens=true", "encoder.length=64", "training.steps=120",
         "training.batch_size=32"),
        "exact_match", 5e-4, 5e-3,
    ),
}  # fmt: skip
ARMS = ("shipped", "scratch", "probe")


def settings_of(case: Case, arm: str, share: float) -> tuple[str, ...]:
    """Give the overrides of one run."""
    weights = "none" if arm == "scratch" else "shipped"
    probe = arm == "probe"
    return (
        *BARE,
        *case.settings,
        f"backbone.weights={weights}",
        f"adapter={'head' if probe else 'full'}",
        f"optimizer.rate={case.head_rate if probe else case.rate:g}",
        f"training.share={share:g}",
    )


def seen(case: Case, files: dict[str, str]) -> list[str]:
    """Name the set's own files that the pretraining read, by their hashes."""
    from core.backbones.shipped import card

    network = next(s.partition("=")[2] for s in case.settings if s.startswith("backbone="))
    known = {told["sha256"] for told in card(network)["files"].values()}
    return sorted(name for name, sha in files.items() if sha in known)


def measure(name: str, share: float, seeds: int, runs: Path) -> dict[str, Any]:
    """Carry out (or read) the three trainings over seeds."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    values: dict[str, list[float]] = {arm: [] for arm in ARMS}
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    saw: list[str] = []
    rows = 0
    for seed in range(seeds):
        for arm in ARMS:
            folder = runs / name / f"{arm}_{share:g}_{seed}"
            record = train(*settings_of(case, arm, share), f"seed={seed}", folder=folder).record
            value = record.metrics[case.metric].value
            assert value is not None, f"{folder}: {case.metric} is undefined"
            values[arm].append(value)
            seconds[arm].append(record.training.seconds or 0.0)
            rows = record.data.rows["train"]
            saw = seen(case, record.data.files)
            print(f"{name} {share:g} seed {seed} {arm}: {case.metric} {value:.4f}", file=sys.stderr)
    paired = [a - b for a, b in zip(values["shipped"], values["scratch"], strict=True)]
    return {
        "set": name,
        "domain": case.domain,
        "share": share,
        "rows": rows,
        "metric": case.metric,
        "seeds": seeds,
        "command": " ".join([f"python -m {case.domain}.train", *settings_of(case, "shipped", share)]),
        **{arm: interval(found) for arm, found in values.items()},
        "gain": interval(paired),
        "each": values,
        "train_seconds": seconds,
        "saw": saw,
    }


def main() -> None:
    """Measure the chosen sets and shares and print a line for each."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=list(CASES))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.1, 1.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_transfer"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    for share in given.shares:
        for name in given.only or CASES:
            row = measure(name, share, given.seeds, given.runs)
            if given.json:
                former = json.loads(given.json.read_text()) if given.json.exists() else []
                both = [*(r for r in former if (r["set"], r["share"]) != (name, share)), row]
                both.sort(key=lambda r: (list(CASES).index(r["set"]), -r["share"]))
                given.json.write_text(json.dumps(both, indent=1) + "\n")
            told = "  ".join(f"{arm} {row[arm]['value']:.3f}" for arm in ARMS)
            print(f"{name:10} {share:>4.0%}  {row['metric']:12} {told}  gain {row['gain']['value']:+.3f}")


if __name__ == "__main__":
    main()
