"""Action masks, whichever way an environment gives them: all become ``info["action_mask"]``."""

import functools
import inspect
import logging
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.errors import describe as describe_error
from actor_critic.process import Interrupted
from actor_critic.spaces import ActionSpec, Path, describe, parts_of, pick

log = logging.getLogger("actor_critic")

KEY = "action_mask"
ATTRIBUTE = "action_masks"

# What masks are called elsewhere; such a name is told of, since a mask that is overlooked would be missed.
_OTHER_NAMES = frozenset(
    {KEY, ATTRIBUTE, "valid_action_mask", "legal_action_mask", "available_actions", "legal_actions", "valid_actions"}
)


def with_masks_in_info(env: gym.Env[Any, Any], bare: gym.Env[Any, Any] | None = None) -> gym.Env[Any, Any]:
    """Make an environment give its masks in ``info["action_mask"]``.

    Three conventions are known: that one itself (Gymnasium), an ``"action_mask"`` key of a Dict observation
    (PettingZoo, RLlib), which is taken out of the observation, and ``action_masks`` (sb3-contrib), a method, a property
    or an attribute.

    Args:
        env: The environment.
        bare: What it was before the wrappers around it; its own masks are given beneath them already.

    Raises:
        ConfigError: An ``"action_mask"`` lies deeper in its observations, or ``action_masks`` wants arguments.
    """
    space = env.observation_space
    if isinstance(space, gym.spaces.Dict) and KEY in space.spaces:
        env = _MaskFromObservation(env)
    else:
        owner = _owner_of_masks(env, bare)
        env = env if owner is None else _MaskFromAttribute(env, owner)
    _refuse_deeper_masks(env)
    return env


def with_late_masks(env: gym.Env[Any, Any], info: dict[str, Any]) -> tuple[gym.Env[Any, Any], dict[str, Any]]:
    """The same for an environment that has ``action_masks`` only once it was reset, and the info of that reset."""
    layer: Any = env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, (_MaskFromAttribute, _MaskFromObservation)):
            return env, info
        layer = layer.env
    owner = _owner_of_masks(env, None)
    if owner is None:
        return env, info
    masked = _MaskFromAttribute(env, owner)
    return masked, masked.with_mask(info)


def _owner_of_masks(env: gym.Env[Any, Any], bare: gym.Env[Any, Any] | None) -> gym.Env[Any, Any] | None:
    """The outermost layer of an environment, above ``bare``, that declares ``action_masks``; None where none does.

    It is looked for without asking for it: to ``hasattr`` a property that raises is one that is not there.

    Raises:
        ConfigError: It cannot be read, as a property that needs what only a reset sets, or wants arguments.
    """
    layer: Any = env
    while layer is not bare and layer is not None:
        if _declared(layer, ATTRIBUTE) is not None:
            try:
                found = getattr(layer, ATTRIBUTE)
            except Interrupted:
                raise
            except BaseException as error:  # whatever somebody's property raises
                raise ConfigError(
                    f"{ATTRIBUTE} of {type(layer).__name__} cannot be read before the first reset, "
                    f"{describe_error(error)}; make it a method, which is called after each reset and step, or give "
                    f'masks in info["{KEY}"]'
                ) from error
            if _wants_arguments(found):
                raise ConfigError(
                    f"{ATTRIBUTE} of {type(layer).__name__} wants arguments; expected a method without any"
                )
            return layer
        layer = layer.env if isinstance(layer, gym.Wrapper) else None
    return None


def _declared(layer: Any, name: str) -> Any:
    """An attribute as a class or an instance declares it, and None without one; a property is not asked for its value.

    Unlike ``inspect.getattr_static`` it does not look into the instance's ``__dict__``, which would make all attributes
    of the instance slower from then on (in CPython 3.11 a step of CartPole takes a tenth longer).
    """
    for kind in type(layer).__mro__:
        if name in vars(kind) and hasattr(type(vars(kind)[name]), "__get__"):  # a method or property
            return vars(kind)[name]
    return getattr(layer, name, None)


def _refuse_deeper_masks(env: gym.Env[Any, Any]) -> None:
    try:
        paths = [path for path, _ in parts_of(env.observation_space)]
    except ConfigError:  # what else is wrong with the space is told where it is read
        return
    for path in paths:
        if KEY in path:
            raise ConfigError(
                f"the observation space {env.observation_space} has {describe(path)}, and masks are read from the top "
                f"of a Dict observation alone; move it there with a wrapper, or rename it if it is no mask"
            )


def warn_of_other_masks(env: gym.Env[Any, Any], observation: Any, info: dict[str, Any]) -> None:
    """Tell of what looks like a mask and is not read as one, where an environment gives no other."""
    if KEY in info:
        return
    places = {f'info["{name}"]' for name in _OTHER_NAMES & info.keys()}
    if isinstance(observation, dict):
        places |= {f'the observation\'s "{name}"' for name in _OTHER_NAMES & observation.keys()}
    layer: Any = env
    while layer is not None:
        for name in _OTHER_NAMES - {ATTRIBUTE}:
            found = _declared(layer, name)
            found = found.__get__(layer) if inspect.isfunction(found) else found
            if found is not None and not _wants_arguments(found):
                places.add(f"{name} of {type(layer).__name__}")
        layer = layer.env if isinstance(layer, gym.Wrapper) else None
    for place in sorted(places):
        _warn_once(place)


@functools.cache
def _warn_once(place: str) -> None:
    log.warning(
        'masks: %s is not read as a mask; masks are info["action_mask"], an "action_mask" entry of a Dict observation, '
        "or action_masks, a method, property or attribute",
        place,
    )


def _wants_arguments(found: Any) -> bool:
    """Whether something is a function or method that cannot be called without arguments."""
    if not callable(found) or isinstance(found, type):
        return False
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # of a function that is not written in Python nothing is known
        return True
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def read_mask(info: dict[str, Any], actions: ActionSpec) -> npt.NDArray[np.bool_] | None:
    """The mask [A] that belongs to the observation just returned; None where the environment gives none.

    A space of several choices may give one array of A entries, or one for each choice; a Dict or Tuple of spaces may
    give a dict or tuple of masks.

    Raises:
        ValueError: It has another length, or entries that are neither 0 nor 1.
    """
    if info.get(KEY) is None:
        return None
    mask = np.concatenate(list(_arrays(info[KEY], [part.path for part in actions.parts])))
    if mask.shape != (actions.num_logits,):
        raise ValueError(f"{KEY} has {mask.size} entries; expected {actions.num_logits}")
    if mask.dtype != np.bool_ and not (mask.dtype.kind in "iuf" and np.isin(mask, (0, 1)).all()):
        raise ValueError(f"{KEY} is {mask.tolist()}; expected only 0 and 1, or false and true")
    return mask.astype(np.bool_)


def random_action_indices(
    actions: ActionSpec, mask: npt.NDArray[np.bool_] | None, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Allowed choices [1, G], each drawn uniformly; where a mask allows none, any at all."""
    weights = random.random(actions.num_logits)
    weights = weights if mask is None else np.where(mask, weights, -1.0)
    groups = np.split(weights, np.cumsum(actions.sizes)[:-1])
    return np.array([[group.argmax() for group in groups]])


def _arrays(given: Any, paths: list[Path]) -> Iterator[npt.NDArray[Any]]:
    """Every array in a mask, in the order of the action space's parts."""
    if isinstance(given, dict):
        if () in paths:
            raise ValueError(f"{KEY} is a dict, and the action space has no parts")
        for path in paths:
            yield from _arrays(pick(given, path), [()])
    elif isinstance(given, (tuple, list)):
        for part in given:
            yield from _arrays(part, [()])
    else:
        yield np.asarray(given).reshape(-1)


class _MaskFromObservation(gym.Wrapper[Any, Any, Any, Any]):
    """Takes the mask out of a Dict observation; where one other entry is left, that is the observation."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, gym.spaces.Dict)
        rest = {name: space for name, space in env.observation_space.spaces.items() if name != KEY}
        self._only = next(iter(rest)) if len(rest) == 1 else None
        self.observation_space = rest[self._only] if self._only is not None else gym.spaces.Dict(rest)

    def _split(self, observation: dict[str, Any], info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        rest = {name: value for name, value in observation.items() if name != KEY}
        return rest[self._only] if self._only is not None else rest, {**info, KEY: observation[KEY]}

    def reset(self, **kwargs: Any) -> Any:
        returned = self.env.reset(**kwargs)
        return self._split(*returned) if _has(returned, 2) and isinstance(returned[1], dict) else returned

    def step(self, action: Any) -> Any:
        returned = self.env.step(action)
        if not _has(returned, 5) or not isinstance(returned[4], dict):
            return returned
        observation, info = self._split(returned[0], returned[4])
        return observation, *returned[1:4], info


class _MaskFromAttribute(gym.Wrapper[Any, Any, Any, Any]):
    """Asks for ``action_masks`` after every reset and step: calls a method, and takes anything else as it is."""

    def __init__(self, env: gym.Env[Any, Any], owner: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._owner = owner

    def with_mask(self, info: Any) -> Any:
        """An info with the present mask in it; what is no info is told where all is looked at."""
        if not isinstance(info, dict):
            return info
        found = getattr(self._owner, ATTRIBUTE)
        mask = found() if callable(found) else found
        return info if mask is None else {**info, KEY: mask}

    def reset(self, **kwargs: Any) -> Any:
        returned = self.env.reset(**kwargs)
        return (returned[0], self.with_mask(returned[1])) if _has(returned, 2) else returned

    def step(self, action: Any) -> Any:
        returned = self.env.step(action)
        if not _has(returned, 5) or returned[2] or returned[3]:  # of a game that is over nothing is allowed, or asked
            return returned
        return *returned[:4], self.with_mask(returned[4])


def _has(returned: Any, count: int) -> bool:
    return isinstance(returned, tuple) and len(returned) == count
