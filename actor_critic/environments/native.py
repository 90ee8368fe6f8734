"""Vector environments that are vectors of their own, whichever of Gymnasium's three autoreset modes they have."""

import contextlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from actor_critic.environments.masks import KEY, random_action_indices, read_mask
from actor_critic.environments.vector_environment import GymnasiumInterface, Observed, State, Step
from actor_critic.environments.vectorized import close_environment
from actor_critic.errors import ActorCriticError, ConfigError, EnvironmentFault, describe
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose, integer_seed
from actor_critic.spaces import read_spaces

_TRIAL_STEPS, _TRIAL_EPISODES = 2000, 3


class NativeVectorEnv(GymnasiumInterface):
    """A Gymnasium vector environment, stepped as the collector expects.

    An environment that resets in the step after an end (next-step autoreset) ignores the action of that step; such a
    row is no transition, and ``valid`` is False there. One that does not reset by itself (disabled) is
    reset at once, which makes it one that resets in the same step.

    Attributes:
        num_envs: N.
        single_observation_space: Of one environment.
        single_action_space: Of one environment.
        metadata: Of the environment.
        spec: Of the environment; None where it is not registered.
    """

    def __init__(self, environment: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        """Adapt a vector environment.

        Raises:
            ConfigError: It does not say how it resets, or its spaces are not supported.
        """
        self._environment = environment
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
        """Begin an episode in every environment; the seed is the run's."""
        self._seed = seed
        return self._begin(options)

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment; see :meth:`VectorEnvironment.step_indices`.

        Raises:
            EnvironmentFault: The environment raised, or returned something else than its spaces promise.
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
                    # What comes back for the others is theirs: only rows of the mask are new.
                    found, infos = self._environment.reset(options={"reset_mask": self._ended})
                    observations = self._read(found)
                    self._read_masks(infos, self._ended)
        except (ActorCriticError, Interrupted):
            raise
        except BaseException as error:  # whatever somebody's environment raises or returns
            raise EnvironmentFault(f"{self._name}: the vector form raised {describe(error)}") from error
        valid = None
        if self.pauses:
            valid = ~was_over
            rewards[was_over] = 0.0
        masks = None if self._masks is None else self._masks.copy()
        return Step(observations, rewards, terminated, truncated, masks, final_observations, valid=valid)

    is_exact = False
    """Its running episodes cannot be rebuilt."""

    def save_state(self) -> State:
        """All that can be kept: the seed, and how often the episodes were begun anew."""
        return {"native": np.array([self._seed, self._restarts], np.int64)}

    def load_state(self, state: State) -> Observed:
        """Begin new episodes, on other seeds than before: the running ones cannot be rebuilt."""
        self._seed, restarts = state["native"].tolist()
        self._restarts = restarts + 1
        return self._begin(None)

    def close(self) -> None:
        """Close the environment."""
        close_environment(self._environment)

    def _begin(self, options: dict[str, Any] | None) -> Observed:
        self._ended = np.zeros(self.num_envs, np.bool_)
        seed = integer_seed(self._seed, Purpose.EPISODES, self._restarts) % 2**30
        try:
            with boundary.inside():
                found, infos = self._environment.reset(seed=seed, options=options)
        except Interrupted:
            raise
        except BaseException as error:  # whatever somebody's environment raises
            raise EnvironmentFault(f"{self._name}: reset raised {describe(error)}") from error
        self._masks = None
        self._read_masks(infos, ~self._ended)
        return Observed(self._read(found), None if self._masks is None else self._masks.copy())

    def _read(self, observation: Any) -> npt.NDArray[Any]:
        """A batch [N, *shape] of what the environment returned, as an array of its own."""
        try:
            batch, is_single = self._spec.as_batch(observation)
        except ValueError as error:
            raise EnvironmentFault(f"{self._name}: {error}") from error
        if is_single or len(batch) != self.num_envs:
            raise EnvironmentFault(f"{self._name}: observations of {len(batch)} environments; expected {self.num_envs}")
        return batch

    def _final(self, observations: npt.NDArray[Any], infos: dict[str, Any]) -> npt.NDArray[Any]:
        """Final observations [N, *shape], right where an episode ended."""
        if self._mode is not AutoresetMode.SAME_STEP:
            return observations
        finals = np.zeros_like(observations)
        given = infos.get("final_obs", infos.get("final_observation"))
        if given is None:
            raise EnvironmentFault(f"{self._name}: an episode ended without a final_obs in the infos")
        for index in np.flatnonzero(self._ended):
            # An array of objects, one observation for each environment, or already a batch.
            single = given[index] if isinstance(given, np.ndarray) else _row(given, int(index))
            for view, value in zip(self._spec.views(finals), self._spec.read(single), strict=True):
                view[index] = value
        return finals

    def _read_masks(self, infos: dict[str, Any], rows: npt.NDArray[np.bool_]) -> None:
        """Take over the masks of some environments; all actions are allowed where none is given."""
        if KEY not in infos:
            if self._masks is not None:
                self._masks[rows] = True
            return
        masks = np.ones((self.num_envs, self.actions.num_logits), np.bool_) if self._masks is None else self._masks
        given = infos.get(f"_{KEY}", np.ones(self.num_envs, np.bool_))
        for index in np.flatnonzero(rows):
            masks[index] = True
            if given[index]:
                mask = read_mask({KEY: _row(infos[KEY], int(index))}, self.actions)
                assert mask is not None
                masks[index] = mask
        allows = self.actions.allows_an_action(masks[rows])
        if not allows.all():
            raise EnvironmentFault(
                f"{self._name}, environment {np.flatnonzero(rows)[np.argmin(allows)]}: a mask allows no action, though "
                f"the episode goes on"
            )
        self._masks = masks


def _row(batch: Any, index: int) -> Any:
    """One environment's part of a batch of nested observations."""
    if isinstance(batch, dict):
        return {key: _row(inner, index) for key, inner in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_row(inner, index) for inner in batch)
    return batch[index]


def difference(
    make_native: Callable[[], gym.vector.VectorEnv[Any, Any, Any]], make: Callable[[], gym.Env[Any, Any]]
) -> str | None:
    """Why two native environments are not the same as two single ones with a stream of their own each.

    Both are reset with the same two seeds and given the same random actions, for 2,000 steps or until each has ended
    three episodes: observations, rewards, both ends and masks must be equal all the while.

    Returns:
        What differs, to go on after a name; None where nothing did.
    """
    try:
        native = make_native()
    except ConfigError:
        return "cannot be made"
    singles: list[gym.Env[Any, Any]] = []
    try:
        singles += [make(), make()]
        with boundary.watched():
            return _compare(native, singles)
    except Interrupted:
        raise
    except BaseException as error:  # whatever somebody's environment raises when it is seeded with a list, say
        return f"raised {describe(error)}"
    finally:
        close_environment(native)
        for single in singles:
            close_environment(single)


def _compare(native: gym.vector.VectorEnv[Any, Any, Any], singles: list[gym.Env[Any, Any]]) -> str | None:
    if native.single_observation_space != singles[0].observation_space:
        return f"shows {native.single_observation_space} for {singles[0].observation_space}"
    if native.single_action_space != singles[0].action_space:
        return f"takes {native.single_action_space} for {singles[0].action_space}"
    if native.metadata.get("autoreset_mode") is not AutoresetMode.NEXT_STEP:
        return "does not reset in the step after an end"  # the others show the first observation in another place
    seeds = [3, 4]
    spec, actions = read_spaces("", singles[0].observation_space, singles[0].action_space)
    random = np.random.default_rng(0)

    def differs(batch: Any, observations: list[Any]) -> bool:
        found = spec.as_batch(batch)[0]
        return any(
            view[row].tobytes() != value.astype(view.dtype).tobytes()
            for row, observation in enumerate(observations)
            for view, value in zip(spec.views(found), spec.read(observation), strict=True)
        )

    shown = [single.reset(seed=seed) for single, seed in zip(singles, seeds, strict=True)]
    observations, infos = [list(column) for column in zip(*shown, strict=True)]
    begun = native.reset(seed=seeds)[0]  # type: ignore[arg-type]
    if differs(begun, observations):
        return "begins in other states than gym.make's with the same seeds"
    theirs, ours = (spec.max_episode_steps if spec else None for spec in (native.spec, singles[0].spec))
    if theirs != ours:
        return f"is limited to {theirs} steps, and gym.make's to {ours}"
    over, ends = [False, False], [0, 0]
    reward: Any
    for _ in range(_TRIAL_STEPS):
        choices = np.concatenate([random_action_indices(actions, read_mask(info, actions), random) for info in infos])
        batch, rewards, *flags, native_infos = native.step(actions.to_environment(choices))
        for row, (single, action) in enumerate(zip(singles, actions.one_by_one(choices), strict=True)):
            if over[row]:
                (observations[row], infos[row]), reward, ended = single.reset(), 0.0, [False, False]
            else:
                observations[row], reward, *ended, infos[row] = single.step(action)
            over[row] = any(ended)
            ends[row] += over[row]
            if float(rewards[row]) != float(reward):
                return "pays other rewards than gym.make's"
            if [bool(flag[row]) for flag in flags] != [bool(flag) for flag in ended]:
                return "ends its episodes in other ways than gym.make's"
            their_mask, our_mask = _mask_of(native_infos, row), infos[row].get(KEY)
            is_masked = their_mask is not None or our_mask is not None
            if is_masked and not over[row] and not np.array_equal(their_mask, our_mask):
                return "masks other actions than gym.make's"
        if differs(batch, observations):
            return "goes on in other states than gym.make's with the same seeds"
        if min(ends) >= _TRIAL_EPISODES:
            return None
    return None if min(ends) else "ended no episode in a trial of 2,000 steps"


def _mask_of(infos: dict[str, Any], row: int) -> Any:
    """One environment's mask in a vector environment's infos, as it is; None where there is none."""
    if KEY not in infos or not infos.get(f"_{KEY}", np.ones(row + 1))[row]:
        return None
    return _row(infos[KEY], row)
