"""Forms of the values that an environment returns. All mean the same as the plain form, which comes first."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.odd.problems import Node, leaves_of, sizes_of, value_of

Values = list[Any]


class Marked(np.ndarray):
    """A subclass of ndarray, as in libraries for units and metadata."""


class _Reused:
    """Returns the same arrays in every step, and overwrites them."""

    def __init__(self) -> None:
        self._shown: Values = []

    def __call__(self, values: Values) -> Values:
        if not self._shown:
            self._shown = [np.array(value) for value in values]
        for shown, value in zip(self._shown, values, strict=True):
            shown[...] = value
        return self._shown


def _read_only(values: Values) -> Values:
    arrays = [np.array(value) for value in values]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _wider(value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value)
    return array.astype({"f": np.float64, "b": np.bool_}.get(array.dtype.kind, np.int64))


def _strided(value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value)
    return np.stack([array, array], -1)[..., 0] if array.ndim else array


def _each(change: Callable[[Any], Any]) -> Callable[[], Callable[[Values], Values]]:
    return lambda: lambda values: [change(value) for value in values]


RETURNS: dict[str, Callable[[], Callable[[Values], Values]]] = {
    "arrays of the space's dtype": _each(lambda value: value),
    "Python numbers and lists": _each(lambda value: np.asarray(value).tolist()),
    "0-d arrays in the place of numbers": _each(np.asarray),
    "torch tensors": _each(lambda value: torch.from_numpy(np.array(value))),
    "a subclass of ndarray": _each(lambda value: np.array(value).view(Marked)),
    "the same array in every step": _Reused,
    "arrays that are read-only": lambda: _read_only,
    "arrays of a wider dtype": _each(_wider),
    "arrays that are not contiguous": _each(_strided),
}
"""Types of an observation's parts."""

REWARDS: dict[str, Callable[[float], Any]] = {
    "a float": float,
    "an int": int,
    "a bool": bool,
    "a NumPy float32": np.float32,
    "a NumPy float16": np.float16,
    "a 0-d array": np.array,
    "an array of one": lambda reward: np.array([reward]),
    "a torch tensor": torch.tensor,
}
"""Types of a reward."""

FLAGS: dict[str, Callable[[bool], Any]] = {
    "bool": bool,
    "a NumPy bool": np.bool_,
    "an int": int,
    "a 0-d array": np.array,
    "a torch tensor": torch.tensor,
}
"""Types of terminated and truncated."""

Mask = npt.NDArray[np.bool_]


def _apart(mask: Mask, sizes: list[int]) -> list[Mask]:
    return np.split(mask, np.cumsum(sizes)[:-1])


def _in_parts(mask: Mask, sizes: list[int], action: Node) -> Any:
    """Convert a mask to a dict or tuple like the action's."""
    counts = [sum(sizes_of({type(part).__name__: vars(part)})) for part in leaves_of(action)]
    return value_of(action, iter(np.split(mask, np.cumsum(counts)[:-1])))


MASK_FORMS: dict[str, tuple[Callable[[Mask, list[int], Node], Any], Any]] = {
    "an array of bool": (lambda mask, sizes, action: mask.copy(), np.bool_),
    "an array of int8": (lambda mask, sizes, action: mask.astype(np.int8), np.int8),
    "an array of float32": (lambda mask, sizes, action: mask.astype(np.float32), np.float32),
    "a list": (lambda mask, sizes, action: mask.tolist(), None),
    "a torch tensor": (lambda mask, sizes, action: torch.from_numpy(mask.copy()), None),
    "a tuple of one array for each choice": (lambda mask, sizes, action: tuple(_apart(mask, sizes)), None),
    "a dict or tuple like the action": (_in_parts, None),
}
"""Types of a mask, and the dtype of its space in an observation; None if the mask is not an array."""
