"""Parts of observations that the networks do not see: no network reads them, or the settings do not choose them."""

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector.utils import batch_space

from actor_critic.errors import ConfigError
from actor_critic.spaces.nesting import Path, parts_of, shortened
from actor_critic.spaces.observation_part import is_readable

NOT_CHOSEN = "not among observation_keys"
"""The reason of a part that the settings do not choose."""


class LeftOut(gym.Space[Any]):
    """The place of a part that the networks do not see. The environment may return anything there.

    Attributes:
        reason: Why the networks do not see it.
    """

    def __init__(self, reason: str) -> None:
        """Leave out a part for a reason."""
        super().__init__()
        self.reason = reason

    def sample(self, mask: Any = None, probability: Any = None) -> None:
        """Return None."""

    def contains(self, x: Any) -> bool:
        """Return True: nothing is expected here."""
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeftOut) and other.reason == self.reason

    def __hash__(self) -> int:
        return hash(self.reason)

    def __repr__(self) -> str:
        return f"LeftOut({self.reason!r})"


@batch_space.register(LeftOut)
def _batch_left_out(space: LeftOut, n: int = 1) -> LeftOut:
    return space


def leave_out(environment: str, space: gym.Space[Any], keys: Sequence[str]) -> gym.Space[Any]:
    """Return an observation space in which :class:`LeftOut` replaces the parts that the networks do not see.

    Args:
        environment: Its name for error messages.
        space: The observation space.
        keys: Names of the parts to keep (:func:`name_of`), each for the part itself or for all parts inside; an empty
            sequence keeps every part that a network reads.

    Returns:
        The space; unchanged if nothing is left out, or if it is refused where it is read.

    Raises:
        ConfigError: A key names no part that a network reads.
    """
    try:
        parts = list(parts_of(space))
    except ConfigError:
        return space
    readable = [path for path, part in parts if is_readable(part)]
    if not readable:
        return space
    if keys:
        _check_keys(environment, space, parts, keys)
    elif len(readable) == len(parts):
        return space
    return _leave_out(space, (), frozenset(keys))


def left_out(space: gym.Space[Any]) -> list[tuple[str, str]]:
    """Return the name of each part of an observation space that the networks do not see, and the reason."""
    return [(name_of(path), _reason(part)) for path, part in parts_of(space) if not is_readable(part)]


def name_of(path: Path) -> str:
    """Return the name of a part in the settings: keys and positions, joined by dots."""
    return ".".join(map(str, path))


def _leave_out(space: gym.Space[Any], path: Path, keys: frozenset[str]) -> gym.Space[Any]:
    match space:
        case gym.spaces.Dict():
            inside = [(key, _leave_out(inner, (*path, key), keys)) for key, inner in space.spaces.items()]
            return gym.spaces.Dict(inside)
        case gym.spaces.Tuple():
            return gym.spaces.Tuple([_leave_out(inner, (*path, i), keys) for i, inner in enumerate(space.spaces)])
    if not is_readable(space):
        return LeftOut(_reason(space))
    if keys and keys.isdisjoint(_names_along(path)):
        return LeftOut(NOT_CHOSEN)
    return space


def _check_keys(
    environment: str, space: gym.Space[Any], parts: list[tuple[Path, gym.Space[Any]]], keys: Sequence[str]
) -> None:
    if parts[0][0] == ():
        raise ConfigError(
            f"observation_keys: {shortened(str(list(keys)))}: the observations of {environment} have no parts, they "
            f"are {space}; leave it out"
        )
    for key in keys:
        named = [part for path, part in parts if key in _names_along(path)]
        if any(map(is_readable, named)):
            continue
        wrong = (
            f"cannot be chosen ({_reason(named[0])})" if named else f"is no part of the observations of {environment}"
        )
        allowed = shortened(", ".join(repr(name_of(path)) for path, part in parts if is_readable(part)))
        raise ConfigError(f"observation_keys: {shortened(repr(key))} {wrong}; expected some of {allowed}")


def _names_along(path: Path) -> Iterator[str]:
    """Yield the names of a part and of the Dicts and Tuples around it."""
    return (name_of(path[:end]) for end in range(1, len(path) + 1))


def _reason(part: gym.Space[Any]) -> str:
    return part.reason if isinstance(part, LeftOut) else f"{type(part).__name__}, which no network reads"
