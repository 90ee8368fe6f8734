"""ObservationPart: one array of an observation, how its values are checked, and what the networks see of it."""

import math
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.process import Interrupted
from actor_critic.spaces.documents import ADDED, are_choices, are_numbers
from actor_critic.spaces.nesting import Path, at_path, describe_path
from actor_critic.spaces.stacked import StackedBox

PICTURE_SIDE = 36
"""Smallest side of a picture, and of the Nature CNN's input. A picture's numbers are brightness, up to its bounds. In a
smaller image, a grid, the numbers may be codes for the content of a cell."""

BYTE_SCALE = 1 / 255
"""Factor of the brightness of bytes that are no codes."""

_GRID_SIDE = 3  # the size of the small CNN's filter
_MAX_AXES = 32
_CODES_AT_MOST = 400  # numbers in a grid of codes; a larger one would have very many features
_CLOSED_CODES = range(3, 16)  # numbers of values that a grid with bounds may have; two need no encoding
_OPEN_CODES = 16  # one-hot values in a grid of any bytes, whose bounds say nothing
_BOUNDLESS = 2.0**31 - 1  # a bound of this size or more does not limit brightness
NUMBERS = ("float32", "float64", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
"""The dtypes of numbers in observations, by name."""


@dataclass(frozen=True)
class ObservationPart:
    """One array of an observation: the whole of it, or a part of a Dict or Tuple.

    Attributes:
        path: Its place in the observation; empty for the whole.
        kind: "box" (numbers, used as they are), "image" (numbers with height, width and channels) or "categories"
            (integers, each one-hot encoded).
        shape: Shape of the array.
        dtype: NumPy name of the dtype it is stored with.
        order: For an image, its axes in the order (frames if stacked, channels, height, width).
        sizes: Categories of each entry in row-major order.
        starts: The lowest category of each entry.
        divisor: Divisor of a picture's numbers, if it is not the usual one (255 for bytes, 1 for other dtypes).
        codes: For a small grid of whole numbers, how many values are one-hot encoded, from ``lowest`` on; 0 if the
            numbers are no codes.
        lowest: The lowest code.
    """

    path: Path
    kind: Literal["box", "image", "categories"]
    shape: tuple[int, ...]
    dtype: str
    order: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    divisor: float | None = field(default=None, metadata=ADDED)
    # Older checkpoints lack the following two. They fit the same environments, so comparisons leave them out.
    codes: int = field(default=0, compare=False, metadata=ADDED)
    lowest: int = field(default=0, compare=False, metadata=ADDED)

    def check(self) -> None:
        """Check that the fields agree.

        Raises:
            ValueError: The fields contradict each other.
        """
        if not are_numbers((self.codes, self.lowest)):
            raise ValueError("an observation space has a part that is wrong")
        is_sound = False
        match self.kind:
            case "box":
                is_sound = self.dtype in NUMBERS and are_numbers(self.shape, 0) and not self.order
            case "image":
                is_sound = self.dtype in NUMBERS and are_numbers(self.shape, 1) and are_numbers(self.order)
                is_sound = is_sound and sorted(self.order) == list(range(len(self.shape))) and len(self.order) > 1
                is_sound = is_sound and min(self.feature_shape[1:]) >= _GRID_SIDE
            case "categories":
                is_sound = self.dtype == "int64" and are_choices(self.shape, self.sizes, self.starts)
        if self.divisor is not None:
            is_sound = is_sound and self.kind == "image" and type(self.divisor) in (int, float)
            is_sound = is_sound and 1e-30 < self.divisor < _BOUNDLESS
        if self.codes != 0 or self.lowest != 0:
            is_sound = is_sound and self.kind != "categories" and self._stored.kind in "iu" and len(self.shape) > 1
            is_of_bytes = (self.kind, self.dtype, self.codes, self.lowest) == ("image", "uint8", _OPEN_CODES, 0)
            is_sound = is_sound and (is_of_bytes or self.codes in _CLOSED_CODES)
        if not is_sound or len(self.shape) > _MAX_AXES:
            raise ValueError("an observation space has a part that is wrong")

    @cached_property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of what the networks see: a box as it is, an image as (C, H, W), categories as (Σ sizes,).

        A grid of codes has ``planes`` channels for each of its own.
        """
        if self.codes:
            channels, height, width = self.grid
            return (channels * self.planes, height, width)
        match self.kind:
            case "image":
                ordered = [self.shape[axis] for axis in self.order]
                return (math.prod(ordered[:-2]), *ordered[-2:])
            case "categories":
                return (sum(self.sizes),)
            case "box":
                return self.shape

    @cached_property
    def num_features(self) -> int:
        """Numbers that the networks see."""
        return math.prod(self.feature_shape)

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Channels, height and width of a grid of codes; frames count as channels."""
        shape = [self.shape[axis] for axis in self.order or range(len(self.shape))]
        return (math.prod(shape[:-2]), shape[-2], shape[-1])

    @property
    def has_other_numbers(self) -> bool:
        """Whether a grid of codes may have numbers beyond the codes; they are seen as brightness of bytes."""
        return self.codes == _OPEN_CODES

    @property
    def planes(self) -> int:
        """Channels that the networks see for each channel of a grid of codes: one a code, and one for all others."""
        return self.codes + self.has_other_numbers

    @property
    def code_bounds(self) -> str:
        """The lowest and the highest code, in words."""
        return f"{self.lowest} to {self.lowest + self.codes - 1}"

    @property
    def misfit(self) -> tuple[str, str]:
        """What :meth:`contains` did not find to be allowed, and what it is outside of."""
        return ("a number", f"the bounds {self.code_bounds}") if self.codes else ("a category", "its space")

    @cached_property
    def is_categorical(self) -> bool:
        """Whether only some whole numbers may occur: categories, or codes."""
        return self.kind == "categories" or (self.codes > 0 and not self.has_other_numbers)

    @cached_property
    def max_nonzeros(self) -> int:
        """The most numbers that the networks see that are not 0."""
        if self.codes:
            return math.prod(self.shape)
        return len(self.sizes) if self.kind == "categories" else self.num_features

    @cached_property
    def is_picture(self) -> bool:
        """Whether it is a picture: an image so large that its numbers are brightness."""
        return self.kind == "image" and not self.codes and min(self.feature_shape[1:]) >= PICTURE_SIDE

    @cached_property
    def scale(self) -> float:
        """Factor that scales the numbers of a picture to between -1 and 1; 1 for other parts."""
        if not self.is_picture:
            return 1.0
        return 1 / (self._usual_divisor if self.divisor is None else self.divisor)

    @cached_property
    def is_unscaled(self) -> bool:
        """Whether the networks see numbers of any scale: no categories, codes, booleans or brightness."""
        return self.kind != "categories" and not self.codes and self.dtype != "bool" and not self.is_picture

    @cached_property
    def is_wide(self) -> bool:
        """Whether the dtype has numbers that float32 cannot hold: 64-bit numbers and 32-bit integers."""
        return (
            self.kind != "categories" and not self.codes and self._stored != np.float32 and self._stored.itemsize >= 4
        )

    @property
    def _usual_divisor(self) -> float:
        """Divisor of pictures in checkpoints of older versions, which did not read the bounds."""
        return 255 if self.dtype == "uint8" else 1

    @cached_property
    def _stored(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    @cached_property
    def _categories(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The lowest category of each entry, and the highest."""
        low = np.array(self.starts, np.int64).reshape(self.shape)
        return low, low + np.array(self.sizes, np.int64).reshape(self.shape) - 1

    def read(self, value: Any) -> npt.NDArray[Any]:
        """Convert an observation's value for this part to an array, and check it.

        Raises:
            ValueError: It is no array, or its shape, dtype, whole numbers or categories do not fit; the message
                continues the words "an observation".
        """
        where = at_path(self.path)
        try:
            array = as_array(value)
        except ValueError as error:
            raise ValueError(f"that is no array{where}: {error}") from error
        # Without this check NumPy would broadcast an array of shape (1,) or () over the whole row.
        if array.shape != self.shape:
            raise ValueError(f"of shape {array.shape}{where}; its space says {self.shape}")
        if not self.takes(array.dtype):
            raise ValueError(f"of dtype {array.dtype}{where}; its space says {self.dtype}")
        if beyond := self.beyond(array):
            raise ValueError(f"with {beyond[0]}{at_path((*self.path, *beyond[1]))}, outside {self.dtype}")
        if not self.contains(array):
            what, limits = self.misfit
            raise ValueError(f"with {what} outside {limits}{where}: {' '.join(str(array).split())}")
        return array

    def takes(self, dtype: np.dtype[Any]) -> bool:
        """Return whether numbers of another dtype may be stored here: floats only as floats, whole numbers always."""
        return dtype == self._stored or dtype.kind in ("biuf" if self._stored.kind == "f" else "biu")

    def beyond(self, array: npt.NDArray[Any]) -> tuple[Any, Path] | None:
        """Return the first whole number of an array that the stored dtype cannot hold, and its indices."""
        if array.dtype == self._stored or self._stored.kind == "f" or np.can_cast(array.dtype, self._stored):
            return None
        low, high = (0, 1) if self._stored.kind == "b" else _range_of(self.dtype)
        outside = (array < low) | (array > high)
        if not outside.any():
            return None
        place = tuple(map(int, np.argwhere(outside)[0]))
        return array[place], place

    def contains(self, array: npt.NDArray[Any]) -> bool:
        """Return whether all categories and codes in an array of shape [..., *shape] exist; true for numbers."""
        if not self.is_categorical:
            return True
        if self.codes:
            return bool(((array >= self.lowest) & (array < self.lowest + self.codes)).all())
        low, high = self._categories
        return bool(((array >= low) & (array <= high)).all())

    def __str__(self) -> str:
        if self.kind == "categories":
            numbers = [np.array(values, object).reshape(self.shape).tolist() for values in (self.sizes, self.starts)]
            name = "MultiDiscrete" if self.shape else "Discrete"
            return f"{name}({numbers[0]}{f', start={numbers[1]}' if any(self.starts) else ''})"
        words = f"Box({self.shape}, {self.dtype})"
        if self.is_picture:
            return f"{words} as a picture of numbers up to {1 / self.scale:g}"
        if self.codes:
            return f"{words} as codes, {self.code_bounds} one-hot{' and others as brightness' * self.has_other_numbers}"
        return f"{words} as an image" if self.kind == "image" else words


def as_array(value: Any) -> npt.NDArray[Any]:
    """Convert any value to an array, also a PyTorch tensor on any device or with a gradient.

    Raises:
        ValueError: It cannot be converted.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError("some of its entries are masked")
    try:
        return np.asarray(_on_the_cpu(value))
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{what}{' '.join(str(error).split())}") from error


def _on_the_cpu(value: Any) -> Any:
    """Convert a PyTorch tensor to a form that NumPy takes; return anything else unchanged."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


_READABLE = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)


def is_readable(space: gym.Space[Any]) -> bool:
    """Return whether :func:`read_part` can describe a part, so that networks can read it."""
    return isinstance(space, _READABLE)


def read_part(space: gym.Space[Any], path: Path, whole: gym.Space[Any]) -> ObservationPart:
    """Describe one part of an observation space.

    Args:
        space: The part.
        path: Its place in the whole.
        whole: The whole space, for the message.

    Raises:
        ConfigError: The part is not supported.
    """
    match space:
        case gym.spaces.MultiBinary():
            return ObservationPart(path, "box", space.shape, np.dtype(space.dtype).name)
        case StackedBox():
            frame = read_part(space.frame, path, whole)
            order = (0, *(axis + 1 for axis in frame.order)) if frame.order else ()
            return replace(frame, shape=space.shape, order=order)
        case gym.spaces.Box():
            # Wide floats keep their 64 bits until they are centred; integers and booleans keep their small dtypes.
            dtype = np.dtype(space.dtype)
            name = dtype.name if dtype.kind != "f" else "float32" if dtype.itemsize <= 4 else "float64"
            order = _image_order(space.shape, name)
            part = ObservationPart(path, "image" if order else "box", space.shape, name, order)
            if part.is_picture:
                return replace(part, divisor=_divisor(space, part))
            codes, lowest = _codes(space, bool(order))
            return replace(part, codes=codes, lowest=lowest)
        case gym.spaces.Discrete():
            return ObservationPart(path, "categories", (), "int64", (), (int(space.n),), (int(space.start),))
        case gym.spaces.MultiDiscrete():
            sizes, starts = space.nvec.flatten().tolist(), space.start.flatten().tolist()
            return ObservationPart(path, "categories", space.shape, "int64", (), tuple(sizes), tuple(starts))
        case gym.spaces.Text() | gym.spaces.Graph() | gym.spaces.Sequence():
            remedy = "wrap it so that it returns arrays of fixed shape, with a gymnasium.ObservationWrapper of yours"
        case _:
            remedy = "supported are Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
    where = f", at {describe_path(path)} of {whole}," if path else ""
    raise ConfigError(f"the observation space {space}{where} is not supported; {remedy}")


def _divisor(space: gym.spaces.Box, picture: ObservationPart) -> float | None:
    """Return the largest absolute value that a picture's bounds allow; None if it is the usual divisor."""
    bounds = [np.abs(bound.astype(np.float64)).max() for bound in (space.low, space.high)]
    largest = float(max(bounds))
    largest = largest if 1e-30 < largest < _BOUNDLESS else 1.0
    return None if largest == picture._usual_divisor else largest


def _codes(space: gym.spaces.Box, is_image: bool) -> tuple[int, int]:
    """Return how many values of a small grid of whole numbers are codes, and the lowest; (0, 0) if they are none.

    A grid has a height and a width, and perhaps channels. Its numbers are codes if their bounds allow few values. Bytes
    between 0 and 255 are also codes if they have channels, as the cells of MiniGrid: their bounds say nothing.
    """
    is_grid = (len(space.shape) == 3 and is_image) or (len(space.shape) == 2 and min(space.shape) >= _GRID_SIDE)
    if not is_grid or space.dtype.kind not in "iu" or math.prod(space.shape) > _CODES_AT_MOST:
        return 0, 0
    low, high = int(space.low.min()), int(space.high.max())
    if not are_numbers((low, -low)):
        return 0, 0
    if high - low + 1 in _CLOSED_CODES:
        return high - low + 1, low
    return (_OPEN_CODES, 0) if is_image and (space.dtype.name, low, high) == ("uint8", 0, 255) else (0, 0)


def _image_order(shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """Return the axes of an image in the order (frames, channels, height, width) without missing ones; else ().

    Three axes are an image with channels first or last. Four are a stack of such images. Two are an image without
    channels, if they are long enough for a picture.
    """
    match len(shape):
        case 2 if dtype == "uint8" and min(shape) >= PICTURE_SIDE:
            return (0, 1)
        case 3:
            order = (0, 1, 2) if _channels_come_first(shape) else (2, 0, 1)
            return order if min(shape[axis] for axis in order[1:]) >= _GRID_SIDE and 0 not in shape else ()
        case 4:
            inner = _image_order(shape[1:], dtype)
            return (0, *(axis + 1 for axis in inner)) if inner else ()
    return ()


def _channels_come_first(shape: tuple[int, ...]) -> bool:
    """Return whether the first of three axes is the channels: the others are equal, or it is shorter than the last."""
    first, middle, last = shape
    if (first == middle) != (middle == last):
        return middle == last
    return first < last


def _range_of(dtype: str) -> tuple[int, int]:
    found = np.iinfo(dtype)
    return found.min, found.max
