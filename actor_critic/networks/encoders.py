"""Encoders: turn observations into inputs of the hidden layers (flattened, one-hot, embedding, CNN, custom module)."""

import math
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from actor_critic.errors import ActorCriticError, ConfigError, describe
from actor_critic.process import Interrupted
from actor_critic.spaces import BYTE_SCALE, PICTURE_SIDE, ObservationPart, ObservationSpec, assemble

EncoderMaker = Callable[..., nn.Module]
"""A module class, constructed with the shapes of its input and keyword arguments."""


def encode(
    observations: npt.NDArray[Any],
    spec: ObservationSpec,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Turn stored observations into features.

    Args:
        observations: [B, *spec.shape], as stored.
        spec: The observation spec.
        device: Device of the features.
        dtype: Type of the features.

    Returns:
        [B, spec.num_features], the parts concatenated: boxes flattened; images as (channels, height, width), with
        pictures scaled to [-1, 1]; categories one-hot encoded.
    """
    parts = zip(spec.parts, spec.views(observations), strict=True)
    features = [_encode_part(torch.from_numpy(view).to(device), part, dtype) for part, view in parts]
    return features[0] if len(features) == 1 else torch.cat(features, 1)


def _encode_part(values: Tensor, part: ObservationPart, dtype: torch.dtype) -> Tensor:
    count = len(values)
    if part.codes:
        return _encode_codes(values, part, dtype)
    match part.kind:
        case "box":
            return values.reshape(count, part.num_features).to(dtype)
        case "image":
            ordered = values.permute(0, *(axis + 1 for axis in part.order)).reshape(count, part.num_features)
            return ordered.to(dtype) * part.scale if part.scale != 1 else ordered.to(dtype)
        case "categories":
            offsets = torch.tensor((0, *part.sizes[:-1]), device=values.device).cumsum(0)
            positions = values.reshape(count, -1) - torch.tensor(part.starts, device=values.device) + offsets
            return torch.zeros(count, part.num_features, dtype=dtype, device=values.device).scatter_(1, positions, 1.0)


def _encode_codes(values: Tensor, part: ObservationPart, dtype: torch.dtype) -> Tensor:
    """Return the planes of a grid of codes: for each channel one per code, and one for the brightness of all others."""
    count, (channels, height, width) = len(values), part.grid
    ordered = values.permute(0, *(axis + 1 for axis in part.order)) if part.order else values
    ordered = ordered.reshape(count, channels, 1, height, width)
    planes = torch.zeros(count, channels, part.codes + 1, height, width, dtype=dtype, device=values.device)
    planes.scatter_(2, (ordered.to(torch.int64) - part.lowest).clamp(max=part.codes), 1.0)
    if part.has_other_numbers:
        planes[:, :, part.codes] *= ordered[:, :, 0].to(dtype) * BYTE_SCALE
    return planes[:, :, : part.planes].reshape(count, part.num_features).contiguous()  # of one channel it is a view


class PartsEncoder(nn.Module):
    """Encode each part of an observation with its own module, and concatenate the outputs.

    Attributes:
        output_dim: Outputs per observation.
        is_identity: Whether outputs equal inputs.
        max_nonzeros: The most inputs of an observation that are not 0: one for each category, and all others.
        convolutions: The CNN, if observations are one image that a CNN encodes; else None.
    """

    def __init__(
        self, spec: ObservationSpec, images: str, embedding_dim: int | None, generator: torch.Generator | None
    ) -> None:
        """Build the modules.

        Args:
            spec: The observations.
            images: Encoder of images: "nature_cnn", "small_cnn", "auto" (the first for pictures, the second for grids
                of numbers, none for grids of codes) or "mlp" (flattened).
            embedding_dim: Size of the embedding of each category entry; None leaves entries one-hot.
            generator: Source of the initial weights.

        Raises:
            ConfigError: The observations do not fit the encoder.
        """
        super().__init__()
        if images in CNNS and not spec.convolved(images):
            raise ConfigError(f'encoder: "{images}" needs images, and there is none among the observations; use "auto"')
        if embedding_dim is not None and not any(part.kind == "categories" for part in spec.parts):
            raise ConfigError("embedding_dim: there are no categories among the observations to embed; leave it out")
        self._widths = [part.num_features for part in spec.parts]
        convolved = spec.convolved(images)
        modules: list[nn.Module] = []
        self.output_dim = 0
        for part in spec.parts:
            module: nn.Module = nn.Identity()
            width = part.num_features
            if part in convolved:
                is_picture = min(part.feature_shape[1:]) >= PICTURE_SIDE
                chosen = ("nature_cnn" if is_picture else "small_cnn") if images == "auto" else images
                if chosen == "nature_cnn" and not is_picture:
                    raise ConfigError(
                        f'encoder: "nature_cnn" needs images of {PICTURE_SIDE} x {PICTURE_SIDE} at least, and these '
                        f'are {part.feature_shape[1]} x {part.feature_shape[2]}; use "small_cnn"'
                    )
                module = Convolutions(part.feature_shape, CNNS[chosen], generator)
                width = module.output_dim
            elif part.kind == "categories" and embedding_dim is not None:
                module = _Embeddings(part.sizes, embedding_dim, generator)
                width = embedding_dim * len(part.sizes)
            modules.append(module)
            self.output_dim += width
        self.parts = nn.ModuleList(modules)
        self.max_nonzeros = sum(part.max_nonzeros for part in spec.parts)
        self.is_identity = all(isinstance(module, nn.Identity) for module in modules)
        only = modules[0] if len(modules) == 1 else None
        self.convolutions = only if isinstance(only, Convolutions) else None

    def forward(self, features: Tensor) -> Tensor:
        """[B, output_dim] of features [B, F]."""
        if len(self._widths) == 1:
            only: Tensor = self.parts[0](features)
            return only
        pieces = torch.split(features, self._widths, 1)
        return torch.cat([module(piece) for module, piece in zip(self.parts, pieces, strict=True)], 1)


CNNS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "nature_cnn": ((32, 8, 4), (64, 4, 2), (64, 3, 1)),  # Mnih et al., 2015, "Human-level control", Methods
    "small_cnn": ((16, 3, 1),),  # Young and Tian, 2019, "MinAtar", section 3
}
"""(filters, kernel size, stride) of each layer; a ReLU follows each layer."""


class Convolutions(nn.Module):
    """A CNN over one image, with flattened output.

    Attributes:
        shape: Shape of the image, (C, H, W).
        layers: Convolutions, each followed by its activation.
        output_dim: Outputs per image.
    """

    def __init__(
        self, shape: tuple[int, ...], layers: tuple[tuple[int, int, int], ...], generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.shape = shape
        channels, height, width = shape
        modules: list[nn.Module] = []
        for filters, side, stride in layers:
            with torch.random.fork_rng(devices=[]):
                convolution = nn.Conv2d(channels, filters, side, stride)
            nn.init.orthogonal_(convolution.weight, math.sqrt(2), generator=generator)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
            modules += [convolution, nn.ReLU()]
            channels, height, width = filters, (height - side) // stride + 1, (width - side) // stride + 1
        self.layers = nn.Sequential(*modules)
        self.output_dim = channels * height * width

    def forward(self, features: Tensor) -> Tensor:
        """[B, output_dim] of images [B, C · H · W]."""
        maps: Tensor = self.layers(features.reshape(len(features), *self.shape))
        return maps.flatten(1)


class _Embeddings(nn.Module):
    """A learned vector per category of each entry, computed as a matrix product with the one-hot features."""

    def __init__(self, sizes: tuple[int, ...], width: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self._sizes = list(sizes)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(size, width).normal_(generator=generator)) for size in sizes
        )

    def forward(self, features: Tensor) -> Tensor:
        entries = torch.split(features, self._sizes, 1)
        return torch.cat([entry @ table for entry, table in zip(entries, self.tables, strict=True)], 1)


class CustomEncoder(nn.Module):
    """A module of the user, called with each part of an observation in its shape.

    It is in training mode during optimizer steps, and in evaluation mode otherwise.

    Attributes:
        output_dim: Outputs per observation.
    """

    def __init__(
        self, spec: ObservationSpec, make: EncoderMaker, kwargs: dict[str, Any], name: str, environment: str, seed: int
    ) -> None:
        """Make the module and try it on two observations.

        Args:
            spec: The observations.
            make: Called with the input shapes without the batch axis: one shape, or a dict or tuple of shapes.
            kwargs: Further keyword arguments for ``make``.
            name: Name of the encoder in error messages.
            environment: Name of the environment in error messages.
            seed: Seed of PyTorch's generator while the module is made.

        Raises:
            ConfigError: The module cannot be made, is not a torch.nn.Module, or does not return [B, D] float32.
        """
        super().__init__()
        self._spec = spec
        shapes = assemble([(part.path, part.feature_shape) for part in spec.parts])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                self.module: nn.Module = make(shapes, **kwargs)
            except Interrupted:
                raise
            except BaseException as error:  # a user's constructor may raise anything
                raise ConfigError(
                    f"encoder: {name} cannot be made for {environment} with shapes {shapes} and {kwargs}: "
                    f"{describe(error)}"
                ) from error
            if not isinstance(self.module, nn.Module):
                raise ConfigError(f"encoder: {name} gives a {type(self.module).__name__}; expected a torch.nn.Module")
            self.module.eval()
            self.output_dim = self._try(name, environment)

    def forward(self, features: Tensor) -> Tensor:
        """[B, output_dim] of features [B, F]."""
        pieces = torch.split(features, [part.num_features for part in self._spec.parts], 1)
        parts = [
            (part.path, piece.reshape(len(features), *part.feature_shape))
            for part, piece in zip(self._spec.parts, pieces, strict=True)
        ]
        try:
            encoded: Tensor = self.module(assemble(parts))
        except (Interrupted, torch.OutOfMemoryError):
            raise
        except BaseException as error:  # a user's module may raise anything
            raise ActorCriticError(f"the encoder {type(self.module).__name__} raised {describe(error)}") from error
        return encoded

    def _try(self, name: str, environment: str) -> int:
        try:
            with torch.no_grad():
                found = self(torch.zeros(2, self._spec.num_features, dtype=torch.float32))
        except ActorCriticError as error:
            cause = describe(error.__cause__ or error)
            raise ConfigError(f"encoder: {name} fails on two observations of {environment}: {cause}") from error
        says = getattr(self.module, "output_dim", None)
        if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[0] != 2 or found.dtype != torch.float32:
            got = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"encoder: {name} returns {got} for two observations of {environment}; expected (2, D) torch.float32"
            )
        if says is not None and says != found.shape[1]:
            raise ConfigError(
                f"encoder: {name} returns {found.shape[1]} numbers for an observation of {environment}; expected "
                f"{says}, its output_dim"
            )
        return int(found.shape[1])
