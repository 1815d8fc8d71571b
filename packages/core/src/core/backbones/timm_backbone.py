"""Any image network of timm behind the backbones' interface."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.normalisation import to_group_norm
from core.backbones.contexts import seeded_init
from core.backbones.timm_surgery import patch_for, reduce_stem_stride
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import TimmConfig
    from core.data.types import Json, Layout


class TimmBackbone(nn.Module):
    """A timm network without its classifier. Reads uint8 pixels and scales them as the network expects."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, layout: Layout, settings: TimmConfig, seed: int, fetch: bool = True) -> None:
        super().__init__()
        require(layout, "vision", ("image",), side_inputs(settings.wide))
        assert layout.image is not None
        channels, height, width = layout.image
        self.title = f"vision {settings.name}"
        with seeded_init(seed, "backbone"):
            self.network = _network(settings, (channels, height, width), fetch)
        loaded = settings.pretrained or settings.weights is not None
        cfg = self.network.pretrained_cfg
        published = settings.colours == "imagenet" or (settings.colours == "auto" and loaded)
        for name, given in (("mean", cfg["mean"]), ("deviation", cfg["std"])):
            values = list(given) if published else [0.5] * channels
            if len(values) != channels:  # Grey or many-band images: the mean of the published channels.
                values = [sum(values) / len(values)] * channels
            self.register_buffer(name, torch.tensor(values).reshape(channels, 1, 1) * 255.0, persistent=False)
        self.width, self.gives = _probe(self.network, settings.name, (channels, height, width))
        with seeded_init(seed, "side"):
            self.side = side_of(layout, self.width)
        self.wide = wide_of(layout, settings.wide)
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}
        self.pyramid = _pyramid(self.network, (channels, height, width)) if "map" in self.gives else ()
        self.gives_maps = False

    def open_pyramid(self) -> None:
        """Give the maps of the last stages from now on."""
        self.gives_maps = True

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read image (B, C, H, W) uint8, or float on the scale 0 to 255, and columns beside it."""
        x_BCHW = (inputs["image"].to(self.mean.dtype) - self.mean) / self.deviation
        maps = None
        if self.gives_maps:
            features, stages = self.network.forward_intermediates(x_BCHW)
            maps = tuple(stages[-len(self.pyramid) :])
        else:
            features = self.network.forward_features(x_BCHW)
        pooled_BD = self.network.forward_head(features, pre_logits=True)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(
            pooled_BD,
            tokens=_tokens(self.network, features) if "tokens" in self.gives else None,
            map=_map(features, self.width) if "map" in self.gives else None,
            maps=maps,
            wide=self.wide(inputs) if self.wide else None,
        )


def _tokens(network: nn.Module, features_BTD: Tensor) -> Tensor:
    """Leave class and register tokens out."""
    return features_BTD[:, int(getattr(network, "num_prefix_tokens", 0)) :]


def _map(features: Tensor, width: int) -> Tensor:
    """Bring a map's channels, which some networks give last, to the front."""
    return features if features.shape[1] == width else features.movedim(-1, 1)


def _network(settings: TimmConfig, size: tuple[int, int, int], fetch: bool) -> Any:
    """Create the network for this image size, load its weights, exchange its norms."""
    if not timm.is_model(settings.name.split(".")[0]):
        near = (
            ", ".join(get_close_matches(settings.name, timm.list_models(), n=6)) or "see timm.list_models()"
        )
        raise config_error(
            "backbone.name", settings.name, f"timm knows no network of this name; near it: {near}"
        )
    loads = settings.pretrained or settings.weights is not None
    changes = _changes(settings, size, loads)
    if not loads or not fetch:
        network = timm.create_model(settings.name, pretrained=False, **changes)
    elif settings.weights is not None:
        network = _from_file(settings, changes)
    else:
        try:
            network = timm.create_model(settings.name, pretrained=True, **changes)
        except Exception as error:  # Hub, transport and file errors of four libraries share no base class.
            raise ValueError(
                f"backbone.pretrained=true: the weights of {settings.name} could not be fetched ({error}); "
                "give a local file with backbone.weights, or set backbone.pretrained=false"
            ) from error
    reduce_stem_stride(network, settings.stem, min(size[1:]))
    if settings.normalisation == "group":
        to_group_norm(network)
    return network


def _changes(settings: TimmConfig, size: tuple[int, int, int], loads: bool) -> dict[str, Any]:
    """Find the keyword arguments that fit the network to the images, as far as its class takes them."""
    changes: dict[str, Any] = {"num_classes": 0, "in_chans": size[0]}
    if settings.drop_path:
        changes["drop_path_rate"] = settings.drop_path
    with torch.device("meta"):  # No weights are made: this only asks what the class takes.
        try:
            plain = timm.create_model(settings.name, pretrained=False, **changes)
        except TypeError as error:
            raise config_error(
                "backbone.drop_path", settings.drop_path, f"{settings.name} has none ({error})"
            ) from error
        if not plain.pretrained_cfg.get("fixed_input_size"):
            return changes
        patch = patch_for(plain, settings.stem, size[1:], loads)
        sized = changes | {"img_size": size[1:]}
        patched = [sized | {"patch_size": patch}] if patch else []
        for candidate in (*patched, sized):
            try:
                timm.create_model(settings.name, pretrained=False, **candidate)
            except TypeError as error:  # The class does not take one of these; the next candidate has fewer.
                if patch and settings.stem != "auto":
                    raise config_error(
                        "backbone.stem", settings.stem, f"{settings.name} takes no patch size"
                    ) from error
                continue
            except (AssertionError, RuntimeError, ValueError) as error:
                raise config_error(
                    "backbone.name", settings.name, f"it can't read {size[1]} x {size[2]} pixels: {error}"
                ) from error
            return candidate
    return changes  # Whether it can read these images is tried afterwards.


def _from_file(settings: TimmConfig, changes: dict[str, Any]) -> Any:
    """Create the network with a local file's weights, raising ValueError when the file does not fit it."""
    assert settings.weights is not None
    state = read_state(Path(settings.weights))
    before = torch.random.get_rng_state()
    fresh = timm.create_model(settings.name, pretrained=False, **changes)
    torch.random.set_rng_state(before)
    try:
        network = timm.create_model(
            settings.name,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": state, "custom_load": False},
            **changes,
        )
    except (RuntimeError, KeyError, AttributeError) as error:
        raise config_error(
            "backbone.weights", settings.weights, f"these are no weights of {settings.name}: {error}"
        ) from error
    # timm loads what fits and says nothing of the rest: what still equals a fresh draw was not in the file.
    drawn = fresh.state_dict()
    untouched = [
        name
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
        and tensor.dim() > 1
        and tensor.std() > 0
        and torch.equal(tensor, drawn[name])
    ]
    if untouched:
        raise config_error(
            "backbone.weights",
            settings.weights,
            f"the file lacks {len(untouched)} weights of {settings.name}, among them {', '.join(untouched[:3])}",
        )
    return network


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file of weights (.safetensors, or .bin, .pth, .pt that hold tensors only), never running code from it.

    Raises ValueError naming the file when it is missing, damaged or holds anything but tensors.
    """
    if not path.is_file():
        raise config_error("backbone.weights", str(path), "there is no such file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise config_error("backbone.weights", str(path), f"it is damaged ({error})") from error
    if path.suffix not in (".bin", ".pth", ".pt"):
        raise config_error("backbone.weights", str(path), "it must end in .safetensors, .bin, .pth or .pt")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # The unpickler raises whatever the file's damage leads to.
        raise config_error(
            "backbone.weights", str(path), f"it can't be read as plain weights ({error})"
        ) from error
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise config_error("backbone.weights", str(path), "it holds more than named tensors")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


LEVELS = 4
"""Maps that a decoder reads at most: the last ones, usually from a quarter of the image's side down."""


def _pyramid(network: Any, size: tuple[int, int, int]) -> tuple[int, ...]:
    """Run one blank image to see how many channels the maps of the last stages have; none for other networks."""
    if not hasattr(network, "forward_intermediates"):
        return ()
    training = network.training
    network.eval()
    with torch.no_grad():
        _, stages = network.forward_intermediates(torch.zeros(1, *size))
    network.train(training)
    return tuple(int(stage.shape[1]) for stage in stages[-LEVELS:])


def _probe(network: Any, name: str, size: tuple[int, int, int]) -> tuple[int, tuple[str, ...]]:
    """Run one blank image to see which features the network gives and how wide they are."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            features = network.forward_features(torch.zeros(1, *size))
            pooled = network.forward_head(features, pre_logits=True)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"backbone.name={name!r} can't read images of {size[1]} x {size[2]} pixels with {size[0]} channels "
            f"({error}); choose another network or change encoder.image_size"
        ) from error
    network.train(training)
    assert pooled.dim() == 2, f"{name} gives pooled features of shape {tuple(pooled.shape)}"
    width = int(pooled.shape[1])
    gives = ["pooled"]
    if features.dim() == 3 and features.shape[2] == width:
        gives.append("tokens")
    if features.dim() == 4 and width in (features.shape[1], features.shape[3]):
        gives.append("map")
    return width, tuple(gives)
