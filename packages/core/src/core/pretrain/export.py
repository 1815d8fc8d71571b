"""Weights and their card: written into the run's folder, and into the installed package where asked."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import save

from core.atomic_io import write_atomically
from core.backbones.pretrained import CardFile, WeightsCard
from core.config import config_error
from core.pretrain.job import Export
from core.pretrain.record import ExportedWeights, PretrainingRecord

MAX_BYTES = 16 * 2**20
"""Of one file of weights that the package takes."""
WEIGHTS = ("core.backbones", "weights")
TOKENIZERS = ("core.data.encoders", "tokenizers")
"""Package and directory in it."""

TERMS = {
    "cifar10.parquet": "CIFAR-10 (Krizhevsky 2009): no license stated; its page asks for a citation",
    "gtsrb_32x32.parquet": "GTSRB (Stallkamp et al. 2012): for research with citation; the copy read has no license",
    "english_novels.jsonl.xz": "novels of 1847 to 1920, in the public domain in the United States",
    "medquad.jsonl.xz": "MedQuAD (Ben Abacha and Demner-Fushman 2019): CC BY 4.0",
    "snips.jsonl.gz": "SNIPS NLU (Coucke et al. 2018): CC0 1.0",
    "devel.jsonl.gz": "SLURP, text (Bastianelli et al. 2020): CC BY 4.0",
    "test.jsonl.gz": "SLURP, test set: read only to leave its sentences out",
}
"""File name -> its license, as far as known."""


def write_weights(export: Export, record: PretrainingRecord, folder: Path, install: bool) -> ExportedWeights:
    """Write the recipe's weights with their card; return file, hash, size and what half precision changes.

    Raises ValueError with ``install`` for a file that is too large for the package.
    """
    exact = {name: tensor.detach().cpu().contiguous() for name, tensor in export.module.state_dict().items()}
    tensors, change, rate = exact, None, None
    if export.fp16:
        change, rate = _rounding(export, exact)
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in exact.items()}
    content = save(tensors)
    written = ExportedWeights(
        file=f"{export.name}.safetensors",
        format="fp16" if export.fp16 else "fp32",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        max_output_change=change,
        prediction_change_rate=rate,
    )
    card = WeightsCard(
        name=export.name,
        **written.model_dump(),
        files={
            name: CardFile(sha256=sha, terms=TERMS.get(name, "see the folder it was read from"))
            for name, sha in record.files.items()
        },
        recipe=record.recipe,
        settings=record.settings,
        seed=record.seed,
        data=record.data,
        steps=record.steps,
        device=record.device,
        torch=record.torch,
        precision=record.precision,
        training_seconds=record.training_seconds,
        energy=record.energy.model_dump(),
        final=record.final,
        tokenizer=export.tokenizer,
        resumed_from=export.resumed_from,
    )
    weights = {
        written.file: content,
        f"{export.name}.json": card.model_dump_json(indent=1, exclude_none=True).encode(),
    }
    tokenizers = {} if export.tokenizer_file is None else {f"{export.name}.json": export.tokenizer_file}
    for name, data in weights.items():
        write_atomically(folder / "weights" / name, data)
    for name, data in tokenizers.items():
        write_atomically(folder / "weights" / name.replace(".json", ".tokenizer.json"), data)
    if install:
        if len(content) > MAX_BYTES:
            raise config_error(
                "install", True, f"{written.file} has {len(content)} bytes, more than {MAX_BYTES}"
            )
        for (package, directory), found in ((WEIGHTS, weights), (TOKENIZERS, tokenizers)):
            for name, data in found.items():
                write_atomically(Path(str(files(package).joinpath(directory))) / name, data)
    return written


def _rounding(export: Export, exact: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Return the largest change of an output and the fraction of predictions changed by rounding the weights."""
    live = export.module.state_dict()
    before = export.predict()
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(exact[name].half().to(tensor.dtype))
        after = export.predict()
        for name, tensor in live.items():
            tensor.copy_(exact[name])
    changed = (before.argmax(-1) != after.argmax(-1)).double().mean()
    return float((before - after).abs().max()), float(changed)
