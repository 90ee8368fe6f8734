"""Dict and Tuple, nested to any depth, as a flat list of parts, each found by the path that leads to it."""

from collections.abc import Iterator
from typing import Any, TypeVar

import gymnasium as gym

from actor_critic.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys of Dicts (texts) and positions in Tuples (whole numbers), outermost first; empty for the whole."""

T = TypeVar("T")

_LONGEST = 300  # characters of a description


def parts_of(space: gym.Space[Any], path: Path = ()) -> Iterator[tuple[Path, gym.Space[Any]]]:
    """Every space inside a space that is neither Dict nor Tuple, in the space's own order.

    Raises:
        ConfigError: A key of a Dict is not a text or is empty, or a Dict or Tuple is empty.
    """
    if wrong := why_no_space(space):
        raise ConfigError(f"the space{f' at {describe(path)}' if path else ''} {wrong}")
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


def why_no_space(space: Any) -> str | None:
    """What something is instead of a space of Gymnasium, and the mend, to go on after its name; None if it is one."""
    if isinstance(space, gym.Space):
        return None
    if space is None:
        return "is None; set it to a space of gymnasium.spaces in __init__"
    if isinstance(space, type):
        return f"is the class {space.__module__}.{space.__qualname__}; expected an instance, such as Discrete(2)"
    name = f"{type(space).__module__}.{type(space).__qualname__}"
    if name.startswith("gym."):
        return (
            f"is of the older package gym ({name}), which is not Gymnasium; use gymnasium.spaces, or wrap the "
            f"environment with the package shimmy"
        )
    return f"is of the class {name}, which is no space of Gymnasium; use gymnasium.spaces"


def pick(whole: Any, path: Path) -> Any:
    """The part of a nested value that a path leads to.

    Raises:
        ValueError: There is nothing at the end of that path.
    """
    part = whole
    for key in path:
        try:
            part = part[key]
        except Exception as error:  # whatever a mapping of somebody's own raises
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


def describe_whole(parts: list[tuple[Path, str]]) -> str:
    """A nested space in Gymnasium's words, of the words for its parts; what is very long is cut."""
    text = _describe_whole(assemble(parts))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _describe_whole(whole: Any) -> str:
    match whole:
        case dict():
            return f"Dict({', '.join(f'{key!r}: {_describe_whole(inner)}' for key, inner in whole.items())})"
        case tuple():
            return f"Tuple({', '.join(map(_describe_whole, whole))})"
    return str(whole)
