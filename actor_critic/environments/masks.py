"""Action masks, whichever way an environment gives them: all become ``info["action_mask"]``."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.spaces import ActionSpec
from actor_critic.spaces.nesting import Path, pick

KEY = "action_mask"


def with_masks_in_info(env: gym.Env[Any, Any], bare: gym.Env[Any, Any] | None = None) -> gym.Env[Any, Any]:
    """Make an environment give its masks in ``info["action_mask"]``.

    Three conventions are known: that one itself (Gymnasium), an ``"action_mask"`` key of a Dict observation
    (PettingZoo, RLlib), which is taken out of the observation, and a method ``action_masks()`` (sb3-contrib).

    Args:
        env: The environment.
        bare: What it was before the wrappers around it; a method of its own has been asked beneath them already.
    """
    space = env.observation_space
    if isinstance(space, gym.spaces.Dict) and KEY in space.spaces:
        return _MaskFromObservation(env)
    method = _mask_method(env)
    if method is not None and (bare is None or method != _mask_method(bare)):
        return _MaskFromMethod(env)
    return env


def _mask_method(env: gym.Env[Any, Any]) -> Any:
    return env.get_wrapper_attr("action_masks") if env.has_wrapper_attr("action_masks") else None


def read_mask(info: dict[str, Any], actions: ActionSpec) -> npt.NDArray[np.bool_] | None:
    """The mask [A] that belongs to the observation just returned; None where the environment gives none.

    A space of several choices may give one array of A entries, or one for each choice; a Dict or Tuple of spaces may
    give a dict or tuple of masks.

    Raises:
        ValueError: It has another length, or entries that are neither 0 nor 1.
    """
    if KEY not in info:
        return None
    mask = np.concatenate(list(_arrays(info[KEY], [part.path for part in actions.parts])))
    if mask.shape != (actions.num_logits,):
        raise ValueError(f"{KEY} has {mask.size} entries; expected {actions.num_logits}")
    if mask.dtype != np.bool_ and not (mask.dtype.kind in "iuf" and np.isin(mask, (0, 1)).all()):
        raise ValueError(f"{KEY} is {mask.tolist()}; expected only 0 and 1, or false and true")
    return mask.astype(np.bool_)


def random_choices(
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

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return self._split(*self.env.reset(**kwargs))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        observation, info = self._split(observation, info)
        return observation, reward, terminated, truncated, info


class _MaskFromMethod(gym.Wrapper[Any, Any, Any, Any]):
    """Asks the environment's ``action_masks()`` after every reset and step."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._masks = env.get_wrapper_attr("action_masks")

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        return observation, {**info, KEY: self._masks()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, KEY: self._masks()}
