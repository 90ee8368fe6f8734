"""Dict and Tuple, nested to any depth, as a flat list of parts, each found by the path that leads to it."""

from collections.abc import Iterator
from typing import Any, TypeVar

import gymnasium as gym

from actor_critic.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys of Dicts (texts) and positions in Tuples (whole numbers), outermost first; empty for the whole."""

T = TypeVar("T")


def parts_of(space: gym.Space[Any], path: Path = ()) -> Iterator[tuple[Path, gym.Space[Any]]]:
    """Every space inside a space that is neither Dict nor Tuple, in the space's own order.

    Raises:
        ConfigError: A key of a Dict is not a text or is empty, or a Dict or Tuple is empty.
    """
    match space:
        case gym.spaces.Dict() | gym.spaces.Tuple() if not len(space.spaces):
            raise ConfigError(f"the space {space} is empty; expected at least one part")
        case gym.spaces.Dict():
            for key, inner in space.spaces.items():
                if not isinstance(key, str):
                    raise ConfigError(f"the space {space} has the key {key!r}; expected keys that are texts")
                if not key:
                    raise ConfigError(f"the space {space} has an empty key; expected keys of at least one character")
                yield from parts_of(inner, (*path, key))
        case gym.spaces.Tuple():
            for position, inner in enumerate(space.spaces):
                yield from parts_of(inner, (*path, position))
        case _:
            yield path, space


def pick(whole: Any, path: Path) -> Any:
    """The part of a nested value that a path leads to.

    Raises:
        ValueError: There is nothing at the end of that path.
    """
    part = whole
    for key in path:
        try:
            part = part[key]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"has nothing at {describe(path)}") from error
    return part


def assemble(parts: list[tuple[Path, T]]) -> Any:
    """The nested value that :func:`pick` takes apart: dicts for texts, tuples for positions."""
    if parts[0][0] == ():
        return parts[0][1]
    groups: dict[str | int, list[tuple[Path, T]]] = {}
    for path, part in parts:
        groups.setdefault(path[0], []).append((path[1:], part))
    inner = {key: assemble(group) for key, group in groups.items()}
    return tuple(inner.values()) if isinstance(parts[0][0][0], int) else inner


def describe(path: Path) -> str:
    """A path for a person to read: ["image"][0]."""
    return "".join(f'["{key}"]' if isinstance(key, str) else f"[{key}]" for key in path)
