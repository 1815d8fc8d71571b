"""The recipes of CNNs: ``cnn`` (objects and signs, whose trunk is shipped) and ``cifar10`` (one set, judged)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax, pad, unfold
from torch.nn.utils import parametrize

from core.backbones.cnn_small import SHAPE, Shape, Trunk
from core.backbones.contexts import eval_mode, seeded_init
from core.config import build, derive_seed
from core.pretrain.images import PictureBatches, Pictures, cut, read
from core.pretrain.job import Job
from core.training.config import LinearSchedule, SgdConfig
from core.training.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor

    from core.pretrain.config import CifarRecipe, CnnRecipe

LOOK = 512
"""Pictures of one forward pass of a look."""


class Heads(nn.Module):
    """The trunk, mean over places, and one linear layer for the classes of all sets: (B, K1 + K2 + ...)."""

    def __init__(self, shape: Shape, classes: list[int]) -> None:
        super().__init__()
        self.trunk = Trunk(shape)
        self.head = nn.Linear(shape.widths[-1], sum(classes))
        nn.init.normal_(self.head.weight, std=0.5 * shape.widths[-1] ** -0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Answer for all classes of all sets."""
        return self.head(self.trunk(inputs["image"])[-1].mean(dim=(2, 3)))  # type: ignore[no-any-return]


class OwnClasses:
    """Cross-entropy over the classes of each picture's own set, the truth smoothed."""

    def __init__(self, classes: list[int], smoothing: float) -> None:
        self.starts = [sum(classes[:k]) for k in range(len(classes))]
        self.classes = classes
        self.smoothing = smoothing

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Read (B, K1 + K2 + ...) and (B, 2), set and class; give (B,)."""
        found = outputs.new_zeros(len(outputs))
        for k, (start, count) in enumerate(zip(self.starts, self.classes, strict=True)):
            own_B = targets[:, 0] == k
            logs = log_softmax(outputs[:, start : start + count], dim=1)
            right = logs.gather(1, targets[:, 1:].clamp(max=count - 1)).squeeze(1)
            loss_B = -(1 - self.smoothing) * right - self.smoothing * logs.mean(dim=1)
            found = torch.where(own_B, loss_B, found)
        return found


def looked(
    model: nn.Module, pictures: Pictures, columns: slice, device: torch.device, precision: str, views: int = 1
) -> Tensor:
    """Give log probabilities (N, K) of pictures, averaged over views (1; 2: mirrored; 6: moved by a pixel too)."""
    found = []
    with eval_mode(model), torch.no_grad(), autocast(precision, device):
        for first in range(0, len(pictures), LOOK):
            image = (
                pictures.image[first : first + LOOK].to(device).contiguous(memory_format=torch.channels_last)
            )
            total = torch.zeros((), device=device)
            seen = shown(image, views)
            for view, weight in seen:
                total = total + weight * model({"image": view})[:, columns].float()
            found.append(log_softmax(total, dim=1).cpu())
    return torch.cat(found)


def shown(image: Tensor, views: int) -> list[tuple[Tensor, float]]:
    """Give views of pictures and their weights: itself, mirrored, both moved by one pixel up left and down right."""
    plain = [image] if views == 1 else [image, image.flip(-1)]
    if views < 6:
        return [(view, 1 / len(plain)) for view in plain]
    h, w = image.shape[-2:]
    edged = pad(image.float(), (1, 1, 1, 1), mode="reflect")
    moved = [edged[:, :, :h, :w], edged[:, :, 2:, 2:]]
    moved += [m.flip(-1) for m in moved]
    return [*((view, 0.25) for view in plain), *((view, 0.125) for view in moved)]


def figures(logs: Tensor, label: Tensor) -> dict[str, float]:
    """Give loss and accuracy of log probabilities (N, K)."""
    return {
        "loss": float(cross_entropy(logs, label)),
        "accuracy": float((logs.argmax(dim=1) == label).double().mean()),
    }


def start_white(trunk: Trunk, image: Tensor) -> None:
    """Start the first convolution with the directions that decorrelate 3 x 3 patches of pictures, each with both signs.

    Source: Jordan 2024 (arXiv:2404.00498, section 3.2), whose patches are 2 x 2. Each then has about deviation 1.
    """
    conv = trunk.stem[0]
    assert isinstance(conv, nn.Conv2d)
    some = image[: 2000 if len(image) > 2000 else len(image)].float() * float(trunk.scale)
    patches = unfold(some, conv.kernel_size).transpose(1, 2).flatten(0, 1).double()
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    half = conv.out_channels // 2
    strongest = values.argsort(descending=True)[: min(half, len(values))]
    white = (vectors[:, strongest] / (values[strongest] + 1e-3).sqrt()).T
    with torch.no_grad():
        for sign, first in ((1.0, 0), (-1.0, half)):
            conv.weight[first : first + len(white)] = (sign * white).reshape(-1, *conv.weight.shape[1:])


class Standardized(nn.Module):
    """Kernels (O, I, H, W) of mean 0 and one deviation for each output, times a gain (O,) that is learnt.

    With it group normalisation trains nearly as fast as batch normalisation does (Qiao et al. 2019, arXiv:1903.10520;
    the gain: Brock et al. 2021, arXiv:2101.08692).
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(outputs))

    def forward(self, kernels_OIHW: Tensor) -> Tensor:
        """Standardize."""
        spread, mean = torch.var_mean(kernels_OIHW, dim=(1, 2, 3), keepdim=True, unbiased=False)
        scale = torch.rsqrt(spread * (kernels_OIHW[0].numel() / 2) + 1e-6)  # He et al. 2015: keeps deviations
        return (kernels_OIHW - mean) * scale * self.gain.view(-1, 1, 1, 1)


def standardize(trunk: Trunk) -> None:
    """Standardize all kernels but the first layer's, which starts white."""
    for conv in _standardized(trunk):
        parametrize.register_parametrization(conv, "weight", Standardized(conv.out_channels))


def settle(trunk: Trunk) -> None:
    """Keep the kernels as they came out: the network that is shipped has plain ones."""
    for conv in _standardized(trunk):
        parametrize.remove_parametrizations(conv, "weight", leave_parametrized=True)


def _standardized(trunk: Trunk) -> list[nn.Conv2d]:
    return [module for module in trunk.stages.modules() if isinstance(module, nn.Conv2d)]


def cnn(recipe: CnnRecipe, seed: int, device: torch.device, precision: str, files: dict[str, str]) -> Job:
    """Read the sets' training parts and make the network of the shipped shape."""
    known = {"objects": (recipe.objects, True), "signs": (recipe.signs, False)}
    sets = {name: (path, mirrored) for name, (path, mirrored) in known.items() if path}
    signs = round(recipe.batch_size * recipe.signs_share)
    counts = [recipe.batch_size - signs, signs] if len(sets) == len(known) else [recipe.batch_size]
    whole = [read(path, f"recipe.{name}", "train", files) for name, (path, _) in sets.items()]
    parts = [cut(pictures, recipe.held_out, derive_seed(seed, "part", k)) for k, pictures in enumerate(whole)]
    classes = [int(pictures.label.max()) + 1 for pictures in whole]
    with seeded_init(seed, "pretrain"):
        model = Heads(SHAPE, classes)
    start_white(model.trunk, parts[0][0].image)
    standardize(model.trunk)
    model.to(device).to(memory_format=torch.channels_last)
    losses = OwnClasses(classes, recipe.smoothing)

    def judge() -> dict[str, float]:
        found: dict[str, float] = {}
        for k, (name, (_, watching)) in enumerate(zip(sets, parts, strict=True)):
            columns = slice(losses.starts[k], losses.starts[k] + classes[k])
            logs = looked(model, watching, columns, device, precision)
            found |= {f"{name}_{key}": value for key, value in figures(logs, watching.label).items()}
        return found

    def compare() -> Tensor:
        return looked(model, parts[0][1], slice(0, classes[0]), device, "fp32")

    return Job(
        model=model,
        losses=losses,
        stream=lambda steps: PictureBatches(
            [trained for trained, _ in parts],
            counts,
            [mirrored for _, mirrored in sets.values()],
            steps,
            seed,
            recipe.move,
            recipe.cutout,
            device,
        ),
        optimizers=lambda m: build(_nesterov(recipe), m),
        schedule=lambda steps: build(LinearSchedule(warmup=recipe.warmup), steps),
        judge=judge,
        judge_every=1000,
        unit="pictures",
        units_per_step=recipe.batch_size,
        steps=recipe.steps,
        ema=recipe.ema,
        max_grad_norm=1.0,
        data={
            name: {
                "trained_on": len(trained),
                "watched": len(watching),
                "part": "train",
                "classes": classes[k],
            }
            for k, (name, (trained, watching)) in enumerate(zip(sets, parts, strict=True))
        },
        keep=model.trunk,
        settle=lambda: settle(model.trunk),
        name="cnn_small",
        fp16=recipe.fp16,
        compare=compare,
    )


def _nesterov(recipe: CnnRecipe | CifarRecipe) -> SgdConfig:
    return SgdConfig(
        lr=recipe.rate, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay
    )


def cifar10(
    recipe: CifarRecipe, seed: int, device: torch.device, precision: str, files: dict[str, str]
) -> Job:
    """Read CIFAR-10; the test part is looked at by epoch and decides nothing."""
    train = read(recipe.objects, "recipe.objects", "train", files)
    test = read(recipe.objects, "recipe.objects", "test", files)
    classes = [int(train.label.max()) + 1]
    shape = Shape(recipe.stem, tuple(recipe.widths), tuple(recipe.blocks), recipe.norm, recipe.pool)
    with seeded_init(seed, "pretrain"):
        model = Heads(shape, classes)
    start_white(model.trunk, train.image)
    model.to(device).to(memory_format=torch.channels_last)
    epoch = max(len(train) // recipe.batch_size, 1)

    def judge() -> dict[str, float]:
        found: dict[str, Any] = {}
        for views in sorted({1, recipe.views}):
            logs = looked(model, test, slice(None), device, precision, views)
            prefix = "test_" if views == recipe.views else "test_one_view_"
            found |= {f"{prefix}{key}": value for key, value in figures(logs, test.label).items()}
        return found

    return Job(
        model=model,
        losses=OwnClasses(classes, recipe.smoothing),
        stream=lambda steps: PictureBatches(
            [train], [recipe.batch_size], [True], steps, seed, recipe.move, recipe.cutout, device
        ),
        optimizers=lambda m: build(_nesterov(recipe), m),
        schedule=lambda steps: build(LinearSchedule(warmup=recipe.warmup), steps),
        judge=judge,
        judge_every=round(recipe.judge_every * epoch),
        unit="pictures",
        units_per_step=recipe.batch_size,
        steps=recipe.steps or round(recipe.epochs * epoch),
        ema=recipe.ema,
        max_grad_norm=0.0,
        data={
            "objects": {
                "trained_on": len(train),
                "judged_on": len(test),
                "part": "train",
                "classes": classes[0],
            }
        },
    )
