"""Nested Dict and Tuple spaces as a flat list of parts, each with its path."""

from collections.abc import Iterator
from typing import Any, TypeVar

import gymnasium as gym

from actor_critic.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys of Dicts (texts) and positions in Tuples (whole numbers), outermost first; empty for the whole."""

T = TypeVar("T")

_LONGEST = 300  # characters of a description


def parts_of(space: gym.Space[Any], path: Path = ()) -> Iterator[tuple[Path, gym.Space[Any]]]:
    """Yield every space inside a space that is neither Dict nor Tuple, in the space's own order, with its path.

    Raises:
        ConfigError: A key of a Dict is not a text or is empty, or a Dict or Tuple is empty.
    """
    if wrong := why_no_space(space):
        raise ConfigError(f"the space{at_path(path)} {wrong}")
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
    """Describe why a value is not a Gymnasium space, and the remedy, without a subject; return None if it is one."""
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
    """Return the part of a nested value at a path.

    Raises:
        ValueError: There is nothing at that path.
    """
    part = whole
    for key in path:
        try:
            part = part[key]
        except Exception as error:  # user code may raise anything
            raise ValueError(f"has nothing at {describe_path(path)}") from error
    return part


def assemble(parts: list[tuple[Path, T]]) -> Any:
    """Build the nested value of parts, which :func:`pick` takes apart: dicts for texts, tuples for positions.

    A position of a tuple without a part is None.
    """
    if parts[0][0] == ():
        return parts[0][1]
    groups: dict[str | int, list[tuple[Path, T]]] = {}
    for path, part in parts:
        groups.setdefault(path[0], []).append((path[1:], part))
    inner = {key: assemble(group) for key, group in groups.items()}
    if isinstance(parts[0][0][0], int):
        return tuple(inner.get(position) for position in range(1 + max(map(int, inner))))
    return inner


def describe_path(path: Path) -> str:
    """Format a path for a message: ["image"][0]."""
    return "".join(f'["{key}"]' if isinstance(key, str) else f"[{key}]" for key in path)


def at_path(path: Path) -> str:
    """Return the words " at" and a path; an empty text for the whole."""
    return f" at {describe_path(path)}" if path else ""


def describe_space(parts: list[tuple[Path, str]]) -> str:
    """Describe a nested space in Gymnasium's form, from descriptions of its parts; a very long text is cut."""
    return shortened(_describe_space(assemble(parts)))


def shortened(text: str) -> str:
    """Cut a very long text."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _describe_space(whole: Any) -> str:
    match whole:
        case dict():
            return f"Dict({', '.join(f'{key!r}: {_describe_space(inner)}' for key, inner in whole.items())})"
        case tuple():
            return f"Tuple({', '.join(map(_describe_space, whole))})"
    return "left out" if whole is None else str(whole)
