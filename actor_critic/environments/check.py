"""Whether an environment will work, found out by trying it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks import random_choices, read_mask
from actor_critic.environments.vectorized import close_environment
from actor_critic.errors import ConfigError
from actor_critic.spaces import ActionSpec, ObservationSpec

_STEPS = 1000
_SECONDS = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing found out.

    Attributes:
        verdict: "ok", "warning" (it trains, but not as one might hope) or "problem" (it will not train).
        text: What was found and, where something is wrong, the mend.
    """

    verdict: Literal["ok", "warning", "problem"]
    text: str


def check_environment(make: Callable[[], gym.Env[Any, Any]]) -> Iterator[Finding]:
    """Try an environment: its spaces, its numbers, its seeds, its episodes, its speed.

    Args:
        make: Makes one instance.

    Yields:
        Findings, as they are made; after a problem that hides all else there are no more.
    """
    env = make()
    try:
        yield from _check_spaces(env)
        contract = _check_contract(env)
        yield contract
        if contract.verdict == "problem":
            return
        yield _check_seeds(make)
        yield _check_episodes(env)
        yield _check_speed(env)
    except ConfigError as error:
        yield Finding("problem", str(error))
    except Exception as error:  # whatever somebody's environment raises
        mend = "; reset returns 2 values and step 5 in Gymnasium" if "to unpack" in str(error) else ""
        yield Finding("problem", f"it raised {type(error).__name__}: {error}{mend}")
    finally:
        close_environment(env)


def _check_spaces(env: gym.Env[Any, Any]) -> Iterator[Finding]:
    observations = ObservationSpec.from_space(env.observation_space)
    features = f"{observations.num_features} numbers for the networks"
    yield Finding("ok", f"observations: {env.observation_space}, {features}")
    actions = ActionSpec.from_space(env.action_space)
    yield Finding("ok", f"actions: {env.action_space}, {actions.num_logits} logits")


def _check_contract(env: gym.Env[Any, Any]) -> Finding:
    play = _RandomPlay(env)
    spec = ObservationSpec.from_space(env.observation_space)
    ended, largest = True, 0.0
    for step in range(1, _STEPS + 1):
        if ended:
            observation = play.reset(0 if step == 1 else None)
            arrays = _arrays(env, observation)
            if isinstance(arrays, str):
                return Finding("problem", f"reset returned {arrays}")
        result = play.step()
        if len(result) != 5:
            return Finding(
                "problem", f"step returns {len(result)} values; expected 5 (the interface before Gymnasium had 4)"
            )
        observation, reward, terminated, truncated, _ = result
        if not np.isfinite(float(reward)):
            return Finding("problem", f"step {step} returned the reward {reward}; expected a finite number")
        arrays = _arrays(env, observation)
        if isinstance(arrays, str):
            return Finding("problem", f"step {step} returned {arrays}")
        ended = terminated or truncated
        boxes = [array for array, part in zip(arrays, spec.parts, strict=True) if part.kind == "box"]
        largest = max([largest, *(float(np.abs(array).max(initial=0.0)) for array in boxes)])
    if largest > 100:
        return Finding("warning", f"observations reach {largest:.3g}: set normalize_observations to true")
    return Finding("ok", f"{_STEPS} random steps kept the contract: shapes, dtypes, finite numbers")


def _arrays(env: gym.Env[Any, Any], observation: Any) -> list[npt.NDArray[Any]] | str:
    """The arrays of an observation, or what is wrong with it."""
    try:
        arrays = ObservationSpec.from_space(env.observation_space).read(observation)
    except ValueError as error:
        return f"an observation {error}"
    if not all(np.isfinite(array).all() for array in arrays):
        return "an observation that is not finite"
    return arrays


def _check_seeds(make: Callable[[], gym.Env[Any, Any]]) -> Finding:
    first, second = make(), make()
    try:
        # The second instance has a past, the first one has none: a seeded reset must make them equal all the same.
        past = _RandomPlay(second, seed=1)
        past.reset(1)
        for _ in range(10):
            if any(past.step()[2:4]):
                break
        if _trace(first, 7) != _trace(second, 7):
            return Finding(
                "warning", "the same seed and actions gave two different episodes: runs will not be repeatable"
            )
        if _trace(first, 7) == _trace(first, 8):
            return Finding(
                "warning", "two seeds gave the same episode: either nothing in it is random, or seeds are ignored"
            )
    finally:
        close_environment(first)
        close_environment(second)
    return Finding("ok", "the same seed and actions give the same episode, also in an instance with a past")


def _trace(env: gym.Env[Any, Any], seed: int) -> list[Any]:
    play = _RandomPlay(env, seed=3)
    observation = play.reset(seed)
    trace: list[Any] = [_bytes(env, observation)]
    for _ in range(200):
        observation, reward, terminated, truncated, _ = play.step()
        trace.append((_bytes(env, observation), float(reward), bool(terminated), bool(truncated)))
        if terminated or truncated:
            break
    return trace


def _bytes(env: gym.Env[Any, Any], observation: Any) -> list[bytes]:
    return [array.tobytes() for array in ObservationSpec.from_space(env.observation_space).read(observation)]


def _check_episodes(env: gym.Env[Any, Any]) -> Finding:
    play = _RandomPlay(env)
    play.reset(0)
    lengths, length = [], 0
    for _ in range(_STEPS):
        _, _, terminated, truncated, _ = play.step()
        length += 1
        if terminated or truncated:
            lengths.append(length)
            length = 0
            play.reset()
    if lengths:
        return Finding(
            "ok", f"episodes end: {len(lengths)} in {_STEPS} random steps, {np.mean(lengths):.0f} steps on average"
        )
    if env.spec is not None and env.spec.max_episode_steps:
        return Finding("ok", f"no episode ended in {_STEPS} random steps; the limit is {env.spec.max_episode_steps}")
    return Finding("warning", f"no episode ended in {_STEPS} random steps and there is no limit: set max_episode_steps")


def _check_speed(env: gym.Env[Any, Any]) -> Finding:
    play = _RandomPlay(env)
    play.reset(0)
    steps, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < _SECONDS:
        _, _, terminated, truncated, _ = play.step()
        steps += 1
        if terminated or truncated:
            play.reset()
    return Finding("ok", f"{steps / seconds:,.0f} steps per second, one instance in one process")


class _RandomPlay:
    """Plays allowed actions at random."""

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        self._env = env
        self._actions = ActionSpec.from_space(env.action_space)
        self._random = np.random.default_rng(seed)
        self._info: dict[str, Any] = {}

    def reset(self, seed: int | None = None) -> Any:
        """Begin an episode; returns its first observation."""
        observation, self._info = self._env.reset(seed=seed)
        return observation

    def step(self) -> tuple[Any, ...]:
        """Take one action; returns whatever the environment does."""
        mask = read_mask(self._info, self._actions)
        choices = random_choices(self._actions, mask, self._random)
        result: tuple[Any, ...] = self._env.step(self._actions.one_by_one(choices)[0])
        self._info = result[4] if len(result) == 5 else {}
        return result
