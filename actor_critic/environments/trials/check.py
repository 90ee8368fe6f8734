"""Check of an environment by trying it: spaces, numbers, episodes, speed, seeds."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks.reading import random_action_indices, read_mask
from actor_critic.environments.vector.instances import seed_spaces
from actor_critic.environments.vector.returned import is_truth_value
from actor_critic.errors import ConfigError, describe
from actor_critic.process import Interrupted, boundary, recognized
from actor_critic.spaces import (
    NOT_CHOSEN,
    ActionSpec,
    ObservationPart,
    ObservationSpec,
    describe_path,
    left_out,
    spaces_of,
)

_STEPS = 1000  # of the contract trial (reset and step)
_EPISODES, _EPISODE_STEPS = 16, 200  # of the seed trial
_SECONDS = 2.0  # time limit of a trial
_SECONDS_OF_SPEED = 0.5
_LARGE = 100  # larger observations cause a warning
_NOTICEABLE = 1e-4  # float32 may lose differences below this fraction of a number's range
_LEAST = 1e-8  # float32 may lose differences below this size; normalization does not recover them either
_MOST_NUMBERS = 1000  # compared one by one in each part


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        verdict: "ok", "warning" (it trains, but perhaps badly) or "problem" (it cannot train).
        text: The result and, if something is wrong, the remedy.
    """

    verdict: Literal["ok", "warning", "problem"]
    text: str


def check_environment(make: Callable[[], gym.Env[Any, Any]]) -> Iterator[Finding]:
    """Try an environment: its spaces, numbers, episodes, speed and seeds. Only one instance exists at a time.

    Args:
        make: Makes one instance.

    Yields:
        Findings, one by one. After a problem, the remaining trials are skipped.

    Raises:
        ConfigError: The environment cannot be made.
    """
    with recognized():
        env = _made(make)
        has_problem = False
        for trial in (_check_spaces, _check_contract, _check_speed, _close):
            if has_problem and trial is not _close:
                continue
            for finding in _tried(trial, env):
                has_problem |= finding.verdict == "problem"
                yield finding
        if not has_problem:
            yield from _tried(_check_seeds, make)


def _made(make: Callable[[], gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    try:
        return make()
    except (ConfigError, Interrupted):
        raise
    except BaseException as error:  # user code may raise anything
        raise ConfigError(f"environment: it cannot be made: {describe(error)}") from error


def _tried(trial: Callable[[Any], list[Finding]], subject: Any) -> list[Finding]:
    """Return the findings of a trial; an exception of the environment becomes a finding."""
    try:
        with boundary.watched():
            return trial(subject)
    except ConfigError as error:
        return [Finding("problem", str(error))]
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        mend = "; reset returns 2 values and step 5 in Gymnasium" if "to unpack" in describe(error) else ""
        return [Finding("problem", f"it raised {describe(error)}{mend}")]


def _close(env: gym.Env[Any, Any]) -> list[Finding]:
    try:
        env.close()
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        return [Finding("warning", f"close raised {describe(error)}")]
    return []


def _check_spaces(env: gym.Env[Any, Any]) -> list[Finding]:
    observation_space, action_space = spaces_of("the environment", env)
    observations = ObservationSpec.from_space(observation_space)
    features = f"{observations.num_features} numbers for the networks"
    found = [Finding("ok", f"observations: {observation_space}, {features}")]
    if unseen := left_out(observation_space):
        is_chosen = all(reason == NOT_CHOSEN for _, reason in unseen)
        hint = "" if is_chosen else "; to keep a part that matters, turn it into numbers with a wrapper"
        named = ", ".join(f"{name} ({reason})" for name, reason in unseen)
        found.append(Finding("ok" if is_chosen else "warning", f"observations: without {named}{hint}"))
    try:
        actions = ActionSpec.from_space(action_space)
    except ConfigError as error:
        return [*found, Finding("problem", str(error))]
    return [*found, Finding("ok", f"actions: {action_space}, {actions.num_logits} logits")]


def _check_contract(env: gym.Env[Any, Any]) -> list[Finding]:
    play = _RandomPlay(env)
    seen = _Seen(ObservationSpec.from_space(env.observation_space))
    lengths: list[int] = []
    length, ended = 0, True
    started = time.perf_counter()
    for step in range(1, _STEPS + 1):
        if ended:
            observation = play.reset(0 if step == 1 else None)
            if wrong := seen.look_at(observation) or play.wrong_mask():
                return [Finding("problem", f"reset returned {wrong}")]
        result = play.step()
        if len(result) != 5:
            return [
                Finding(
                    "problem", f"step returns {len(result)} values; expected 5 (the interface before Gymnasium had 4)"
                )
            ]
        observation, reward, terminated, truncated, _ = result
        if wrong := _wrong_reward(reward):
            return [Finding("problem", f"step {step} returned the reward {wrong}; expected a finite number")]
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not is_truth_value(flag):
                return [Finding("problem", f"step {step} returned {name} as {flag!r}; expected true or false")]
        ended = bool(terminated or truncated)
        if wrong := seen.look_at(observation) or ("" if ended else play.wrong_mask()):
            return [Finding("problem", f"step {step} returned {wrong}")]
        length += 1
        if ended:
            lengths.append(length)
            length = 0
        if time.perf_counter() - started > _SECONDS:
            break
    kept = Finding("ok", f"{step} random steps kept the contract: shapes, dtypes, finite numbers")
    return [*(seen.warnings() or [kept]), _episodes(env, lengths, step)]


def _wrong_reward(reward: Any) -> str | None:
    """Describe a reward that is not a finite number; return None for a finite number."""
    try:
        number = float(np.asarray(reward).reshape(()))
    except (TypeError, ValueError, OverflowError):
        return repr(reward)
    return None if np.isfinite(number) else f"{reward}"


class _Seen:
    """Records the observations of a trial."""

    def __init__(self, spec: ObservationSpec) -> None:
        self._spec = spec
        self._largest = [0.0] * len(spec.parts)
        self._wide: list[list[npt.NDArray[Any]]] = [[] for _ in spec.parts]

    def look_at(self, observation: Any) -> str | None:
        """Describe what is wrong with an observation; return None if nothing is."""
        try:
            arrays = self._spec.read(observation)
        except ValueError as error:
            return f"an observation {error}"
        for index, (array, part) in enumerate(zip(arrays, self._spec.parts, strict=True)):
            with np.errstate(over="ignore"):
                if array.dtype.kind == "f" and not np.isfinite(array.astype(np.float32)).all():
                    return "an observation that is not finite"
            if part.kind != "categories" and not part.codes:
                size = float(np.abs(array.astype(np.float64)).max(initial=0.0))
                self._largest[index] = max(self._largest[index], size * part.scale)
            if part.is_wide:
                self._wide[index].append(array.reshape(-1)[:_MOST_NUMBERS].copy())
        return None

    def warnings(self) -> list[Finding]:
        """Return findings about numbers that are difficult for networks."""
        found = []
        for part, largest, wide in zip(self._spec.parts, self._largest, self._wide, strict=True):
            where = f" at {describe_path(part.path)}" if part.path else ""
            if largest > _LARGE:
                found.append(
                    Finding("warning", f"observations{where} reach {largest:.3g}: set normalize_observations to true")
                )
            if wide and (alike := _alike_in_float32(np.stack(wide), part)):
                found.append(Finding("warning", alike))
        return found


def _alike_in_float32(seen: npt.NDArray[Any], part: ObservationPart) -> str | None:
    """Describe two numbers that are equal in float32, which networks compute in; return None if there are none.

    Args:
        seen: [observations, numbers].
        part: The part of the observation with these numbers.
    """
    for index, column in enumerate(seen.T):
        numbers = np.unique(column)
        exact = numbers.astype(np.float64)
        is_alike = np.diff(numbers.astype(np.float32)) == 0
        is_alike &= np.diff(exact) > max(_LEAST, _NOTICEABLE * (exact[-1] - exact[0]))
        if is_alike.any():
            first = int(np.argmax(is_alike))
            one, other = (
                f"{number:.17g}" if number.dtype.kind == "f" else f"{number}" for number in numbers[first:][:2]
            )
            place = describe_path((*part.path, *(int(i) for i in np.unravel_index(index, part.shape))))
            return (
                f"observations{f' at {place}' if place else ''}: {one} and {other} are equal in float32, the dtype of "
                f"the networks: set normalize_observations to true (--normalize-observations), which centres them first"
            )
    return None


def _episodes(env: gym.Env[Any, Any], lengths: list[int], steps: int) -> Finding:
    if lengths:
        return Finding(
            "ok", f"episodes end: {len(lengths)} in {steps} random steps, {np.mean(lengths):.0f} steps on average"
        )
    if env.spec is not None and env.spec.max_episode_steps:
        return Finding("ok", f"no episode ended in {steps} random steps; the limit is {env.spec.max_episode_steps}")
    if steps < _STEPS:
        return Finding("ok", f"no episode ended in {steps} random steps before the time limit; there is no step limit")
    return Finding("warning", f"no episode ended in {steps} random steps and there is no limit: set max_episode_steps")


def _check_speed(env: gym.Env[Any, Any]) -> list[Finding]:
    play = _RandomPlay(env)
    play.reset(0)
    steps, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < _SECONDS_OF_SPEED:
        _, _, terminated, truncated, _ = play.step()
        steps += 1
        if terminated or truncated:
            play.reset()
    return [Finding("ok", f"{steps / seconds:,.0f} steps per second, one instance in one process")]


def _check_seeds(make: Callable[[], gym.Env[Any, Any]]) -> list[Finding]:
    """Play the same episodes in two instances, in opposite order; if they differ, play the first in new instances."""
    started = time.perf_counter()
    first: list[_Trace] = []
    with _Instance(make) as env:
        for seed in range(_EPISODES):
            until = started + _SECONDS * (0.5 if seed == 0 else 1.0)  # at least two episodes are needed to compare them
            if seed > 1 and time.perf_counter() > until:
                break
            first.append(_trace(env, seed, _EPISODE_STEPS, until))
    again: dict[int, _Trace] = {}
    with _Instance(make) as env:
        for seed in reversed(range(len(first))):
            again[seed] = _trace(env, seed, len(first[seed]) - 1)
    tried = f"{len(first)} episodes of {min(map(len, first)) - 1} to {max(map(len, first)) - 1} steps tried"
    if all(again[seed] == trace for seed, trace in enumerate(first)):
        shortest = min(map(len, first))
        if all(trace[:shortest] == first[0][:shortest] for trace in first):
            return [
                Finding(
                    "warning", "two seeds gave the same episode: either nothing in it is random, or seeds are ignored"
                )
            ]
        return [Finding("ok", f"the same seed and actions give the same episode, also in a used instance ({tried})")]
    for _ in range(2):
        with _Instance(make) as env:
            if _trace(env, 0, len(first[0]) - 1) != first[0]:
                return [
                    Finding(
                        "warning",
                        f"the same seed and actions gave two different episodes: runs will not be repeatable ({tried})",
                    )
                ]
    return [
        Finding(
            "ok",
            f"the same seed and actions give the same episode in a new instance, but not in a used one: a run makes a "
            f"new instance for every episode, or with wrappers begins new episodes on resume ({tried})",
        )
    ]


_Trace = list[Any]
"""Record of an episode: its first observation, then each step."""


class _Instance:
    """An instance, closed at the end of the block."""

    def __init__(self, make: Callable[[], gym.Env[Any, Any]]) -> None:
        self._make = make

    def __enter__(self) -> gym.Env[Any, Any]:
        self._env = self._make()
        return self._env

    def __exit__(self, *_: object) -> None:
        _close(self._env)


def _trace(env: gym.Env[Any, Any], seed: int, steps: int, until: float = np.inf) -> _Trace:
    play = _RandomPlay(env, seed=3)
    spec = ObservationSpec.from_space(env.observation_space)

    def content(observation: Any) -> list[bytes]:
        return [array.tobytes() for array in spec.read(observation)]

    trace: _Trace = [content(play.reset(seed))]
    for step in range(steps):
        if step and time.perf_counter() > until:
            break
        observation, reward, terminated, truncated, _ = play.step()
        trace.append((content(observation), float(np.asarray(reward).reshape(())), bool(terminated), bool(truncated)))
        if terminated or truncated:
            break
    return trace


class _RandomPlay:
    """Plays allowed actions at random."""

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        self._env = env
        self._actions = ActionSpec.from_space(env.action_space)
        self._random = np.random.default_rng(seed)
        self._info: Any = {}

    def reset(self, seed: int | None = None) -> Any:
        """Begin an episode and return its first observation."""
        if seed is not None:
            seed_spaces(self._env, seed)  # as a run does
        observation, self._info = self._env.reset(seed=seed)
        return observation

    def wrong_mask(self) -> str | None:
        """Describe what is wrong with the current mask of a running episode; return None if nothing is."""
        if not isinstance(self._info, dict):
            return f"info as {self._info!r}; expected a dict"
        try:
            mask = read_mask(self._info, self._actions)
        except ValueError as error:
            return f"a mask that does not fit: {error}"
        if mask is not None and not self._actions.allows_an_action(mask[None]).all():
            return "a mask that allows no action, though the episode goes on"
        return None

    def step(self) -> tuple[Any, ...]:
        """Take one random action; return the environment's result unchecked."""
        mask = read_mask(self._info, self._actions)
        action_indices = random_action_indices(self._actions, mask, self._random)
        result: tuple[Any, ...] = self._env.step(self._actions.one_by_one(action_indices)[0])
        self._info = result[4] if len(result) == 5 else {}
        return result
