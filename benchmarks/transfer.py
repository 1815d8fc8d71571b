"""What shipped weights bring: each domain's task started from them, from noise, and with the head alone trained.

PLINTH_DATA=... python benchmarks/transfer.py [--only ham10000 ...] [--shares 1 0.1] [--arms head_first ...]
    [--seeds 3] [--runs FOLDER] [--json FILE] [--choose RATE ...]
Same network, data and settings in all; ``head_first``, ``noise_head_first`` and ``scratch`` train all weights for the
same number of steps, whatever the share. The first two train the head alone before, on rows as they are (Kumar et al.
2022, arXiv:2202.10054; ``head_seconds`` is the time that it adds) and differ in ``backbone.weights`` and the rate that
follows: from noise, all weights learn at the rate of ``scratch``. So the head's start can't pass for knowledge of the
weights. ``probe`` is that first part alone: the linear probe. A share of 0.1 trains on a tenth of the training units,
another tenth for each seed (``training.train_fraction``); validation and test parts stay whole.
Weights are those after the last step: validation chooses nothing but thresholds. ``saw`` lists which of the set's own
files the pretraining read, by the card of the weights, which also says what of them. Figures are means over seeds with
95 % Student intervals; gains are paired by seed, over whichever arm from noise is better by its mean. The probe, in no
pair, may have fewer seeds; the table then says how many. A run that is
finished in FOLDER is read, not repeated, and arms that are not asked for keep the figures that FILE has. ``--choose``
instead tries learning rates of all weights with a seed that no figure uses, and prints what the validation part says of
each: so the rates were set.
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
"""What the comparison does not need, and what all cases share."""
PICTURES = ("backbone=cnn_small", "training.channels_last=true", "augmentation=image")
TEXTS = ("backbone=text_small", "encoder.text.tokenizer=text_small")


@dataclass(frozen=True)
class Case:
    """A real set, the network, the budget, and the figure that counts."""

    domain: str
    settings: tuple[str, ...]
    metric: str
    rate: float
    """Learning rate of all weights from noise."""
    head_rate: float
    """Learning rate of the head alone."""
    gentle_rate: float
    """Learning rate of shipped weights after the head was trained alone."""


CASES = {
    "ham10000": Case(
        "healthcare",
        ("task=images", "data=ham10000", "encoder.image.size=64", *PICTURES, "augmentation.dihedral=true",
         "augmentation.scale=0.5", "augmentation.hue=0", "training.steps=120", "training.batch_size=32"),
        "macro_auroc", 1e-3, 1e-2, 1e-3,
    ),
    "mtsamples": Case(
        "healthcare",
        ("task=notes", "data=mtsamples", "data.labels=rarest", *TEXTS, "encoder.text.max_length=96", "training.steps=80",
         "training.batch_size=16"),
        "macro_f1", 4e-4, 5e-3, 1e-4,
    ),
    "beetle": Case(
        "education",
        ("task=answers", "data=semeval2013", "data.corpus=beetle", "data.test=unseen_answers", *TEXTS,
         "encoder.text.max_length=64", "encoder.text.text_pair=true", "training.steps=90", "training.batch_size=32"),
        "macro_f1", 4e-4, 5e-3, 1e-4,
    ),
    "camvid": Case(
        "driving",
        ("task=segmentation", "data=camvid", "target=segmentation", "target.class_weights=sqrt", *PICTURES,
         "encoder.image.size=240", "encoder.image.width=320", "augmentation.train_resolution=0.4", "augmentation.scale=0.1",
         "training.steps=80", "training.batch_size=8", "training.validation_batch_size=8"),
        "miou", 2e-3, 5e-3, 1e-4,
    ),
    "gtsrb": Case(
        "driving",
        ("task=signs", "data=gtsrb", *PICTURES, "augmentation.flip=false", "augmentation.scale=0.8",
         "training.steps=120", "training.batch_size=32"),
        "accuracy", 2e-3, 1e-2, 1e-4,
    ),
    "snips": Case(
        "smarthome",
        ("task=commands", "data=snips", *TEXTS, "encoder.text.tokens=true", "encoder.text.max_length=64", "training.steps=120",
         "training.batch_size=32"),
        "exact_match", 5e-4, 5e-3, 2e-4,
    ),
}  # fmt: skip
NOISE = ("noise_head_first", "scratch")
ARMS = ("head_first", *NOISE, "probe")
HEAD_EPOCHS = 2
"""Passes of the head alone over all rows; over a share of them so many more, which is about as many steps."""


CHOOSING = 100
"""The seed of trials of rates."""


def settings_of(case: Case, arm: str, share: float, rate: float | None = None) -> tuple[str, ...]:
    """Give the overrides of one run, with the arm's own rate or another one."""
    passes = round(HEAD_EPOCHS / share)
    first = (f"adapter.linear_probe_epochs={passes}", f"adapter.linear_probe_lr={case.head_rate:g}")
    alone = ("training.steps=0", f"training.epochs={passes}", "augmentation=none")
    adapter, own_rate = {
        "head_first": (("adapter=full", *first), case.gentle_rate),
        "noise_head_first": (("adapter=full", *first), case.rate),
        "scratch": (("adapter=full",), case.rate),
        "probe": (("adapter=linear_probe",), case.head_rate),
    }[arm]
    kept = case.settings
    if arm == "probe":
        kept = (*(s for s in kept if not s.startswith(("training.steps", "augmentation"))), *alone)
    weights = "random" if arm in NOISE else "pretrained"
    return (
        *BARE,
        *kept,
        f"backbone.weights={weights}",
        *adapter,
        f"optimizer.lr={own_rate if rate is None else rate:g}",
        f"training.train_fraction={share:g}",
    )


def seen(case: Case, files: dict[str, str]) -> list[str]:
    """Name the set's own files that the pretraining read, by their hashes."""
    from core.backbones.pretrained import read_card

    network = next(s.partition("=")[2] for s in case.settings if s.startswith("backbone="))
    known = {file.sha256 for file in read_card(network).files.values()}
    return sorted(name for name, sha in files.items() if sha in known)


def measure(
    name: str, share: float, seeds: int, arms: list[str], runs: Path, former: dict[str, Any]
) -> dict[str, Any]:
    """Carry out (or read) some trainings over seeds, and put them beside those measured before."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    each: dict[str, list[float]] = dict(former.get("each", {}))
    seconds: dict[str, list[float]] = dict(former.get("train_seconds", {}))
    commands: dict[str, str] = dict(former.get("commands", {}))
    saw: list[str] = []
    heads: list[float] = []
    rows = 0
    for arm in arms:
        each[arm], seconds[arm] = [], []
        settings = settings_of(case, arm, share)
        commands[arm] = " ".join([f"python -m {case.domain}.train", *settings])
        for seed in range(seeds):
            folder = runs / name / f"{arm}_{share:g}_{seed}"
            record = train(*settings, f"seed={seed}", folder=folder).record
            value = record.metrics[case.metric].value
            assert value is not None, f"{folder}: {case.metric} is undefined"
            each[arm].append(value)
            seconds[arm].append(record.training.seconds or 0.0)
            if arm == "head_first":
                heads.append(record.model_dump()["training"]["phases"]["design"]["seconds"])
            rows = record.data.rows["train"]
            saw = seen(case, record.data.files)
            print(f"{name} {share:g} seed {seed} {arm}: {case.metric} {value:.4f}", file=sys.stderr)
    counts = {len(values) for arm, values in each.items() if arm != "probe"}  # it is in no paired gain
    if len(counts) > 1:
        raise SystemExit(
            f"{name}: arms of {sorted(counts)} seeds can't be compared; measure all with --seeds alike"
        )
    gain: dict[str, Any] = {}
    noises = [arm for arm in NOISE if arm in each]
    if "head_first" in each and noises:
        best = max(noises, key=lambda arm: sum(each[arm]))
        pairs = zip(each["head_first"], each[best], strict=True)
        gain = {"gain": interval([a - b for a, b in pairs]), "gain_over": best}
    return {
        "set": name,
        "domain": case.domain,
        "share": share,
        "rows": rows,
        "metric": case.metric,
        "seeds": counts.pop() if counts else len(each["probe"]),
        "commands": commands,
        **{arm: interval(each[arm]) for arm in ARMS if arm in each},
        **gain,
        "each": each,
        "train_seconds": seconds,
        "head_seconds": heads or former.get("head_seconds", []),
        "saw": saw,
    }


def choose(name: str, share: float, arm: str, rates: list[float], runs: Path) -> None:
    """Print what the validation part says of each rate."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    for rate in rates:
        settings = settings_of(case, arm, share, rate)
        folder = runs / name / f"{arm}_{share:g}_rate{rate:g}"
        record = train(*settings, f"seed={CHOOSING}", folder=folder).record.model_dump()
        found = record["training"]["validation"]["history"][-1][case.metric]
        print(
            f"{name:10} {share:>4.0%}  {arm} rate {rate:g}: {case.metric} on validation {found:.4f}",
            flush=True,
        )


def main() -> None:
    """Measure the chosen sets and shares and print a line for each."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=list(CASES))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.1, 1.0])
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_transfer"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--choose", nargs="*", type=float, default=[])
    given = parser.parse_args()
    for share in given.shares:
        for name in given.only or CASES:
            if given.choose:
                for arm in given.arms:
                    choose(name, share, arm, given.choose, given.runs)
                continue
            former = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
            own: dict[str, Any] = next((r for r in former if (r["set"], r["share"]) == (name, share)), {})
            row = measure(name, share, given.seeds, given.arms, given.runs, own)
            if given.json:
                both = [*(r for r in former if r is not own), row]
                both.sort(key=lambda r: (list(CASES).index(r["set"]), -r["share"]))
                given.json.write_text(json.dumps(both, indent=1) + "\n")
            told = "  ".join(f"{arm} {row[arm]['value']:.3f}" for arm in ARMS if arm in row)
            gain = f"gain over {row['gain_over']} {row['gain']['value']:+.3f}" if "gain" in row else ""
            print(f"{name:10} {share:>4.0%}  {row['metric']:12} {told}  {gain}", flush=True)


if __name__ == "__main__":
    main()
