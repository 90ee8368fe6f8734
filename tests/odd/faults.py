"""Faults of an environment: exceptions of every class, and return values that break the contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


class Nameless(BaseException):
    """A BaseException that is not an Exception."""


class SpeechlessError(RuntimeError):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise ValueError("no text")


class UnpicklableError(RuntimeError):
    """An exception that cannot be sent through a pipe."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.callback = lambda: None

    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


CALLS = ["constructor", "reset", "step", "close", "mask", "space"]
"""Calls that may raise an exception."""


def exceptions() -> dict[str, BaseException]:
    """Return new exceptions of every class, by name."""
    return {
        "RuntimeError": RuntimeError("the simulator crashed"),
        "AssertionError without text": AssertionError(),
        "an error of two lines": RuntimeError("the simulator\ncrashed"),
        "KeyError": KeyError("velocity"),
        "AttributeError": AttributeError("no such thing"),
        "TypeError": TypeError("unsupported operand"),
        "ValueError": ValueError("not enough values to unpack"),
        "OSError": OSError(2, "No such file or directory", "level.json"),
        "BrokenPipeError": BrokenPipeError(32, "Broken pipe"),
        "EOFError": EOFError(),
        "StopIteration": StopIteration(),
        "MemoryError": MemoryError(),
        "RecursionError": RecursionError("maximum recursion depth exceeded"),
        "NotImplementedError": NotImplementedError(),
        "ImportError": ImportError("no module named board"),
        "TimeoutError": TimeoutError("no answer"),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "SystemExit": SystemExit(0),
        "GeneratorExit": GeneratorExit(),
        "a BaseException of its own": Nameless("over"),
        "an exception whose text raises": SpeechlessError(),
        "an exception that cannot be pickled": UnpicklableError("crashed"),
        "an ExceptionGroup": ExceptionGroup("several", [RuntimeError("one"), ValueError("two")]),
    }


EXCEPTIONS = list(exceptions())


@dataclass(frozen=True)
class Broken:
    """A return value that breaks the contract.

    Attributes:
        change: Makes it from the list of correct values of reset or step.
        calls: Calls that may return it.
        word: A word that the error message must contain.
    """

    change: Callable[[list[Any]], Any]
    calls: tuple[str, ...]
    word: str


def _change(place: int, value: Any, word: str) -> Broken:
    def change(returned: list[Any]) -> Any:
        returned[place] = value
        return tuple(returned)

    return Broken(change, ("step",), word)


def _observation(value: Any, word: str = "observation") -> Broken:
    def change(returned: list[Any]) -> Any:
        return (value, *returned[1:])

    return Broken(change, ("reset", "step"), word)


def _everywhere(change: Callable[[Any], Any]) -> Broken:
    """Change every array of numbers in an observation."""

    def inner(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner(part) for name, part in value.items()}
        if isinstance(value, tuple):
            return tuple(inner(part) for part in value)
        return change(value)

    return Broken(lambda returned: (inner(returned[0]), *returned[1:]), ("reset", "step"), "observation")


def _filled(number: float) -> Callable[[Any], Any]:
    return lambda value: np.full(np.shape(value), number, np.float64)


BROKEN: dict[str, Broken] = {
    "an observation of NaN": _everywhere(_filled(float("nan"))),
    "an infinite observation": _everywhere(_filled(float("inf"))),
    "whole numbers beyond their dtype": _everywhere(lambda value: np.full(np.shape(value), 2**40 + 300, np.int64)),
    "an observation of another shape": _everywhere(lambda value: np.stack([value, value])),
    "an observation of text": _observation("a board"),
    "no observation": _observation(None),
    "a reward of NaN": _change(1, float("nan"), "reward"),
    "an infinite reward": _change(1, float("-inf"), "reward"),
    "no reward": _change(1, None, "reward"),
    "a reward of text": _change(1, "1.0", "reward"),
    "two rewards": _change(1, np.ones(2), "reward"),
    "terminated of text": _change(2, "no", "terminated"),
    "no truncated": _change(3, None, "truncated"),
    "no info": _change(4, None, "info"),
    "four values from step": Broken(lambda returned: (*returned[:3], returned[4]), ("step",), "values"),
    "the observation alone from reset": Broken(lambda returned: returned[0], ("reset",), "reset"),
    "nothing": Broken(lambda returned: None, ("reset", "step"), "returned"),
    "a mask of nothing": Broken(
        lambda returned: (*returned[:-1], {"action_mask": np.zeros(2, np.bool_)}), ("reset",), "mask"
    ),
    "a mask that is too long": Broken(
        lambda returned: (*returned[:-1], {"action_mask": np.ones(97, np.bool_)}), ("reset",), "mask"
    ),
}
"""Return values that break the contract."""
