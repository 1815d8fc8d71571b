"""Weights and their card: written into the run's folder, and into the package where asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from core.pretrain.config import folder_of_package
from core.atomic_io import write_atomically

if TYPE_CHECKING:
    from core.pretrain.job import Job

LIMIT = 16 * 2**20
"""Bytes of one file of weights that the package takes."""
PLACES = {
    ".safetensors": ("core.backbones", "weights"),
    ".tokenizer.json": ("core.data.encoders", "tokenizers"),
}

TERMS = {
    "cifar10.parquet": "CIFAR-10 (Krizhevsky 2009): no licence stated; its page asks for a citation",
    "gtsrb_32x32.parquet": "GTSRB (Stallkamp et al. 2012): for research with citation; the copy read has no licence",
    "english_novels.jsonl.xz": "novels of 1847 to 1920, in the public domain in the United States",
    "medquad.jsonl.xz": "MedQuAD (Ben Abacha and Demner-Fushman 2019): CC BY 4.0",
    "snips.jsonl.gz": "SNIPS NLU (Coucke et al. 2018): CC0 1.0",
    "devel.jsonl.gz": "SLURP, text (Bastianelli et al. 2020): CC BY 4.0",
    "test.jsonl.gz": "SLURP, test part: read only to leave its sentences out",
}
"""File name -> what is known of its terms."""


def write_weights(job: Job, record: dict[str, Any], folder: Path, ship: bool) -> dict[str, Any]:
    """Write what the recipe keeps with its card, and tell file, hash, size and what half precision changes.

    Raises ValueError where ``ship`` is asked for a file that is too large for the package.
    """
    assert job.keep is not None
    exact = {name: tensor.detach().cpu().contiguous() for name, tensor in job.keep.state_dict().items()}
    told: dict[str, Any] = {"format": "fp32"}
    tensors = exact
    if job.fp16:
        told = {"format": "fp16", **_half(job, exact)}
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in exact.items()}
    content = save(tensors)
    told |= {
        "file": f"{job.name}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    keys = (
        "recipe",
        "settings",
        "seed",
        "data",
        "steps",
        "device",
        "torch",
        "precision",
        "training_seconds",
        "energy",
        "final",
    )
    card = {
        "name": job.name,
        **told,
        "files": {
            name: {"sha256": sha, "terms": TERMS.get(name, "see the folder it was read from")}
            for name, sha in record["files"].items()
        },
        **{key: record[key] for key in keys},
        **job.card,
    }
    out = folder / "weights"
    files = {told["file"]: content, f"{job.name}.json": json.dumps(card, indent=1).encode(), **job.extra}
    for name, data in files.items():
        write_atomically(out / name, data)
    if ship:
        if len(content) > LIMIT:
            raise ValueError(f"ship=true: {told['file']} has {len(content)} bytes, more than {LIMIT}")
        for name, data in files.items():
            if name.endswith(".tokenizer.json"):
                place = folder_of_package(*PLACES[".tokenizer.json"]) / name.replace(".tokenizer", "")
            else:
                place = folder_of_package(*PLACES[".safetensors"]) / name
            write_atomically(place, data)
    return told


def _half(job: Job, exact: dict[str, torch.Tensor]) -> dict[str, float]:
    """Compare outputs on held-out inputs under full and under rounded weights; the full ones stay in place."""
    if job.compare is None:
        return {}
    assert job.keep is not None
    live = job.keep.state_dict()
    before = job.compare()
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(exact[name].half().to(tensor.dtype))
        after = job.compare()
        for name, tensor in live.items():
            tensor.copy_(exact[name])
    return {
        "largest_change_of_an_output": float((before - after).abs().max()),
        "answers_that_change": float((before.argmax(-1) != after.argmax(-1)).double().mean()),
    }
