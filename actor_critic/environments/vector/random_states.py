"""The random-states problem as an environment: a random state, one decision, one reward."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from actor_critic.environments.vector.contract import GymnasiumInterface, Observed, State, Step
from actor_critic.rewards import RewardModel, compute_rewards, make_reward_model
from actor_critic.seeding import Purpose, generator
from actor_critic.spaces import ActionSpec

_BLOCK = 4096  # states drawn at a time; fixed, since every block has its own generator


class RandomStatesVectorEnv(
    GymnasiumInterface, gym.vector.VectorEnv[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[Any]]
):
    """N contextual bandits: standard normal states, episodes of one step, rewards from a reward model.

    Autoreset is same-step: every step ends all episodes and returns the states of the next ones. The final observation
    is the state before the action, since an action affects only the reward.
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
            input_dim: Size of a state.
            output_dim: Number of actions.
            reward_model: "linear" or "module:Class".
            reward_model_kwargs: Keyword arguments of its constructor.
            purpose: Selects the stream of states; training and evaluation use disjoint streams.

        Raises:
            ConfigError: The reward model cannot be made.
        """
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (input_dim,), np.float32)
        self.single_action_space = gym.spaces.Discrete(output_dim)
        self.actions = ActionSpec.from_space(self.single_action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.reward_model: RewardModel = make_reward_model(
            reward_model, reward_model_kwargs or {}, self.single_observation_space, self.single_action_space
        )
        self._purpose = purpose
        self._seed = 0
        self._step_count = 0
        self._rows = max(1, _BLOCK // num_envs)  # steps per block
        self._ones = np.ones(num_envs, np.bool_)
        self._no_reward = np.zeros(num_envs, np.float32)
        unset = np.zeros((num_envs, input_dim), np.float32)
        self._step = Step(unset, self._no_reward, self._ones, np.zeros(num_envs, np.bool_))

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin the stream of a seed."""
        self._seed = seed
        self._step_count = 0
        self._draw_block()
        return Observed(self._states(), None)

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Reward the actions [N, 1] and return the next states [N, D].

        Raises:
            EnvironmentFault: The reward model failed.
        """
        states, actions = self._states(), action_indices[:, 0]
        shown = self._step
        shown.rewards = compute_rewards(self.reward_model, states, actions, states, self._ones, self._no_reward)
        self._step_count += 1
        if self._step_count % self._rows == 0:
            self._draw_block()
        shown.observations, shown.final_observations = self._states(), states
        return shown

    def expected_rewards(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return the expected reward [N, A] of every action, or None if the reward model does not know it."""
        return self.reward_model.expected_rewards(observations)

    is_bandit = True
    """Every episode lasts one step."""

    is_exact = True
    """The whole state is saved."""

    def save_state(self) -> State:
        """Return all that determines the rest of the stream."""
        return {"step": np.array([self._seed, self._step_count], np.int64)}

    def load_state(self, state: State) -> Observed:
        """Continue where :meth:`save_state` was called."""
        self._seed, self._step_count = state["step"].tolist()
        self._draw_block()
        return Observed(self._states(), None)

    def _draw_block(self) -> None:
        random = generator(self._seed, self._purpose, self._step_count // self._rows)
        assert self.single_observation_space.shape is not None
        shape = (self._rows, self.num_envs, *self.single_observation_space.shape)
        self._block = random.standard_normal(shape, np.float32)

    def _states(self) -> npt.NDArray[np.float32]:
        return self._block[self._step_count % self._rows]


gym.register(
    id="random-states", vector_entry_point="actor_critic.environments.vector.random_states:RandomStatesVectorEnv"
)
