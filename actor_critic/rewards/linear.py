"""LinearReward: the built-in reward model for random states."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError
from actor_critic.rewards.model import RewardModel
from actor_critic.seeding import Purpose, generator


class LinearReward(RewardModel):
    """The built-in reward for random states, r(s, a) = tanh(w_a · s): bounded, learnable, and fair to every action.

    The K directions w_a point to the corners of a regular simplex of random orientation. So each action is best equally
    often under any rotation-invariant distribution of states; with two actions, in half of the states. This needs at
    least K − 1 state dimensions. With fewer the directions are random, and some actions are best more often.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any], *, seed: int = 0) -> None:
        """Draw the directions.

        Args:
            observation_space: A flat Box.
            action_space: A Discrete space of K actions.
            seed: Seed of the orientation, 0 to 2³² − 1. It belongs to the problem, not to the run: runs with different
                run seeds solve the same problem unless this seed is changed.

        Raises:
            ConfigError: The spaces are of another kind, or the seed is out of range.
        """
        super().__init__(observation_space, action_space)
        if not (
            isinstance(observation_space, gym.spaces.Box)
            and len(observation_space.shape) == 1
            and isinstance(action_space, gym.spaces.Discrete)
        ):
            raise ConfigError(
                f'reward_model: "linear" needs flat Box states and Discrete actions; this environment has '
                f"{observation_space} and {action_space}"
            )
        if not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise ConfigError(f"reward_model_kwargs: seed={seed!r} is not allowed; expected a whole number below 2**32")
        dimensions, actions = observation_space.shape[0], int(action_space.n)
        normal = generator(seed, Purpose.REWARD_MODEL).standard_normal
        if 1 <= actions - 1 <= dimensions:
            orientation = np.linalg.qr(normal((dimensions, actions - 1)))[0]  # (D, K − 1)
            directions = _simplex_corners(actions) @ orientation.T  # (K, D)
        else:
            directions = normal((actions, dimensions))
        self.directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return tanh(w_a · s) of each transition, [B]."""
        assert isinstance(self.action_space, gym.spaces.Discrete)
        chosen = actions - int(self.action_space.start)
        return np.tanh(np.einsum("bd,bd->b", states.astype(np.float32), self.directions[chosen]))

    def expected_rewards(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return tanh(w_a · s) of every action, [B, K]."""
        return np.tanh(states.astype(np.float32) @ self.directions.T)


def _simplex_corners(count: int) -> npt.NDArray[np.float64]:
    """Return the corners of a regular simplex around the origin, [K, K − 1]: the columns of a Helmert matrix."""
    k = np.arange(1, count)
    helmert = np.tri(count - 1, count)
    helmert[k - 1, k] = -k
    return (helmert / np.sqrt(k * (k + 1))[:, None]).T
