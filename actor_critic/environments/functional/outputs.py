"""What the function ``observation`` writes: an array, or a record with a field for each part of a Dict or Tuple."""

import keyword
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks.reading import KEY
from actor_critic.errors import ConfigError
from actor_critic.spaces import NUMBERS, ObservationSpec, Path, assemble, describe_path, is_readable, parts_of

_EXPECTED = "expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these"


def check_observations(name: str, space: Any) -> None:
    """Check that functions can write the observations of a space.

    Args:
        name: The name of the environment, for messages.
        space: Its observation space.

    Raises:
        ConfigError: They cannot.
    """
    where = f"environment: {name}.observation_space"
    if not (is_readable(space) or isinstance(space, gym.spaces.Dict | gym.spaces.Tuple)):
        raise ConfigError(f"{where} is {space}; {_EXPECTED}")
    try:
        parts = list(parts_of(space))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}; {_EXPECTED}") from None
    for path, part in parts:
        at = f"{where}{describe_path(path)}"
        if KEY in path:
            raise ConfigError(f"{at} would be the mask; leave it out, and define the function {KEY}")
        if not is_readable(part):
            raise ConfigError(
                f"{at} is a {type(part).__name__}, which functions cannot write; leave it out, or use a Box of numbers"
            )
        dtype = np.dtype(part.dtype)
        if dtype.name not in NUMBERS:
            raise ConfigError(
                f"{at} has the dtype {dtype}; expected bool, integers, float32 or float64; use dtype=np.float32"
            )
        if path and dtype == np.bool_ and part.shape:
            raise ConfigError(
                f"{at} is an array of bool, which compiled code cannot have in a Dict or Tuple; use MultiBinary, or "
                f"np.uint8 with the bounds 0 and 1"
            )


def make_outs(spec: ObservationSpec, count: int) -> npt.NDArray[Any]:
    """Return ``count`` arrays of zeros for observations, as functions write them.

    A part of a Dict is an attribute of a record. The array of a Discrete space has one entry.
    """
    if spec.is_nested:
        return np.zeros(count, spec.dtype).view(np.recarray)
    return np.zeros((count, *out_shape(spec)), spec.dtype)


def out_shape(spec: ObservationSpec) -> tuple[int, ...]:
    """Return the shape of what functions write an observation into; () for a record."""
    return () if spec.is_nested else spec.shape or (1,)


def as_returned(out: Any, spec: ObservationSpec, dtypes: tuple[np.dtype[Any], ...]) -> Any:
    """Return the observation in ``out`` as an environment of Gymnasium returns it.

    Args:
        out: What a function wrote.
        spec: The space.
        dtypes: The dtype of each part in the space.

    Returns:
        A new array, or a dict or tuple of such arrays; a Discrete part is an integer.
    """
    views = spec.views(out) if spec.is_nested else [out.reshape(spec.shape)]
    values: list[tuple[Path, Any]] = []
    for part, view, dtype in zip(spec.parts, views, dtypes, strict=True):
        array = np.array(view, dtype)
        values.append((part.path, array[()] if part.kind == "categories" and not part.shape else array))
    return assemble(values)


def written_as(path: Path) -> str:
    """Return how functions name a part of ``out``: "out.image", "out[0]", or "out["my key"]"."""
    return "out" + "".join(_accessed(key) for key in path)


def _accessed(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    is_name = key.isidentifier() and not keyword.iskeyword(key) and not hasattr(np.record, key)
    return f".{key}" if is_name else f'["{key}"]'


def place_in(dtype: np.dtype[Any], path: Path) -> tuple[int, int]:
    """Return where the bytes of a part begin and end in a record."""
    begin = 0
    for key in path:
        assert dtype.fields is not None
        dtype, start = dtype.fields[str(key)][:2]
        begin += start
    return begin, begin + dtype.itemsize
