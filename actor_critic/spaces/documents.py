"""The parts of a space as a JSON document. It is read strictly, since it decides how much memory is allocated."""

import math
from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from actor_critic.spaces.nesting import Path, assemble, pick

ADDED = {"added": True}
"""Metadata of a field that older documents lack. A missing field has its default, and a default is not written."""

_MAX_DEPTH = 32
_MAX_POSITIONS = 1 << 20  # of all tuples together, with those that have no part
_MAX = 1 << 62


class Part(Protocol):
    """A part of an observation space or an action space."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def path(self) -> Path:
        """Its place in the space."""

    def check(self) -> None:
        """Check that its fields agree.

        Raises:
            ValueError: The fields contradict each other.
        """


T = TypeVar("T", bound=Part)


def write_parts(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the document that :func:`read_parts` reads back."""
    return [
        {
            field.name: value
            for field in fields(part)
            if (value := getattr(part, field.name)) != field.default or not field.metadata.get("added")
        }
        for part in parts
    ]


def read_parts(document: Any, make: type[T]) -> tuple[T, ...]:
    """Read the parts of a space.

    Args:
        document: The content of a file.
        make: The class of the parts.

    Raises:
        ValueError: The document is not a space.
    """
    if not isinstance(document, list) or not document or not all(isinstance(part, dict) for part in document):
        raise ValueError("a space is no list of parts")
    known = {field.name for field in fields(make)}
    needed = {field.name for field in fields(make) if not field.metadata.get("added")}
    if not all(needed <= part.keys() <= known for part in document):
        raise ValueError("a space has a part that lacks a field, or has one too many")
    parts = tuple(make(**{name: _with_tuple(value) for name, value in part.items()}) for part in document)
    for part in parts:
        part.check()
        if not isinstance(part.path, tuple) or len(part.path) > _MAX_DEPTH:
            raise ValueError("a space has a part with a wrong path")
        if not all(isinstance(key, str) or (type(key) is int and key >= 0) for key in part.path):
            raise ValueError("a space has a part with a wrong path")
    if _count_positions(parts) > _MAX_POSITIONS:
        raise ValueError("a space has a part with a wrong path")
    try:
        whole = assemble([(part.path, part) for part in parts])
        is_sound = all(pick(whole, part.path) is part for part in parts)
    except (LookupError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise ValueError("a space has parts whose paths contradict each other")
    return parts


def _count_positions(parts: Sequence[Part]) -> int:
    """Return the sum of the lengths of all tuples."""
    lengths: dict[Path, int] = {}
    for part in parts:
        for depth, key in enumerate(part.path):
            if isinstance(key, int):
                lengths[part.path[:depth]] = max(key + 1, lengths.get(part.path[:depth], 0))
    return sum(lengths.values())


def are_numbers(value: Any, low: int = -_MAX) -> bool:
    """Return whether something is a tuple of whole numbers of at least ``low``."""
    return isinstance(value, tuple) and all(type(number) is int and low <= number < _MAX for number in value)


def are_choices(shape: Any, sizes: Any, starts: Any) -> bool:
    """Return whether shape, sizes and starts describe an array of choices (``sizes[i]`` from ``starts[i]`` on)."""
    if not (are_numbers(shape, 0) and are_numbers(sizes, 1) and are_numbers(starts)):
        return False
    return len(sizes) == len(starts) == math.prod(shape)


def _with_tuple(value: Any) -> Any:
    """Convert a JSON list to a tuple."""
    return tuple(value) if isinstance(value, list) else value
