"""FunctionReward: a plain function of states and actions as a reward model."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.rewards.model import RewardModel

_ARGUMENTS = ("states", "actions", "next_states", "terminated", "environment_rewards")
_TRIAL = 4  # transitions
_ROUNDING = 1e-3


class FunctionReward(RewardModel):
    """A function that returns the rewards [B] of B transitions.

    Its parameters are states and actions, by any name; or any of ``states``, ``actions``, ``next_states``,
    ``terminated`` and ``environment_rewards`` by these names, as in :meth:`RewardModel.rewards`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        **kwargs: Any,
    ) -> None:
        """Read the function's parameters, and try it on a few random transitions.

        Args:
            function: The function.
            name: Its name in error messages.
            observation_space: Of one environment.
            action_space: Of one environment.
            kwargs: Further keyword arguments for the function.

        Raises:
            ConfigError: It has other parameters, or the reward of a transition depends on the others.
        """
        super().__init__(observation_space, action_space)
        self.name = name
        self._function, self._kwargs = function, kwargs
        self._names = _parameters(function, name, kwargs)
        self._try()

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return what the function returns for B transitions."""
        if self._names is None:
            found = self._function(states, actions, **self._kwargs)
        else:
            values = (states, actions, next_states, terminated, environment_rewards)
            known = dict(zip(_ARGUMENTS, values, strict=True))
            found = self._function(**{name: known[name] for name in self._names}, **self._kwargs)
        return found  # checked by the caller

    def _try(self) -> None:
        """Refuse a function that takes one transition instead of B, where random transitions show it."""
        states = _samples(self.observation_space, 0)
        actions, following = _samples(self.action_space, 1), _samples(self.observation_space, 2)
        rest = np.zeros(_TRIAL, np.bool_), np.zeros(_TRIAL, np.float32)
        try:
            whole, again = (np.asarray(self.rewards(states, actions, following, *rest)) for _ in range(2))
            if whole.shape != (_TRIAL,) or not np.array_equal(whole, again):
                return  # the first rollout reports another shape; random rewards cannot be compared
            for row in range(_TRIAL):
                part = slice(row, row + 1)
                alone = self.rewards(*(_part(each, part) for each in (states, actions, following, *rest)))
                # Products of a batch round in other ways than those of one row.
                near = _ROUNDING * np.abs(whole).max()
                if not np.allclose(np.asarray(alone), whole[part], rtol=_ROUNDING, atol=near, equal_nan=True):
                    break
            else:
                return
        except Exception:  # random states may be impossible ones; the first rollout reports what a function raises
            return
        raise ConfigError(
            f"reward_model: {self.name} gives a transition alone another reward than the same transition among others; "
            f"it is called with B transitions at once, such as states [B, ...] and actions [B], and must treat every "
            f"row by itself; derive from RewardModel if the rewards of a batch shall depend on each other"
        )


def _parameters(function: Callable[..., Any], name: str, kwargs: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the names to call a function with; None for states and actions by position."""
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # built in
        return None
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    asked = [each for key, each in parameters.items() if key not in kwargs and each.kind is not each.VAR_KEYWORD]
    if unknown := [key for key in kwargs if key not in parameters and not takes_any]:
        raise ConfigError(f"reward_model_kwargs: {name} has no parameter {', '.join(unknown)}")
    needed = [each for each in asked if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    by_name = [each.name for each in asked if each.name in _ARGUMENTS and each.kind is not each.POSITIONAL_ONLY]
    if {each.name for each in needed} <= set(by_name) and (by_name or takes_any):
        return _ARGUMENTS if takes_any and not by_name else tuple(by_name)
    first = [each for each in asked if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)][:2]
    # A known name in another place than its own would get the wrong values.
    is_moved = any(each.name in set(_ARGUMENTS) - {own} for each, own in zip(first, _ARGUMENTS, strict=False))
    if len(first) == 2 and all(each in first for each in needed) and not is_moved:
        return None
    shown = ", ".join(parameters) or "none"
    raise ConfigError(
        f"reward_model: {name} has the parameters {shown}; expected two, states and actions, or any of "
        f"{', '.join(_ARGUMENTS)} by these names"
    )


def _samples(space: gym.Space[Any], seed: int) -> Any:
    """Return a few random elements of a space, stacked; they leave the space's own generator as it was."""
    space = copy.deepcopy(space)
    space.seed(seed)
    return _stacked([space.sample() for _ in range(_TRIAL)])


def _stacked(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {key: _stacked([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], tuple):
        return tuple(_stacked([value[index] for value in values]) for index in range(len(values[0])))
    return np.stack([np.asarray(value) for value in values])


def _part(value: Any, rows: slice) -> Any:
    if isinstance(value, dict):
        return {key: _part(inner, rows) for key, inner in value.items()}
    return tuple(_part(inner, rows) for inner in value) if isinstance(value, tuple) else value[rows]
