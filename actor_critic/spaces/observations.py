"""An observation space of any make, as one array per observation."""

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
from actor_critic.spaces.documents import ADDED, are_choices, are_numbers, read_parts, write_parts
from actor_critic.spaces.nesting import Path, assemble, describe, describe_whole, parts_of, pick
from actor_critic.spaces.stacked import StackedBox

PICTURE_SIDE = 36
"""From this side on (the least that the Nature CNN takes) an image is a picture: numbers in it are brightness, as large
as its bounds allow. In a smaller one, a grid, they may as well be codes of what stands in a cell."""

_GRID_SIDE = 3  # what the small CNN's filter covers
_MAX_AXES = 32
_BOUNDLESS = 2.0**31 - 1  # a bound of this size, or a larger one, says nothing about brightness
_NUMBERS = ("float32", "float64", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


@dataclass(frozen=True)
class ObservationPart:
    """One array of an observation: the whole of it, or a part of a Dict or Tuple.

    Attributes:
        path: Where it stands in the observation; empty for the whole.
        kind: "box" (numbers, used as they are), "image" (numbers with height, width and channels) or "categories"
            (integers, each one-hot encoded).
        shape: As an array.
        dtype: NumPy name of the dtype it is stored with.
        order: For an image, its axes in the order (frames if stacked, channels, height, width).
        sizes: Categories of each entry in row-major order.
        starts: The lowest category of each entry.
        divisor: What a picture's numbers are divided by, where that is not 255 for bytes and 1 for all else.
    """

    path: Path
    kind: Literal["box", "image", "categories"]
    shape: tuple[int, ...]
    dtype: str
    order: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    divisor: float | None = field(default=None, metadata=ADDED)

    def check(self) -> None:
        """Make sure that the fields agree.

        Raises:
            ValueError: They do not.
        """
        is_sound = False
        match self.kind:
            case "box":
                is_sound = self.dtype in _NUMBERS and are_numbers(self.shape, 0) and not self.order
            case "image":
                is_sound = self.dtype in _NUMBERS and are_numbers(self.shape, 1) and are_numbers(self.order)
                is_sound = is_sound and sorted(self.order) == list(range(len(self.shape))) and len(self.order) > 1
                is_sound = is_sound and min(self.feature_shape[1:]) >= _GRID_SIDE
            case "categories":
                is_sound = self.dtype == "int64" and are_choices(self.shape, self.sizes, self.starts)
        if self.divisor is not None:
            is_sound = is_sound and self.kind == "image" and type(self.divisor) in (int, float)
            is_sound = is_sound and 1e-30 < self.divisor < _BOUNDLESS
        if not is_sound or len(self.shape) > _MAX_AXES:
            raise ValueError("an observation space has a part that is wrong")

    @cached_property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of what the networks see: of a box its own, of an image (C, H, W), of categories (Σ sizes,)."""
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
    def is_picture(self) -> bool:
        """Whether it is an image so large that its numbers are brightness."""
        return self.kind == "image" and min(self.feature_shape[1:]) >= PICTURE_SIDE

    @cached_property
    def scale(self) -> float:
        """What numbers are multiplied with: those of pictures come between -1 and 1."""
        if not self.is_picture:
            return 1.0
        return 1 / (self._usual_divisor if self.divisor is None else self.divisor)

    @cached_property
    def is_wide(self) -> bool:
        """Whether there are numbers that 32-bit floats cannot hold: 64-bit ones, and whole numbers of 32 bits."""
        return self.kind != "categories" and self._stored != np.float32 and self._stored.itemsize >= 4

    @property
    def _usual_divisor(self) -> float:
        """What pictures were divided by before their bounds were looked at."""
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
        """An observation's value for this part, as an array.

        Raises:
            ValueError: It is no array, or its shape, dtype, whole numbers or categories do not fit; the message goes on
                after "an observation".
        """
        where = _at(self.path)
        try:
            array = as_array(value)
        except ValueError as error:
            raise ValueError(f"that is no array{where}: {error}") from error
        # Without this one of shape (1,) or () would be spread over the whole row in silence.
        if array.shape != self.shape:
            raise ValueError(f"of shape {array.shape}{where}; its space says {self.shape}")
        if not self.takes(array.dtype):
            raise ValueError(f"of dtype {array.dtype}{where}; its space says {self.dtype}")
        if beyond := self.beyond(array):
            raise ValueError(f"with {beyond[0]}{_at((*self.path, *beyond[1]))}, outside {self.dtype}")
        if not self.contains(array):
            raise ValueError(f"with a category outside its space{where}: {array}")
        return array

    def takes(self, dtype: np.dtype[Any]) -> bool:
        """Whether numbers of another dtype may be stored here: whole ones anywhere, fractions only among fractions."""
        return dtype == self._stored or dtype.kind in ("biuf" if self._stored.kind == "f" else "biu")

    def beyond(self, array: npt.NDArray[Any]) -> tuple[Any, Path] | None:
        """The first whole number of an array that would become another one when it is stored, and its indices."""
        if array.dtype == self._stored or self._stored.kind == "f" or np.can_cast(array.dtype, self._stored):
            return None
        low, high = (0, 1) if self._stored.kind == "b" else _range_of(self.dtype)
        outside = (array < low) | (array > high)
        if not outside.any():
            return None
        place = tuple(map(int, np.argwhere(outside)[0]))
        return array[place], place

    def contains(self, array: npt.NDArray[Any]) -> bool:
        """Whether all categories in an array of shape [..., *shape] are there; true for numbers."""
        if self.kind != "categories":
            return True
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
        return f"{words} as an image" if self.kind == "image" else words


@dataclass(frozen=True)
class ObservationSpec:
    """An observation space as one NumPy array per observation.

    Where the space is a Dict or Tuple, that array is structured: ``observations["image"]`` is the part's own array, and
    what stands in a Tuple has its position for a name (``observations["0"]``).
    """

    parts: tuple[ObservationPart, ...]

    @classmethod
    def from_space(cls, space: gym.Space[Any]) -> "ObservationSpec":
        """Describe a Gymnasium observation space.

        Raises:
            ConfigError: The space is not one this package can read.
        """
        return cls(tuple(_read(part, path, space) for path, part in parts_of(space)))

    @cached_property
    def is_nested(self) -> bool:
        """Whether an observation is a dict or tuple."""
        return self.parts[0].path != ()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one observation as an array; () for a structured one."""
        return () if self.is_nested else self.parts[0].shape

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of observations as arrays."""
        if not self.is_nested:
            return np.dtype(self.parts[0].dtype)
        whole = assemble([(part.path, np.dtype((part.dtype, part.shape))) for part in self.parts])
        return _structured(whole)

    @cached_property
    def num_features(self) -> int:
        """Numbers that the networks see per observation."""
        return sum(part.num_features for part in self.parts)

    @cached_property
    def has_images(self) -> bool:
        """Whether there is an image in an observation."""
        return any(part.kind == "image" for part in self.parts)

    @cached_property
    def is_plain(self) -> bool:
        """Whether an observation is what the networks see: one vector of 32-bit numbers."""
        first = self.parts[0]
        return (self.is_nested, first.kind, first.dtype, len(first.shape)) == (False, "box", "float32", 1)

    @cached_property
    def is_wide(self) -> bool:
        """Whether there are numbers in an observation that 32-bit floats cannot hold."""
        return any(part.is_wide for part in self.parts)

    def views(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Each part's array [..., *part.shape] within observations [..., *shape]; they share their memory."""
        return [pick(observations, tuple(map(str, part.path))) for part in self.parts]

    def floats(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The parts that are no whole numbers, in 32 bits: what is too large for these is infinite there."""
        if self.is_plain:
            return [observations]
        with np.errstate(over="ignore"):
            views = [view for view in self.views(observations) if view.dtype.kind == "f"]
            return [view.astype(np.float32, copy=False) for view in views]

    def read(self, observation: Any) -> list[npt.NDArray[Any]]:
        """The arrays of one observation as an environment returns it.

        Raises:
            ValueError: Something does not fit the space; the message goes on after "an observation".
        """
        return [part.read(pick(observation, part.path)) for part in self.parts]

    def write(self, observation: Any, views: list[npt.NDArray[Any]], row: int) -> None:
        """Put one observation as an environment returns it into a row of arrays, as :meth:`views` gives them.

        Raises:
            ValueError: Something does not fit the space; the message goes on after "an observation".
        """
        if not self.is_nested:
            views[0][row] = self.parts[0].read(observation)
            return
        for view, value in zip(views, self.read(observation), strict=True):
            view[row] = value

    def as_batch(self, observation: Any) -> tuple[npt.NDArray[Any], bool]:
        """A batch of one or more observations, as an array of its own.

        Args:
            observation: One observation as the environment gives it, or a batch of them: an array [B, *shape], or a
                dict or tuple of such arrays.

        Returns:
            The batch, and whether a single observation was given.

        Raises:
            ValueError: Its shape, dtype, whole numbers or categories do not fit.
        """
        if isinstance(observation, np.ndarray) and observation.dtype == self.dtype and self.is_nested:
            given = self.views(observation)
        else:
            given = []
            for part in self.parts:
                try:
                    given.append(as_array(pick(observation, part.path)))
                except ValueError as error:
                    raise ValueError(f"observation: {error}") from error
        first = self.parts[0]
        is_single = given[0].shape == first.shape
        count = 1 if is_single or given[0].ndim == 0 else len(given[0])
        batch = np.zeros((count, *self.shape), self.dtype)
        for part, array, view in zip(self.parts, given, self.views(batch), strict=True):
            name = f"observation{describe(part.path)}"
            expected = part.shape if is_single else (count, *part.shape)
            if array.shape != expected:
                either = f"{part.shape}, or a batch ({', '.join(map(str, ('B', *part.shape)))})"
                raise ValueError(
                    f"{name}: shape {array.shape} does not fit; expected {either if part is first else expected}"
                )
            if not part.takes(array.dtype):
                raise ValueError(f"{name}: dtype {array.dtype} does not fit; expected {part.dtype}")
            if beyond := part.beyond(array):
                raise ValueError(f"{name}: {beyond[0]}{_at(beyond[1])} is outside {part.dtype}")
            if not part.contains(array):
                raise ValueError(f"{name}: a category is outside its space")
            view[:] = array
        return batch, is_single

    def to_document(self) -> list[dict[str, Any]]:
        """A JSON document that :meth:`from_document` reads back."""
        return write_parts(self.parts)

    def __str__(self) -> str:
        return describe_whole([(part.path, str(part)) for part in self.parts])

    @classmethod
    def from_document(cls, document: list[dict[str, Any]]) -> "ObservationSpec":
        """Read what :meth:`to_document` wrote.

        Raises:
            ValueError: It is no such space.
        """
        return cls(read_parts(document, ObservationPart))


def as_array(value: Any) -> npt.NDArray[Any]:
    """Any value as an array; a PyTorch tensor of any device, and one that wants a gradient, too.

    Raises:
        ValueError: It is none.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError("some of its entries are masked")
    try:
        return np.asarray(_on_the_cpu(value))
    except Interrupted:
        raise
    except BaseException as error:  # whatever an array of somebody's own raises
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{what}{' '.join(str(error).split())}") from error


def _on_the_cpu(value: Any) -> Any:
    """A PyTorch tensor in a form that NumPy takes; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _at(path: Path) -> str:
    return f" at {describe(path)}" if path else ""


def _range_of(dtype: str) -> tuple[int, int]:
    found = np.iinfo(dtype)
    return found.min, found.max


def _structured(whole: Any) -> np.dtype[Any]:
    """The dtype of a nested value whose leaves are dtypes. Aligned, so that PyTorch can share each part's memory."""
    if isinstance(whole, np.dtype):
        return whole
    items = whole.items() if isinstance(whole, dict) else enumerate(whole)
    return np.dtype([(str(key), _structured(inner)) for key, inner in items], align=True)


def _read(space: gym.Space[Any], path: Path, whole: gym.Space[Any]) -> ObservationPart:
    match space:
        case gym.spaces.MultiBinary():
            return ObservationPart(path, "box", space.shape, np.dtype(space.dtype).name)
        case StackedBox():
            frame = _read(space.frame, path, whole)
            order = (0, *(axis + 1 for axis in frame.order)) if frame.order else ()
            return replace(frame, shape=space.shape, order=order)
        case gym.spaces.Box():
            # Floats of more than 32 bits are kept until they are centred; integers and booleans are kept small.
            dtype = np.dtype(space.dtype)
            name = dtype.name if dtype.kind != "f" else "float32" if dtype.itemsize <= 4 else "float64"
            order = _image_order(space.shape, name)
            part = ObservationPart(path, "image" if order else "box", space.shape, name, order)
            return replace(part, divisor=_divisor(space, part)) if part.is_picture else part
        case gym.spaces.Discrete():
            return ObservationPart(path, "categories", (), "int64", (), (int(space.n),), (int(space.start),))
        case gym.spaces.MultiDiscrete():
            sizes, starts = space.nvec.flatten().tolist(), space.start.flatten().tolist()
            return ObservationPart(path, "categories", space.shape, "int64", (), tuple(sizes), tuple(starts))
        case gym.spaces.Text() if path:
            mend = (
                'drop it with a wrapper: "gymnasium.wrappers:FilterObservation" keeps the named entries of a Dict, and '
                'a package may have one of its own, such as "minigrid.wrappers:ImgObsWrapper"'
            )
        case gym.spaces.Text() | gym.spaces.Graph() | gym.spaces.Sequence():
            mend = "wrap it so that it returns arrays of fixed shape, with a gymnasium.ObservationWrapper of yours"
        case _:
            mend = "supported are Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
    where = f", at {describe(path)} of {whole}," if path else ""
    raise ConfigError(f"the observation space {space}{where} is not supported; {mend}")


def _divisor(space: gym.spaces.Box, picture: ObservationPart) -> float | None:
    """The largest size that a picture's bounds allow; None where it is the usual one."""
    bounds = [np.abs(bound.astype(np.float64)).max() for bound in (space.low, space.high)]
    largest = float(max(bounds))
    largest = largest if 1e-30 < largest < _BOUNDLESS else 1.0
    return None if largest == picture._usual_divisor else largest


def _image_order(shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """The axes of an image as (frames, channels, height, width), as far as it has them; empty where it is none.

    Three axes are an image with its channels first or last, four a stack of them, and two one without channels if they
    are long enough for a picture.
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
    """Whether the first of three axes is that of the channels: the others are a square, or it is the shorter one."""
    first, middle, last = shape
    if (first == middle) != (middle == last):
        return middle == last
    return first < last
