"""Wrappers that move the masks of an environment into ``info["action_mask"]``."""

import functools
import inspect
import logging
from typing import Any

import gymnasium as gym

from actor_critic.environments.masks.reading import KEY
from actor_critic.environments.wrappers.layers import layers
from actor_critic.errors import ConfigError
from actor_critic.errors import describe as describe_error
from actor_critic.process import Interrupted
from actor_critic.spaces import describe_path, parts_of

log = logging.getLogger("actor_critic")

ATTRIBUTE = "action_masks"

# Names that other packages use for masks. They cause a warning, since such a mask would be ignored silently.
_OTHER_NAMES = frozenset(
    {KEY, ATTRIBUTE, "valid_action_mask", "legal_action_mask", "available_actions", "legal_actions", "valid_actions"}
)


def with_masks_in_info(env: gym.Env[Any, Any], bare: gym.Env[Any, Any] | None = None) -> gym.Env[Any, Any]:
    """Make an environment give its masks in ``info["action_mask"]``.

    Three conventions are supported: ``info["action_mask"]`` (Gymnasium); an ``"action_mask"`` key of a Dict observation
    (PettingZoo, RLlib), which is removed from the observation; and ``action_masks`` (sb3-contrib), a method, property
    or attribute.

    Args:
        env: The environment.
        bare: The environment without wrappers, if its own masks are in ``info`` already.

    Raises:
        ConfigError: An ``"action_mask"`` is nested deeper in the observations, or ``action_masks`` needs arguments.
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
    """Add masks to an environment that has ``action_masks`` only after a reset, and to the info of that reset."""
    if any(isinstance(layer, (_MaskFromAttribute, _MaskFromObservation)) for layer in layers(env)):
        return env, info
    owner = _owner_of_masks(env, None)
    if owner is None:
        return env, info
    masked = _MaskFromAttribute(env, owner)
    return masked, masked.with_mask(info)


def _owner_of_masks(env: gym.Env[Any, Any], bare: gym.Env[Any, Any] | None) -> gym.Env[Any, Any] | None:
    """Return the outermost layer of an environment, above ``bare``, that declares ``action_masks``, or None.

    ``hasattr`` is not used: it reports a property that raises as missing.

    Raises:
        ConfigError: ``action_masks`` cannot be read before the first reset, or needs arguments.
    """
    layer: Any = env
    while layer is not bare and layer is not None:
        if _declared(layer, ATTRIBUTE) is not None:
            try:
                found = getattr(layer, ATTRIBUTE)
            except Interrupted:
                raise
            except BaseException as error:  # user code may raise anything
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
    """Return an attribute of an object or its class without evaluating properties; None if there is none.

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
    except ConfigError:  # other errors of the space are reported where it is read
        return
    for path in paths:
        if KEY in path:
            raise ConfigError(
                f"the observation space {env.observation_space} has {describe_path(path)}, but masks are read only at "
                f"the top of a Dict observation; move it there with a wrapper, or rename it if it is not a mask"
            )


def warn_of_other_masks(env: gym.Env[Any, Any], observation: Any, info: dict[str, Any]) -> None:
    """Warn about names that look like masks but are not read, if an environment gives no mask."""
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
    """Return whether an object is a function or method that cannot be called without arguments."""
    if not callable(found) or isinstance(found, type):
        return False
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # the signature of a function in C may be unknown
        return True
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


class _MaskFromObservation(gym.Wrapper[Any, Any, Any, Any]):
    """Takes the mask out of a Dict observation; if one other entry is left, it becomes the observation."""

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
    """Reads ``action_masks`` after every reset and step; a method is called, any other value is the mask."""

    def __init__(self, env: gym.Env[Any, Any], owner: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._owner = owner

    def with_mask(self, info: Any) -> Any:
        """Return the info with the current mask. An info that is not a dict stays unchanged and is reported later."""
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
        # A finished episode allows no action, and its mask is not read.
        if not _has(returned, 5) or returned[2] or returned[3]:
            return returned
        return *returned[:4], self.with_mask(returned[4])


def _has(returned: Any, count: int) -> bool:
    return isinstance(returned, tuple) and len(returned) == count
