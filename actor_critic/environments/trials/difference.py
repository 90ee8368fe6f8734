"""Comparison of an environment's own vector form with single instances."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from actor_critic.environments.masks.reading import KEY, random_action_indices, read_mask
from actor_critic.environments.vector.instances import close_environment
from actor_critic.environments.vector.native import row_of
from actor_critic.errors import ConfigError, describe
from actor_critic.process import Interrupted, boundary
from actor_critic.spaces import read_spaces

_TRIAL_STEPS, _TRIAL_EPISODES = 2000, 3


def difference(
    make_native: Callable[[], gym.vector.VectorEnv[Any, Any, Any]], make: Callable[[], gym.Env[Any, Any]]
) -> str | None:
    """Compare two native environments with two single ones.

    Both get the same two seeds and the same random actions, for 2,000 steps or until each has ended three episodes.
    Observations, rewards, terminated, truncated and masks must be equal in every step.

    Returns:
        What differs, as a sentence without its subject; None if nothing differs.
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
    except BaseException as error:  # user code may raise anything, for example if it is seeded with a list
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
        return "does not reset in the step after an end"  # other modes return the first observation elsewhere
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
        action_indices = np.concatenate(
            [random_action_indices(actions, read_mask(info, actions), random) for info in infos]
        )
        batch, rewards, *flags, native_infos = native.step(actions.to_environment(action_indices))
        for row, (single, action) in enumerate(zip(singles, actions.one_by_one(action_indices), strict=True)):
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
    """Return one environment's mask from the infos of a vector environment, unchecked; None if there is none."""
    if KEY not in infos or not infos.get(f"_{KEY}", np.ones(row + 1))[row]:
        return None
    return row_of(infos[KEY], row)
