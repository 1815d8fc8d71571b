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

from core.backbones.config import TimmConfig
from core.backbones.contexts import eval_mode, seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.timm_surgery import patch_size_for, reduce_stem_stride, replace_batch_norm
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout

PYRAMID_LEVELS = 4
"""Maps that a pyramid head reads at most: the last ones, usually from a quarter of the image's side down."""


class TimmBackbone(nn.Module):
    """A timm network without its classifier. Reads uint8 pixels and normalizes them as the network expects."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, config: TimmConfig, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> None:
        super().__init__()
        check_inputs(layout, "timm", ("image",), side_kinds(config.linear_branch_lr_scale))
        assert layout.image is not None
        channels, height, width = layout.image
        self.title = f"timm {config.name}"
        with seeded_init(seed, "backbone"):
            self.network = _network(config, (channels, height, width), load=architecture is None)
        loaded = config.pretrained or config.weights is not None
        cfg = self.network.pretrained_cfg
        published = config.pixel_norm == "imagenet" or (config.pixel_norm == "auto" and loaded)
        for name, given in (("mean", cfg["mean"]), ("deviation", cfg["std"])):
            values = list(given) if published else [0.5] * channels
            if len(values) != channels:  # Grayscale or many-band images: the mean of the published channels.
                values = [sum(values) / len(values)] * channels
            self.register_buffer(name, torch.tensor(values).reshape(channels, 1, 1) * 255.0, persistent=False)
        self.num_features, self.provides = _probe(self.network, config.name, (channels, height, width))
        with seeded_init(seed, "side"):
            self.side = side_features(layout, self.num_features)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.architecture = architecture or {}
        self.pyramid = _pyramid(self.network, (channels, height, width)) if "map" in self.provides else ()
        self.returns_maps = False

    def open_pyramid(self) -> None:
        """Return the maps of the last stages from now on."""
        self.returns_maps = True

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read image (B, C, H, W) uint8, or float on the scale 0 to 255, and columns beside it."""
        x_BCHW = (inputs["image"].to(self.mean.dtype) - self.mean) / self.deviation
        maps = None
        if self.returns_maps:
            features, stages = self.network.forward_intermediates(x_BCHW)
            maps = tuple(stages[-len(self.pyramid) :])
        else:
            features = self.network.forward_features(x_BCHW)
        pooled_BD = self.network.forward_head(features, pre_logits=True)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(
            pooled_BD,
            tokens=_tokens(self.network, features) if "tokens" in self.provides else None,
            map=_map(features, self.num_features) if "map" in self.provides else None,
            maps=maps,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )


def _tokens(network: nn.Module, features_BTD: Tensor) -> Tensor:
    """Leave class and register tokens out."""
    return features_BTD[:, int(getattr(network, "num_prefix_tokens", 0)) :]


def _map(features: Tensor, width: int) -> Tensor:
    """Bring a map's channels, which some networks have last, to the front."""
    return features if features.shape[1] == width else features.movedim(-1, 1)


def _network(config: TimmConfig, size: tuple[int, int, int], load: bool) -> Any:
    """Create the network for this image size, load its weights, replace its norms."""
    if not timm.is_model(config.name.split(".")[0]):
        near = ", ".join(get_close_matches(config.name, timm.list_models(), n=6)) or "see timm.list_models()"
        raise config_error(
            "backbone.name", config.name, f"timm knows no network of this name; near it: {near}"
        )
    loads = config.pretrained or config.weights is not None
    arguments = _arguments(config, size, loads)
    if not loads or not load:
        network = timm.create_model(config.name, pretrained=False, **arguments)
    elif config.weights is not None:
        network = _from_file(config, arguments)
    else:
        try:
            network = timm.create_model(config.name, pretrained=True, **arguments)
        except Exception as error:  # Hub, transport and file errors of four libraries share no base class.
            raise ValueError(
                f"backbone.pretrained=true: the weights of {config.name} could not be fetched ({error}); "
                "set a local file with backbone.weights, or backbone.pretrained=false"
            ) from error
    reduce_stem_stride(network, config.stem_stride, min(size[1:]))
    if config.norm == "group":
        replace_batch_norm(network)
    return network


def _arguments(config: TimmConfig, size: tuple[int, int, int], loads: bool) -> dict[str, Any]:
    """Return the keyword arguments that fit the network to the images, as far as its class takes them."""
    arguments: dict[str, Any] = {"num_classes": 0, "in_chans": size[0]}
    if config.drop_path:
        arguments["drop_path_rate"] = config.drop_path
    with torch.device("meta"):  # No weights are created: this only asks what the class takes.
        try:
            plain = timm.create_model(config.name, pretrained=False, **arguments)
        except TypeError as error:
            raise config_error(
                "backbone.drop_path", config.drop_path, f"{config.name} has none ({error})"
            ) from error
        if not plain.pretrained_cfg.get("fixed_input_size"):
            return arguments
        patch_size = patch_size_for(plain, config.stem_stride, size[1:], loads)
        sized = arguments | {"img_size": size[1:]}
        patched = [sized | {"patch_size": patch_size}] if patch_size else []
        for candidate in (*patched, sized):
            try:
                timm.create_model(config.name, pretrained=False, **candidate)
            except TypeError as error:  # The class does not take one of these; the next candidate has fewer.
                if patch_size and config.stem_stride != "auto":
                    raise config_error(
                        "backbone.stem_stride", config.stem_stride, f"{config.name} takes no patch size"
                    ) from error
                continue
            except (AssertionError, RuntimeError, ValueError) as error:
                raise config_error(
                    "backbone.name", config.name, f"it can't read {size[1]} x {size[2]} pixels: {error}"
                ) from error
            return candidate
    return arguments  # Whether it can read these images is tried afterwards.


def _from_file(config: TimmConfig, arguments: dict[str, Any]) -> Any:
    """Create the network with a local file's weights, raising ValueError when the file does not fit it."""
    assert config.weights is not None
    state = read_state(Path(config.weights))
    before = torch.random.get_rng_state()
    fresh = timm.create_model(config.name, pretrained=False, **arguments)
    torch.random.set_rng_state(before)
    try:
        network = timm.create_model(
            config.name,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": state, "custom_load": False},
            **arguments,
        )
    except (RuntimeError, KeyError, AttributeError) as error:
        raise config_error(
            "backbone.weights", config.weights, f"these are no weights of {config.name}: {error}"
        ) from error
    # timm loads what fits and does not report the rest: what still equals a fresh draw was not in the file.
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
            config.weights,
            f"the file lacks {len(untouched)} weights of {config.name}, among them {', '.join(untouched[:3])}",
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


def _pyramid(network: Any, size: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the channels of the last stages' maps, from one blank image; none for a network without stages."""
    if not hasattr(network, "forward_intermediates"):
        return ()
    with eval_mode(network), torch.no_grad():
        _, stages = network.forward_intermediates(torch.zeros(1, *size))
    return tuple(int(stage.shape[1]) for stage in stages[-PYRAMID_LEVELS:])


def _probe(network: Any, name: str, size: tuple[int, int, int]) -> tuple[int, tuple[str, ...]]:
    """Return the number of features and which features the network provides, from one blank image."""
    try:
        with eval_mode(network), torch.no_grad():
            features = network.forward_features(torch.zeros(1, *size))
            pooled = network.forward_head(features, pre_logits=True)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"backbone.name={name!r} can't read images of {size[1]} x {size[2]} pixels with {size[0]} channels "
            f"({error}); choose another network or change encoder.image.size"
        ) from error
    assert pooled.dim() == 2, f"{name} returns pooled features of shape {tuple(pooled.shape)}"
    width = int(pooled.shape[1])
    provides = ["pooled"]
    if features.dim() == 3 and features.shape[2] == width:
        provides.append("tokens")
    if features.dim() == 4 and width in (features.shape[1], features.shape[3]):
        provides.append("map")
    return width, tuple(provides)
