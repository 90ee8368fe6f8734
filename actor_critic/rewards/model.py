"""RewardModel: the base class of custom rewards, and the calls of its methods with their checks."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import EnvironmentFault, describe
from actor_critic.process import Interrupted


class RewardModel:
    """A custom reward function. Subclass it, define :meth:`rewards`, and name it as ``module:Class``.

    A model that shapes the environment's reward (``reward_mode`` "shape") defines :meth:`potentials` instead.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        """Take the spaces of one environment; keyword arguments of a subclass come from ``reward_model_kwargs``."""
        self.observation_space = observation_space
        self.action_space = action_space

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return the rewards of B transitions.

        Args:
            states: [B, *shape], raw observations before the step.
            actions: [B], or [B, G] for a space of several choices, as the environment received them.
            next_states: [B, *shape], raw observations after the step; at an episode's end its final observation.
            terminated: [B], whether the step ended the task.
            environment_rewards: [B], the environment's own rewards (0 for random states).

        Returns:
            [B] finite float32.
        """
        raise NotImplementedError

    def potentials(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the potential Φ(s) of B states: a step from s to s' pays γ Φ(s') − Φ(s).

        Args:
            states: [B, *shape], raw observations.

        Returns:
            [B] finite float32.
        """
        raise NotImplementedError

    def expected_rewards(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        """Return the expected reward of every action in B states; evaluations derive the best possible return from it.

        Args:
            states: [B, *shape], raw observations.

        Returns:
            [B, A] finite float32, or None if it is not known (the default).
        """
        return None


def compute_rewards(
    model: RewardModel,
    states: npt.NDArray[Any],
    actions: Any,
    next_states: npt.NDArray[Any],
    terminated: npt.NDArray[np.bool_],
    environment_rewards: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Call a model's :meth:`RewardModel.rewards` for B transitions and check what it returns.

    Raises:
        EnvironmentFault: The model raised, or returned another shape or a number that is not finite.
    """
    return _call(model, "rewards", len(terminated), states, actions, next_states, terminated, environment_rewards)


def compute_potentials(model: RewardModel, states: npt.NDArray[Any], count: int) -> npt.NDArray[np.float32]:
    """Call a model's :meth:`RewardModel.potentials` for B states and check what it returns.

    Args:
        model: The model.
        states: [B, *shape], raw observations.
        count: B.

    Raises:
        EnvironmentFault: The model raised, or returned another shape or a number that is not finite.
    """
    return _call(model, "potentials", count, states)


def _call(model: RewardModel, method: str, count: int, *arguments: Any) -> npt.NDArray[np.float32]:
    """Call a method of the user's model with read-only views, so that it cannot change what is trained on or logged."""
    name = getattr(model, "name", type(model).__name__)
    try:
        found = np.asarray(getattr(model, method)(*map(_read_only, arguments)))
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        raise EnvironmentFault(f"reward_model {name} raised {describe(error)}") from error
    if found.dtype.kind not in "biuf":
        raise EnvironmentFault(
            f"reward_model {name} returned {method} of dtype {found.dtype}; expected numbers, such as float32"
        )
    if found.shape != (count,):
        raise EnvironmentFault(
            f"reward_model {name} returned {method} of shape {found.shape}; expected {(count,)}, one for each of the "
            f"{count} transitions that it is called with at once"
        )
    found = found.astype(np.float32)
    if not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found)))
        raise EnvironmentFault(
            f"reward_model {name} returned {found[row]} for transition {row}; expected a finite number"
        )
    return found


def _read_only(value: Any) -> Any:
    """Return a read-only view of an array, or of each array in a dict or tuple."""
    if isinstance(value, dict):
        return {key: _read_only(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_read_only, value))
    view = value.view()
    view.setflags(write=False)
    return view
