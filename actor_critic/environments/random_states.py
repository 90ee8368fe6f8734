"""The described problem as an environment: a random state, one decision, one reward."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from actor_critic.rewards import RewardModel, compute_rewards, make_reward_model
from actor_critic.seeding import Purpose, generator

_BLOCK = 4096  # states drawn at a time: a fixed number, since the stream is cut along its borders


class RandomStatesVectorEnv(gym.vector.VectorEnv[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[Any]]):
    """N contextual bandits: standard normal states, episodes of one step, rewards from a reward model.

    Autoreset is same-step: every step ends every episode, and returns the states of the next ones. The final
    observation is the state that was decided in, since a decision changes nothing but the reward.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        input_dim: int = 10,
        output_dim: int = 2,
        reward_model: str = "linear",
        reward_model_kwargs: dict[str, Any] | None = None,
        purpose: Purpose = Purpose.EPISODES,
    ) -> None:
        """Set up N problems side by side.

        Args:
            num_envs: N.
            input_dim: Numbers in a state.
            output_dim: Actions.
            reward_model: "linear" or "module:Class".
            reward_model_kwargs: Keyword arguments of its constructor.
            purpose: Which stream of states: those of training and of evaluation are disjoint.

        Raises:
            ConfigError: The reward model cannot be made.
        """
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (input_dim,), np.float32)
        self.single_action_space = gym.spaces.Discrete(output_dim)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.reward_model: RewardModel = make_reward_model(
            reward_model, reward_model_kwargs or {}, self.single_observation_space, self.single_action_space
        )
        self._purpose = purpose
        self._seed = 0
        self._step = 0
        self._rows = max(1, _BLOCK // num_envs)  # steps per block
        self._ones = np.ones(num_envs, np.bool_)
        self._zeros = np.zeros(num_envs, np.bool_)
        self._no_reward = np.zeros(num_envs, np.float32)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Begin the stream of a seed (0 where none is given)."""
        first = seed[0] if isinstance(seed, list) else seed
        self._seed = first or 0
        self._step = 0
        self._draw_block()
        return self._states(), {}

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """Reward every decision [N] and show the next states [N, D].

        Raises:
            EnvironmentFault: The reward model failed.
        """
        return self.step_choices(np.asarray(actions)[:, None])

    def step_choices(
        self, choices: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """The same with choices [N, 1]."""
        states, actions = self._states(), choices[:, 0]
        rewards = compute_rewards(self.reward_model, states, actions, states, self._ones, self._no_reward)
        self._step += 1
        if self._step % self._rows == 0:
            self._draw_block()
        return self._states(), rewards, self._ones, self._zeros, {"final_obs": states, "_final_obs": self._ones}

    pauses = False
    """Every step is a transition."""

    is_exact = True
    """Its state is saved whole."""

    def save_state(self) -> dict[str, npt.NDArray[np.int64]]:
        """All that determines the rest of the stream."""
        return {"step": np.array([self._seed, self._step], np.int64)}

    def load_state(self, state: dict[str, npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Go on where :meth:`save_state` was called; returns what :meth:`reset` does."""
        self._seed, self._step = state["step"].tolist()
        self._draw_block()
        return self._states(), {}

    def _draw_block(self) -> None:
        random = generator(self._seed, self._purpose, self._step // self._rows)
        assert self.single_observation_space.shape is not None
        shape = (self._rows, self.num_envs, *self.single_observation_space.shape)
        self._block = random.standard_normal(shape, np.float32)

    def _states(self) -> npt.NDArray[np.float32]:
        return self._block[self._step % self._rows]


gym.register(id="random-states", vector_entry_point="actor_critic.environments.random_states:RandomStatesVectorEnv")
