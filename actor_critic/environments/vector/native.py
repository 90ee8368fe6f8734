"""Adapter of Gymnasium vector environments in any of the three autoreset modes."""

import contextlib
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from actor_critic.environments.masks.reading import KEY, read_mask
from actor_critic.environments.vector.contract import GymnasiumInterface, Observed, State, Step
from actor_critic.environments.vector.instances import close_environment
from actor_critic.errors import ActorCriticError, ConfigError, EnvironmentFault, describe
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose, integer_seed
from actor_critic.spaces import read_spaces


class NativeVectorEnv(GymnasiumInterface):
    """A Gymnasium vector environment, stepped as the collector expects.

    With next-step autoreset, the step after an episode's end resets the environment and ignores the action. This row is
    no transition, and its ``valid`` is False. With autoreset disabled, this class resets an ended environment at once,
    as in same-step autoreset.

    Attributes:
        num_envs: N.
        single_observation_space: Of one environment.
        single_action_space: Of one environment.
        metadata: Of the environment.
        spec: Of the environment; None where it is not registered.
    """

    def __init__(self, environment: gym.vector.VectorEnv[Any, Any, Any], first: int = 0) -> None:
        """Adapt a vector environment.

        Args:
            environment: The environment.
            first: Number of its first environment, if these are a part of more.

        Raises:
            ConfigError: The environment does not declare its autoreset mode, or its spaces are not supported.
        """
        self._environment = environment
        self._part = (first,) if first else ()  # parts of a run have different seeds
        self._name = environment.spec.id if environment.spec else type(environment.unwrapped).__name__
        self.metadata = environment.metadata
        self.spec = environment.spec
        self._mode = environment.metadata.get("autoreset_mode")
        if self._mode not in tuple(AutoresetMode):
            close_environment(environment)
            raise ConfigError(
                f"vectorization: the native vector form of {self._name} does not say in its metadata how it resets "
                f"(autoreset_mode={self._mode}); use sync, shared or workers"
            )
        self.pauses = self._mode is AutoresetMode.NEXT_STEP
        self.num_envs = environment.num_envs
        self.single_observation_space = environment.single_observation_space
        self.single_action_space = environment.single_action_space
        try:
            spaces = self.single_observation_space, self.single_action_space
            self._spec, self.actions = read_spaces(self._name, *spaces)
        except BaseException:
            close_environment(environment)
            raise
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._masks: npt.NDArray[np.bool_] | None = None
        self._seed = 0
        self._restarts = 0

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin an episode in every environment; ``seed`` is the run's seed."""
        self._seed = seed
        return self._begin(options)

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment; see :meth:`VectorEnvironment.step_indices`.

        Raises:
            EnvironmentFault: The environment raised, or returned an invalid value.
        """
        was_over = self._ended
        try:
            with boundary.inside() if boundary.is_crossed() else contextlib.nullcontext():
                found, rewards, terminated, truncated, infos = self._environment.step(
                    self.actions.to_environment(action_indices)
                )
            observations = self._read(found)
            rewards = np.array(rewards, np.float64).reshape(self.num_envs)
            terminated = np.array(terminated, np.bool_).reshape(self.num_envs)
            truncated = np.array(truncated, np.bool_).reshape(self.num_envs)
            self._ended = terminated | truncated
            final_observations = None
            # Masks of final observations are never used: they may allow nothing.
            has_new = self._mode is AutoresetMode.SAME_STEP
            self._read_masks(infos, np.ones_like(self._ended) if has_new else ~self._ended)
            if self._ended.any():
                final_observations = self._final(observations, infos)
                if self._mode is AutoresetMode.DISABLED:
                    # Only the rows of the mask are new; the others repeat their last observations.
                    found, infos = self._environment.reset(options={"reset_mask": self._ended})
                    observations = self._read(found)
                    self._read_masks(infos, self._ended)
        except (ActorCriticError, Interrupted):
            raise
        except BaseException as error:  # user code may raise anything
            raise EnvironmentFault(f"{self._name}: the vector form raised {describe(error)}") from error
        valid = None
        if self.pauses:
            valid = ~was_over
            rewards[was_over] = 0.0
        masks = None if self._masks is None else self._masks.copy()
        return Step(observations, rewards, terminated, truncated, masks, final_observations, valid=valid)

    is_exact = False
    """Running episodes cannot be rebuilt."""

    def save_state(self) -> State:
        """Return the seed and the number of restarts; nothing else can be saved."""
        return {"native": np.array([self._seed, self._restarts], np.int64)}

    def load_state(self, state: State) -> Observed:
        """Begin new episodes with new seeds, since the running ones cannot be rebuilt."""
        self._seed, restarts = state["native"].tolist()
        self._restarts = restarts + 1
        return self._begin(None)

    def close(self) -> None:
        """Close the environment."""
        close_environment(self._environment)

    def _begin(self, options: dict[str, Any] | None) -> Observed:
        self._ended = np.zeros(self.num_envs, np.bool_)
        seed = integer_seed(self._seed, Purpose.EPISODES, self._restarts, *self._part) % 2**30
        try:
            with boundary.inside():
                found, infos = self._environment.reset(seed=seed, options=options)
        except Interrupted:
            raise
        except BaseException as error:  # user code may raise anything
            raise EnvironmentFault(f"{self._name}: reset raised {describe(error)}") from error
        self._masks = None
        self._read_masks(infos, ~self._ended)
        return Observed(self._read(found), None if self._masks is None else self._masks.copy())

    def _read(self, observation: Any) -> npt.NDArray[Any]:
        """Return the observations of the environment as a new array [N, *shape]."""
        try:
            batch, is_single = self._spec.as_batch(observation)
        except ValueError as error:
            raise EnvironmentFault(f"{self._name}: {error}") from error
        if is_single or len(batch) != self.num_envs:
            raise EnvironmentFault(f"{self._name}: observations of {len(batch)} environments; expected {self.num_envs}")
        return batch

    def _final(self, observations: npt.NDArray[Any], infos: dict[str, Any]) -> npt.NDArray[Any]:
        """Return final observations [N, *shape], set where an episode ended."""
        if self._mode is not AutoresetMode.SAME_STEP:
            return observations
        finals = np.zeros_like(observations)
        given = infos.get("final_obs", infos.get("final_observation"))
        if given is None:
            raise EnvironmentFault(f"{self._name}: an episode ended without a final_obs in the infos")
        for index in np.flatnonzero(self._ended):
            # Either an array of objects, one for each environment, or a batch.
            single = given[index] if isinstance(given, np.ndarray) else row_of(given, int(index))
            for view, value in zip(self._spec.views(finals), self._spec.read(single), strict=True):
                view[index] = value
        return finals

    def _read_masks(self, infos: dict[str, Any], rows: npt.NDArray[np.bool_]) -> None:
        """Read the masks of some environments; all actions are allowed if none is given."""
        if KEY not in infos:
            if self._masks is not None:
                self._masks[rows] = True
            return
        masks = np.ones((self.num_envs, self.actions.num_logits), np.bool_) if self._masks is None else self._masks
        given = infos.get(f"_{KEY}", np.ones(self.num_envs, np.bool_))
        for index in np.flatnonzero(rows):
            masks[index] = True
            if given[index]:
                mask = read_mask({KEY: row_of(infos[KEY], int(index))}, self.actions)
                assert mask is not None
                masks[index] = mask
        allows = self.actions.allows_an_action(masks[rows])
        if not allows.all():
            raise EnvironmentFault(
                f"{self._name}, environment {np.flatnonzero(rows)[np.argmin(allows)]}: a mask allows no action, though "
                f"the episode goes on"
            )
        self._masks = masks


def row_of(batch: Any, index: int) -> Any:
    """Return one environment's part of a batch of nested observations."""
    if isinstance(batch, dict):
        return {key: row_of(inner, index) for key, inner in batch.items()}
    if isinstance(batch, tuple):
        return tuple(row_of(inner, index) for inner in batch)
    return batch[index]
