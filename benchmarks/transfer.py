"""Transfer learning: each domain's task from the pretrained weights of core and from random initialization.

PLINTH_DATA=... python benchmarks/transfer.py [--only ham10000 ...] [--train-fractions 1 0.1] [--arms lp_ft ...]
    [--seeds 3] [--runs FOLDER] [--json FILE] [--search-lr LR ...]
Network, data and settings are the same in all arms. ``lp_ft``, ``random_lp_ft`` and ``random_init`` fine-tune all
weights for the same number of steps, whatever the training fraction. The first two train a linear probe before, without
augmentation (LP-FT, Kumar et al. 2022, arXiv:2202.10054; ``linear_probe_seconds`` is the time it adds), and differ in
``backbone.weights`` and in the learning rate of the fine-tuning: random initialization takes that of ``random_init``.
So the head's warm start can't pass for a merit of the weights. ``linear_probe`` is the first phase alone. A fraction of
0.1 trains on a tenth of the training units, another tenth for each seed (``training.train_fraction``); validation and
test set stay whole.
Weights are those after the last step: validation chooses thresholds only. ``pretrained_on`` lists the files of the data
set that the weights were pretrained on, by the hashes in their card. Metrics are means over seeds with 95 % Student
intervals; gains are paired by seed, over the random initialization that is better on average. The linear probe is in no
pair and may have fewer seeds; the table then says how many. A finished run in FOLDER is read, not repeated; arms that
are not asked for keep the results that FILE has. ``--search-lr`` instead tries learning rates of the fine-tuning with a
seed that no result uses, and prints the validation metric of each: so the rates were chosen.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repeated_runs import interval

BARE = (
    "evaluation.studies=false", "evaluation.resamples=100", "evaluation.resamples_slow=50", "baseline=none",
    "fairness=none", "explanation=none", "oversight=none", "energy=none", "privacy.attack=none",
    "training.progress=none", "training.validate_every_epochs=0", "training.precision=auto", "optimizer=adamw",
    "optimizer.beta2=0.98", "optimizer.weight_decay=0.05", "schedule.warmup=0.1",
)  # fmt: skip
"""Assessments switched off, and what all cases share."""
IMAGES = ("backbone=cnn_small", "training.channels_last=true", "augmentation=image")
TEXTS = ("backbone=text_small", "encoder.text.tokenizer=text_small")


@dataclass(frozen=True)
class Case:
    """A data set, its network and training budget, and the metric that is compared."""

    domain: str
    settings: tuple[str, ...]
    metric: str
    random_init_lr: float
    linear_probe_lr: float
    fine_tuning_lr: float
    """Of the pretrained weights, after the linear probe."""


CASES = {
    "ham10000": Case(
        "healthcare",
        ("task=images", "data=ham10000", "encoder.image.size=64", *IMAGES, "augmentation.dihedral=true",
         "augmentation.scale=0.5", "augmentation.hue=0", "training.steps=120", "training.batch_size=32"),
        "macro_auroc", 1e-3, 1e-2, 1e-3,
    ),
    "mtsamples": Case(
        "healthcare",
        ("task=notes", "data=mtsamples", "data.labels=rarest", *TEXTS, "encoder.text.max_length=96",
         "training.steps=80", "training.batch_size=16"),
        "macro_f1", 4e-4, 5e-3, 1e-4,
    ),
    "beetle": Case(
        "education",
        ("task=answers", "data=semeval2013", "data.corpus=beetle", "data.test_set=unseen_answers", *TEXTS,
         "encoder.text.max_length=64", "encoder.text.text_pair=true", "training.steps=90", "training.batch_size=32"),
        "macro_f1", 4e-4, 5e-3, 1e-4,
    ),
    "camvid": Case(
        "driving",
        ("task=segmentation", "data=camvid", "target=segmentation", "target.class_weights=sqrt", *IMAGES,
         "encoder.image.size=240", "encoder.image.width=320", "augmentation.train_resolution=0.4",
         "augmentation.scale=0.1", "training.steps=80", "training.batch_size=8", "training.validation_batch_size=8"),
        "miou", 2e-3, 5e-3, 1e-4,
    ),
    "gtsrb": Case(
        "driving",
        ("task=signs", "data=gtsrb", *IMAGES, "augmentation.flip=false", "augmentation.scale=0.8",
         "training.steps=120", "training.batch_size=32"),
        "accuracy", 2e-3, 1e-2, 1e-4,
    ),
    "snips": Case(
        "smarthome",
        ("task=commands", "data=snips", *TEXTS, "encoder.text.tokens=true", "encoder.text.max_length=64",
         "training.steps=120", "training.batch_size=32"),
        "exact_match", 5e-4, 5e-3, 2e-4,
    ),
}  # fmt: skip
RANDOM_INIT = ("random_lp_ft", "random_init")
ARMS = ("lp_ft", *RANDOM_INIT, "linear_probe")
LINEAR_PROBE_EPOCHS = 2
"""On all training rows; a fraction of them takes more epochs, so that the number of steps is about the same."""
SEARCH_SEED = 100
"""Seed of the search for learning rates."""


def run_overrides(case: Case, arm: str, fraction: float, lr: float | None = None) -> tuple[str, ...]:
    """Return the overrides of one run, with the arm's learning rate or another one."""
    epochs = round(LINEAR_PROBE_EPOCHS / fraction)
    probe_first = (
        f"adapter.linear_probe_epochs={epochs}",
        f"adapter.linear_probe_lr={case.linear_probe_lr:g}",
    )
    adapter, arm_lr = {
        "lp_ft": (("adapter=full", *probe_first), case.fine_tuning_lr),
        "random_lp_ft": (("adapter=full", *probe_first), case.random_init_lr),
        "random_init": (("adapter=full",), case.random_init_lr),
        "linear_probe": (("adapter=linear_probe",), case.linear_probe_lr),
    }[arm]
    settings = case.settings
    if arm == "linear_probe":
        others = (s for s in settings if not s.startswith(("training.steps", "augmentation")))
        settings = (*others, "training.steps=0", f"training.epochs={epochs}", "augmentation=none")
    weights = "random" if arm in RANDOM_INIT else "pretrained"
    return (
        *BARE,
        *settings,
        f"backbone.weights={weights}",
        *adapter,
        f"optimizer.lr={arm_lr if lr is None else lr:g}",
        f"training.train_fraction={fraction:g}",
    )


def pretraining_files(case: Case, files: dict[str, str]) -> list[str]:
    """Return the data set's files (name -> SHA-256) that the weights were pretrained on, by the weights' card."""
    from core.backbones.pretrained import read_card

    backbone = next(s.partition("=")[2] for s in case.settings if s.startswith("backbone="))
    known = {file.sha256 for file in read_card(backbone).files.values()}
    return sorted(name for name, sha in files.items() if sha in known)


def measure(
    name: str, fraction: float, seeds: int, arms: list[str], runs: Path, former: dict[str, Any]
) -> dict[str, Any]:
    """Train (or read) the chosen arms over seeds, and return the row with the former results of the others."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    each: dict[str, list[float]] = dict(former.get("each", {}))
    seconds: dict[str, list[float]] = dict(former.get("train_seconds", {}))
    commands: dict[str, str] = dict(former.get("commands", {}))
    pretrained_on: list[str] = []
    probe_seconds: list[float] = []
    rows = 0
    for arm in arms:
        each[arm], seconds[arm] = [], []
        settings = run_overrides(case, arm, fraction)
        commands[arm] = " ".join([f"python -m {case.domain}.train", *settings])
        for seed in range(seeds):
            folder = runs / name / f"{arm}_{fraction:g}_{seed}"
            record = train(*settings, f"seed={seed}", folder=folder).record
            value = record.metrics[case.metric].value
            assert value is not None, f"{folder}: {case.metric} is undefined"
            each[arm].append(value)
            seconds[arm].append(record.training.seconds or 0.0)
            if arm == "lp_ft":
                probe_seconds.append(record.training.phases["design"].seconds)
            rows = record.data.rows["train"]
            pretrained_on = pretraining_files(case, record.data.files)
            print(f"{name} {fraction:g} seed {seed} {arm}: {case.metric} {value:.4f}", file=sys.stderr)
    counts = {len(values) for arm, values in each.items() if arm != "linear_probe"}  # it is in no paired gain
    if len(counts) > 1:
        raise SystemExit(
            f"{name}: arms of {sorted(counts)} seeds can't be compared; measure all with the same --seeds"
        )
    gain: dict[str, Any] = {}
    random_arms = [arm for arm in RANDOM_INIT if arm in each]
    if "lp_ft" in each and random_arms:
        best = max(random_arms, key=lambda arm: sum(each[arm]))
        pairs = zip(each["lp_ft"], each[best], strict=True)
        gain = {"gain": interval([a - b for a, b in pairs]), "gain_over": best}
    return {
        "set": name,
        "domain": case.domain,
        "train_fraction": fraction,
        "rows": rows,
        "metric": case.metric,
        "seeds": counts.pop() if counts else len(each["linear_probe"]),
        "commands": commands,
        **{arm: interval(each[arm]) for arm in ARMS if arm in each},
        **gain,
        "each": each,
        "train_seconds": seconds,
        "linear_probe_seconds": probe_seconds or former.get("linear_probe_seconds", []),
        "pretrained_on": pretrained_on,
    }


def search_lr(name: str, fraction: float, arm: str, rates: list[float], runs: Path) -> None:
    """Print the last validation metric of each learning rate."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    for lr in rates:
        settings = run_overrides(case, arm, fraction, lr)
        folder = runs / name / f"{arm}_{fraction:g}_lr{lr:g}"
        history = train(*settings, f"seed={SEARCH_SEED}", folder=folder).record.training.history
        found = next(point.validation for point in reversed(history) if point.validation is not None)
        print(
            f"{name:10} {fraction:>4.0%}  {arm} lr {lr:g}: {case.metric} on validation {found[case.metric]:.4f}",
            flush=True,
        )


def main() -> None:
    """Measure the chosen data sets and training fractions and print a line for each."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=list(CASES))
    parser.add_argument("--train-fractions", nargs="*", type=float, default=[0.1, 1.0])
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_transfer"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--search-lr", nargs="*", type=float, default=[])
    given = parser.parse_args()
    for fraction in given.train_fractions:
        for name in given.only or CASES:
            if given.search_lr:
                for arm in given.arms:
                    search_lr(name, fraction, arm, given.search_lr, given.runs)
                continue
            former = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
            own: dict[str, Any] = next(
                (r for r in former if (r["set"], r["train_fraction"]) == (name, fraction)), {}
            )
            row = measure(name, fraction, given.seeds, given.arms, given.runs, own)
            if given.json:
                both = [*(r for r in former if r is not own), row]
                both.sort(key=lambda r: (list(CASES).index(r["set"]), -r["train_fraction"]))
                given.json.write_text(json.dumps(both, indent=1) + "\n")
            shown = "  ".join(f"{arm} {row[arm]['value']:.3f}" for arm in ARMS if arm in row)
            gain = f"gain over {row['gain_over']} {row['gain']['value']:+.3f}" if "gain" in row else ""
            print(f"{name:10} {fraction:>4.0%}  {row['metric']:12} {shown}  {gain}", flush=True)


if __name__ == "__main__":
    main()
