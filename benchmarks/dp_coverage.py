"""Which backbones train under differential privacy, and is their clipped gradient correct: Plinth and opacus compared.

Every model is small and randomly initialized. The clipped sum is compared with a float64 loop over single examples,
in the default and the channels_last memory format; the larger relative error counts.
`python benchmarks/dp_coverage.py --json FILE`
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
import torch.nn.functional as F
import transformers
from opacus import GradSampleModule
from torch import Tensor, nn

from core.privacy.batch_norm import convert_batch_norm
from core.privacy.clipping import FlatClip, PerExampleClipper

TOLERANCE = 1e-6
BATCH = 3

TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("resnet18", {}),
    "resnetv2": ("resnetv2_50", {"layers": (1, 1, 1, 1)}),
    "efficientnet": ("efficientnet_b0", {}),
    "mobilenetv3": ("mobilenetv3_small_050", {}),
    "regnet": ("regnetx_002", {}),
    "densenet": ("densenet121", {"block_config": (2, 2, 2, 2)}),
    "convnext": ("convnext_atto", {}),
    "convnextv2": ("convnextv2_atto", {}),
    "vit": ("vit_tiny_patch16_224", {"img_size": 64, "depth": 3}),
    "deit3": ("deit3_small_patch16_224", {"img_size": 64, "depth": 3, "embed_dim": 96, "num_heads": 3}),
    "beit": ("beit_base_patch16_224", {"img_size": 64, "depth": 3, "embed_dim": 96, "num_heads": 3}),
    "eva02": ("eva02_tiny_patch14_224", {"img_size": 56, "depth": 3}),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {
            "img_size": 64,
            "window_size": 4,
            "embed_dim": 24,
            "depths": (2, 2, 2),
            "num_heads": (2, 4, 4),
            "drop_path_rate": 0.0,
        },
    ),
    "mobilevit": ("mobilevit_xxs", {}),
    "efficientformer": ("efficientformer_l1", {}),
    "mixer": ("mixer_s32_224", {"img_size": 64}),
    "levit": ("levit_128s", {"img_size": 64}),
    "maxvit": ("maxvit_pico_rw_256", {"img_size": 64}),
    "nfnet": ("nf_resnet26", {}),
    "hgnet": ("hgnetv2_b0", {}),
    "ghostnet": ("ghostnet_050", {"drop_rate": 0.0}),
    "repvgg": ("repvgg_a0", {}),
    "xcit": ("xcit_nano_12_p16_224", {"img_size": 64, "depth": 3}),
    "edgenext": ("edgenext_xx_small", {}),
}
"""Family -> name of a model in timm, and the arguments that make it small."""
IMAGE_SIZES = {"efficientformer": 224, "mobilevit": 64, "edgenext": 64}
"""Of families for which 32 pixels are too few."""
TEXT_SIZE = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
    "num_labels": 5,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@dataclass(frozen=True)
class Case:
    """A model, its inputs for a batch and its per-example losses."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], dict[str, Tensor]]
    losses: Callable[[nn.Module, dict[str, Tensor], Tensor], Tensor]


def cross_entropies(model: nn.Module, inputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    """Return per-example losses (B,) of a classifier's logits, or of the mean of a sequence of states."""
    outputs = model(**inputs)
    if not isinstance(outputs, Tensor):
        outputs = outputs["logits"] if "logits" in outputs else outputs["last_hidden_state"].mean(1)
    return F.cross_entropy(outputs, targets, reduction="none")


def image_losses(model: nn.Module, inputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    """Return per-example losses (B,) of an image classifier."""
    logits = model(inputs["x"])
    logits = logits[0] if isinstance(logits, tuple) else logits
    return F.cross_entropy(logits, targets, reduction="none")


def image_case(family: str) -> Case:
    """Return the case of a family of timm."""
    name, options = TIMM[family]
    side = options.get("img_size", IMAGE_SIZES.get(family, 32))
    return Case(
        family,
        lambda: timm.create_model(name, pretrained=False, num_classes=5, **options),
        lambda: {"x": torch.randn(BATCH, 3, side, side)},
        image_losses,
    )


def text_cases() -> list[Case]:
    """Return the cases of ten architectures of transformers."""
    t = transformers

    def tokens() -> dict[str, Tensor]:
        ids = torch.randint(3, 97, (BATCH, 12))
        mask = torch.ones_like(ids)
        ids[1, 8:], mask[1, 8:] = 1, 0
        return {"input_ids": ids, "attention_mask": mask}

    def case(name: str, kind: str, config: Any, inputs: Callable[[], dict[str, Tensor]] = tokens) -> Case:
        return Case(name, lambda: getattr(t, kind)(config), inputs, cross_entropies)

    distil = {
        "dim": 48,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 96,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }
    gpt2 = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 64, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
    audio = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    text = {**TEXT_SIZE, **NO_DROPOUT}
    return [
        case("bert", "BertForSequenceClassification", t.BertConfig(**text)),
        case(
            "distilbert",
            "DistilBertForSequenceClassification",
            t.DistilBertConfig(vocab_size=97, num_labels=5, seq_classif_dropout=0.0, **distil),
        ),
        case("roberta", "RobertaForSequenceClassification", t.RobertaConfig(**text)),
        case("electra", "ElectraForSequenceClassification", t.ElectraConfig(embedding_size=24, **text)),
        case(
            "deberta-v2",
            "DebertaV2ForSequenceClassification",
            t.DebertaV2Config(
                **text,
                relative_attention=True,
                position_buckets=8,
                pos_att_type=["p2c", "c2p"],
                norm_rel_ebd="layer_norm",
                share_att_key=True,
                pooler_hidden_size=48,
                pooler_dropout=0.0,
            ),
        ),
        case(
            "albert",
            "AlbertForSequenceClassification",
            t.AlbertConfig(embedding_size=24, classifier_dropout_prob=0.0, **text),
        ),
        case(
            "gpt2",
            "GPT2ForSequenceClassification",
            t.GPT2Config(vocab_size=97, num_labels=5, attn_pdrop=0.0, pad_token_id=1, **gpt2),
        ),
        case(
            "llama",
            "LlamaForSequenceClassification",
            t.LlamaConfig(**TEXT_SIZE, num_key_value_heads=2, pad_token_id=1),
        ),
        case(
            "t5-encoder",
            "T5EncoderModel",
            t.T5Config(
                vocab_size=97, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4, dropout_rate=0.0
            ),
        ),
        case(
            "audio-spectrogram-transformer",
            "ASTForAudioClassification",
            t.ASTConfig(
                hidden_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=96,
                num_mel_bins=32,
                max_length=64,
                num_labels=5,
                **audio,
            ),
            lambda: {"input_values": torch.randn(BATCH, 64, 32)},
        ),
    ]


def example_by_example(
    case: Case, model: nn.Module, inputs: dict[str, Tensor], targets: Tensor
) -> tuple[float, list[Tensor]]:
    """Return a clip norm that clips about half of the examples, and the clipped sum, one example at a time."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = []
    for i in range(BATCH):
        one = {key: value[i : i + 1] for key, value in inputs.items()}
        loss = case.losses(model, one, targets[i : i + 1]).sum()
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients.append(
            [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
        )
    norms = [float(torch.sqrt(sum(g.square().sum() for g in each))) for each in gradients]
    clip_norm = sorted(norms)[BATCH // 2]
    factors = [min(1.0, clip_norm / norm) for norm in norms]
    return clip_norm, [
        sum(f * g for f, g in zip(factors, each, strict=True)) for each in zip(*gradients, strict=True)
    ]


def plinth(
    case: Case, model: nn.Module, inputs: dict[str, Tensor], targets: Tensor, clip_norm: float
) -> list[Tensor]:
    """Return the clipped sum of Plinth's engine."""
    clipper = PerExampleClipper(model, rule=FlatClip(clip_norm))
    with clipper.trace(BATCH):
        clipper.clipped_gradients(case.losses(model, inputs, targets))
    return list(clipper.sums.values())


def opacus(
    case: Case, model: nn.Module, inputs: dict[str, Tensor], targets: Tensor, clip_norm: float
) -> list[Tensor]:
    """Return the clipped sum from opacus' per-example gradients (hooks)."""
    wrapped = GradSampleModule(copy.deepcopy(model), loss_reduction="sum")
    case.losses(wrapped, inputs, targets).sum().backward()
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    samples = []
    for name, p in wrapped.named_parameters():
        if p.requires_grad:
            if getattr(p, "grad_sample", None) is None:
                raise ValueError(f"{name} has no per-example gradient")
            samples.append(p.grad_sample)
    norms_B = torch.stack([s.flatten(1).norm(dim=1) for s in samples]).norm(dim=0)
    factors_B = (clip_norm / norms_B).clamp_max(1.0)
    assert len(parameters) == len(samples)
    return [torch.einsum("b,b...->...", factors_B, s) for s in samples]


Method = Callable[[Case, nn.Module, dict[str, Tensor], Tensor, float], list[Tensor]]


def relative_error(case: Case, method: Method) -> float:
    """Return the larger error of the two memory formats; raises what the method raises."""
    errors = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = case.build()
        convert_batch_norm(model, "group")
        model.train().double()
        inputs = {k: v.double() if v.is_floating_point() else v for k, v in case.inputs().items()}
        targets = torch.arange(BATCH) % 5
        if channels_last:
            model.to(memory_format=torch.channels_last)
            inputs = {
                k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v
                for k, v in inputs.items()
            }
        clip_norm, expected = example_by_example(case, model, inputs, targets)
        found = method(case, model, inputs, targets, clip_norm)
        difference = torch.cat([(a - b).flatten() for a, b in zip(found, expected, strict=True)])
        errors.append(float(difference.norm() / torch.cat([e.flatten() for e in expected]).norm()))
    return max(errors)


def row(case: Case, with_opacus: bool) -> dict[str, Any]:
    """Return a row of the table."""
    found: dict[str, Any] = {"name": case.name, "trains": False, "relative_error": None, "reason": None}
    try:
        found["relative_error"] = relative_error(case, plinth)
        found["trains"] = found["relative_error"] <= TOLERANCE
        if not found["trains"]:
            found["reason"] = f"relative error above {TOLERANCE}"
    except ValueError as error:  # the engine's refusals; anything else is a fault and stops the benchmark
        found["reason"] = str(error)
    if with_opacus:
        try:
            error = relative_error(case, opacus)
            found["opacus_trains"] = error <= TOLERANCE
            found["opacus_reason"] = None if found["opacus_trains"] else f"relative error {error:.1e}"
        except Exception as error:  # opacus fails in many ways, and every one of them is a result here
            found["opacus_trains"], found["opacus_reason"] = False, f"{type(error).__name__}: {error}"[:200]
    return found


def main() -> None:
    """Measure the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the rows here")
    parser.add_argument("--only", nargs="*", help="names of the cases to run")
    parser.add_argument("--no-opacus", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    rows = []
    for case in [*(image_case(family) for family in TIMM), *text_cases()]:
        if options.only and case.name not in options.only:
            continue
        start = time.perf_counter()
        rows.append(row(case, not options.no_opacus))
        print(f"{time.perf_counter() - start:5.1f} s  {rows[-1]}", flush=True)
    print(f"Plinth trains {sum(r['trains'] for r in rows)} of {len(rows)}")
    if not options.no_opacus:
        print(f"opacus trains {sum(r['opacus_trains'] for r in rows)} of {len(rows)}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
