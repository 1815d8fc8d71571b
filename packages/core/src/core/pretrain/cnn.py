"""The recipes of CNNs: ``cnn`` (objects and signs; its trunk is exported) and ``cifar10`` (one set, evaluated)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax, pad, unfold
from torch.nn.utils import parametrize

from core.backbones.cnn_small import TRUNK, Trunk, TrunkConfig
from core.backbones.contexts import eval_mode, seeded_init
from core.config import build, derive_seed
from core.pretrain.config import CifarRecipe, CnnRecipe
from core.pretrain.images import ImageBatches, Images, read_strips, split_by_unit
from core.pretrain.job import Context, Export, Job
from core.training.config import LinearSchedule, SgdConfig
from core.training.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor

EVALUATION_BATCH = 512
"""Images per forward pass in evaluation."""


class Classifier(nn.Module):
    """The trunk, global average pooling, and one linear layer for the classes of all sets: (B, K1 + K2 + ...)."""

    def __init__(self, trunk: TrunkConfig, classes: list[int]) -> None:
        super().__init__()
        self.trunk = Trunk(trunk)
        self.head = nn.Linear(trunk.channels[-1], sum(classes))
        nn.init.normal_(self.head.weight, std=0.5 * trunk.channels[-1] ** -0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the scores of all classes of all sets."""
        return self.head(self.trunk(inputs["image"])[-1].mean(dim=(2, 3)))  # type: ignore[no-any-return]


class PerSetCrossEntropy:
    """Cross-entropy over the classes of each image's own set, with label smoothing."""

    def __init__(self, classes: list[int], label_smoothing: float) -> None:
        self.starts = [sum(classes[:k]) for k in range(len(classes))]
        self.classes = classes
        self.label_smoothing = label_smoothing

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,) of scores (B, K1 + K2 + ...) and targets (B, 2), set and class."""
        found = outputs.new_zeros(len(outputs))
        for k, (start, count) in enumerate(zip(self.starts, self.classes, strict=True)):
            own_B = targets[:, 0] == k
            logs = log_softmax(outputs[:, start : start + count], dim=1)
            right = logs.gather(1, targets[:, 1:].clamp(max=count - 1)).squeeze(1)
            loss_B = -(1 - self.label_smoothing) * right - self.label_smoothing * logs.mean(dim=1)
            found = torch.where(own_B, loss_B, found)
        return found


def log_probabilities(
    model: nn.Module, images: Images, columns: slice, device: torch.device, precision: str, views: int = 1
) -> Tensor:
    """Return log probabilities (N, K) of images, scores averaged over views (see ``tta``)."""
    found = []
    with eval_mode(model), torch.no_grad(), autocast(precision, device):
        for first in range(0, len(images), EVALUATION_BATCH):
            batch = images.image[first : first + EVALUATION_BATCH].to(device)
            image = batch.contiguous(memory_format=torch.channels_last)
            total = torch.zeros((), device=device)
            for view, weight in tta(image, views):
                total = total + weight * model({"image": view})[:, columns].float()
            found.append(log_softmax(total, dim=1).cpu())
    return torch.cat(found)


def tta(image: Tensor, views: int) -> list[tuple[Tensor, float]]:
    """Return views of images with weights: 1 (itself), 2 (flipped too) or 6 (both shifted by one pixel too)."""
    plain = [image] if views == 1 else [image, image.flip(-1)]
    if views < 6:
        return [(view, 1 / len(plain)) for view in plain]
    h, w = image.shape[-2:]
    edged = pad(image.float(), (1, 1, 1, 1), mode="reflect")
    shifted = [edged[:, :, :h, :w], edged[:, :, 2:, 2:]]
    shifted += [view.flip(-1) for view in shifted]
    return [*((view, 0.25) for view in plain), *((view, 0.125) for view in shifted)]


def loss_and_accuracy(logs: Tensor, label: Tensor) -> dict[str, float]:
    """Return loss and accuracy of log probabilities (N, K)."""
    return {
        "loss": float(cross_entropy(logs, label)),
        "accuracy": float((logs.argmax(dim=1) == label).double().mean()),
    }


def whitening_init(trunk: Trunk, image: Tensor) -> None:
    """Initialize the first convolution with whitening filters of 3 x 3 patches of images, each with both signs.

    Source: Jordan 2024 (arXiv:2404.00498, section 3.2), whose patches are 2 x 2. Each output has about deviation 1.
    """
    conv = trunk.stem[0]
    assert isinstance(conv, nn.Conv2d)
    some = image[:2000].float() * float(trunk.scale)
    patches = unfold(some, conv.kernel_size).transpose(1, 2).flatten(0, 1).double()
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    half = conv.out_channels // 2
    strongest = values.argsort(descending=True)[: min(half, len(values))]
    white = (vectors[:, strongest] / (values[strongest] + 1e-3).sqrt()).T
    with torch.no_grad():
        for sign, first in ((1.0, 0), (-1.0, half)):
            conv.weight[first : first + len(white)] = (sign * white).reshape(-1, *conv.weight.shape[1:])


class WeightStandardization(nn.Module):
    """Kernels (O, I, H, W) of mean 0 and one deviation for each output, times a learned gain (O,).

    With it group normalization trains nearly as fast as batch normalization does (Qiao et al. 2019, arXiv:1903.10520;
    the gain: Brock et al. 2021, arXiv:2101.08692).
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(outputs))

    def forward(self, kernels_OIHW: Tensor) -> Tensor:
        """Return the standardized kernels."""
        variance, mean = torch.var_mean(kernels_OIHW, dim=(1, 2, 3), keepdim=True, unbiased=False)
        scale = torch.rsqrt(
            variance * (kernels_OIHW[0].numel() / 2) + 1e-6
        )  # He et al. 2015: keeps deviations
        return (kernels_OIHW - mean) * scale * self.gain.view(-1, 1, 1, 1)


def standardize_weights(trunk: Trunk) -> None:
    """Standardize all kernels but the first layer's, which starts with whitening filters."""
    for conv in _standardized(trunk):
        parametrize.register_parametrization(conv, "weight", WeightStandardization(conv.out_channels))


def remove_standardization(trunk: Trunk) -> None:
    """Keep the kernels as they came out: the exported network has plain ones."""
    for conv in _standardized(trunk):
        parametrize.remove_parametrizations(conv, "weight", leave_parametrized=True)


def _standardized(trunk: Trunk) -> list[nn.Conv2d]:
    return [module for module in trunk.stages.modules() if isinstance(module, nn.Conv2d)]


def cnn_small_job(recipe: CnnRecipe, context: Context) -> Job:
    """Read the data sets' training splits and build the network of the exported sizes."""
    files: dict[str, str] = {}
    seed, device = context.seed, context.device
    known = {"objects": (recipe.objects, True), "signs": (recipe.signs, False)}
    sets = {name: (path, flipped) for name, (path, flipped) in known.items() if path}
    signs = round(recipe.batch_size * recipe.signs_fraction)
    counts = [recipe.batch_size - signs, signs] if len(sets) == len(known) else [recipe.batch_size]
    whole = [read_strips(path, f"recipe.{name}", "train", files) for name, (path, _) in sets.items()]
    splits = [
        split_by_unit(images, recipe.validation_fraction, derive_seed(seed, "part", k))
        for k, images in enumerate(whole)
    ]
    classes = [int(images.label.max()) + 1 for images in whole]
    with seeded_init(seed, "pretrain"):
        model = Classifier(TRUNK, classes)
    whitening_init(model.trunk, splits[0][0].image)
    standardize_weights(model.trunk)
    model.to(device).to(memory_format=torch.channels_last)
    losses = PerSetCrossEntropy(classes, recipe.label_smoothing)

    def evaluate() -> dict[str, float]:
        found: dict[str, float] = {}
        for k, (name, (_, validation)) in enumerate(zip(sets, splits, strict=True)):
            columns = slice(losses.starts[k], losses.starts[k] + classes[k])
            logs = log_probabilities(model, validation, columns, device, context.precision)
            metrics = loss_and_accuracy(logs, validation.label)
            found |= {f"{name}_{key}": value for key, value in metrics.items()}
        return found

    return Job(
        model=model,
        losses=losses,
        batches=lambda steps: ImageBatches(
            [train for train, _ in splits],
            counts,
            [flipped for _, flipped in sets.values()],
            steps,
            seed,
            recipe.crop_padding,
            recipe.cutout,
            device,
        ),
        optimizers=lambda m: build(_sgd(recipe), m),
        schedule=lambda steps: build(LinearSchedule(warmup=recipe.warmup), steps),
        evaluate=evaluate,
        monitor=f"{next(iter(sets))}_loss",
        validate_every=1000,
        unit="images",
        units_per_step=recipe.batch_size,
        steps=recipe.steps,
        ema=recipe.ema,
        max_grad_norm=1.0,
        sources={
            name: {
                "train": len(train),
                "validation": len(validation),
                "split": "train",
                "classes": classes[k],
            }
            for k, (name, (train, validation)) in enumerate(zip(sets, splits, strict=True))
        },
        files=files,
        export=Export(
            name="cnn_small",
            module=model.trunk,
            fp16=recipe.fp16,
            predict=lambda: log_probabilities(model, splits[0][1], slice(0, classes[0]), device, "fp32"),
            finalize=lambda: remove_standardization(model.trunk),
        ),
    )


def _sgd(recipe: CnnRecipe | CifarRecipe) -> SgdConfig:
    return SgdConfig(lr=recipe.lr, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay)


def cifar10_job(recipe: CifarRecipe, context: Context) -> Job:
    """Read CIFAR-10; the test set is evaluated by epoch and selects nothing."""
    files: dict[str, str] = {}
    seed, device = context.seed, context.device
    train = read_strips(recipe.objects, "recipe.objects", "train", files)
    test = read_strips(recipe.objects, "recipe.objects", "test", files)
    classes = [int(train.label.max()) + 1]
    trunk = TrunkConfig(
        recipe.stem_channels, tuple(recipe.channels), tuple(recipe.blocks), recipe.norm, recipe.max_pool
    )
    with seeded_init(seed, "pretrain"):
        model = Classifier(trunk, classes)
    whitening_init(model.trunk, train.image)
    model.to(device).to(memory_format=torch.channels_last)
    epoch_steps = max(len(train) // recipe.batch_size, 1)

    def evaluate() -> dict[str, float]:
        found: dict[str, float] = {}
        for views in sorted({1, recipe.tta_views}):
            logs = log_probabilities(model, test, slice(None), device, context.precision, views)
            prefix = "test_" if views == recipe.tta_views else "test_one_view_"
            found |= {f"{prefix}{key}": value for key, value in loss_and_accuracy(logs, test.label).items()}
        return found

    return Job(
        model=model,
        losses=PerSetCrossEntropy(classes, recipe.label_smoothing),
        batches=lambda steps: ImageBatches(
            [train], [recipe.batch_size], [True], steps, seed, recipe.crop_padding, recipe.cutout, device
        ),
        optimizers=lambda m: build(_sgd(recipe), m),
        schedule=lambda steps: build(LinearSchedule(warmup=recipe.warmup), steps),
        evaluate=evaluate,
        monitor="test_loss",
        validate_every=round(recipe.validate_every_epochs * epoch_steps),
        unit="images",
        units_per_step=recipe.batch_size,
        steps=recipe.steps or round(recipe.epochs * epoch_steps),
        ema=recipe.ema,
        max_grad_norm=0.0,
        sources={
            "objects": {"train": len(train), "test": len(test), "split": "train", "classes": classes[0]}
        },
        files=files,
    )
