"""Check of a functional environment: its functions in Python and compiled, and the speed of both."""

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.environments.functional import (
    Episodes,
    Executor,
    FunctionalEnvironment,
    Outputs,
    PythonExecutor,
    functions_to_try,
    make_executor,
    try_functions,
)
from actor_critic.environments.trials.check import Finding
from actor_critic.errors import ConfigError
from actor_critic.seeding import Purpose

_STEPS = 3000  # of each environment in the trial
_SECONDS = 2.0  # time limit of the trial
_SECONDS_OF_SPEED = 0.3
_COMPILED_COUNT = 64  # environments whose speed is measured in compiled code


def check_functions_of(settings: Settings) -> Iterator[Finding]:
    """Try the user's own functions, of an environment or a reward, in Python and compiled; without any, yield nothing.

    Raises:
        ConfigError: The environment cannot be made.
    """
    environment = functions_to_try(settings)
    if environment is None:
        return
    try:
        _ = environment.layout
        found = try_functions(environment, None, limit=settings.max_episode_steps, steps=10, seconds=_SECONDS)
        if found.problem:
            yield Finding("problem", found.problem)
            return
        started = time.perf_counter()
        compiled = make_executor(environment)
        seconds = time.perf_counter() - started
    except ConfigError as error:
        yield Finding("problem", str(error))
        return
    yield from _compare(environment, compiled, seconds, settings.max_episode_steps)


def _compare(
    environment: FunctionalEnvironment, compiled: Executor, seconds: float, limit: int | None
) -> Iterator[Finding]:
    """Yield what a trial of both forms finds, and their speed."""
    is_compiled = not isinstance(compiled, PythonExecutor)
    other = compiled if is_compiled else None
    found = try_functions(environment, other, limit=limit, steps=_STEPS, seconds=_SECONDS)
    if found.problem:
        yield Finding("problem", found.problem)
        return
    ended = f"{found.episodes} episodes ended"
    if found.difference:
        verdict, text = ("warning" if found.difference.is_rounding else "problem"), found.difference.text
        yield Finding("warning" if verdict == "warning" else "problem", f"Python and compiled functions differ: {text}")
        if verdict == "problem":
            return
    elif is_compiled:
        yield Finding("ok", f"Python and compiled functions agree bit by bit over {found.compared} steps, {ended}")
    else:
        yield Finding("ok", f"the functions in Python keep the contract over {found.steps} steps, {ended}")
    speed = f"{_speed(environment, PythonExecutor(environment), 1, limit):,.0f} steps per second in Python"
    if is_compiled:
        made = f"compiled in {seconds:.1f} s"
        if getattr(compiled, "was_cached", False):
            made = f"compiled code from the cache in {seconds:.2f} s"
        rate = _speed(environment, compiled, _COMPILED_COUNT, limit)
        speed = f"{made}; {speed}, {rate:,.0f} compiled with {_COMPILED_COUNT} environments in one thread"
    yield Finding("ok", speed)


def _speed(environment: FunctionalEnvironment, executor: Executor, count: int, limit: int | None) -> float:
    """Return the steps per second of ``count`` environments with random allowed actions."""
    layout = environment.layout
    limit = environment.max_episode_steps if limit is None else limit
    episodes, outputs = Episodes(environment, count, limit, Purpose.EPISODES), Outputs(layout, count)
    executor.reset(episodes)
    executor.observe(episodes, outputs)
    weights = np.random.default_rng(0).random((64, count, layout.actions.num_logits))
    ends = np.cumsum(layout.actions.sizes)[:-1]

    def draw(allowed: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        return np.stack([group.argmax(1) for group in np.split(allowed, ends, 1)], 1)

    drawn = [draw(numbers) for numbers in weights]
    steps, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < _SECONDS_OF_SPEED:
        turn = steps // count % len(weights)
        actions = draw(np.where(outputs.masks, weights[turn], -1.0)) if layout.has_masks else drawn[turn]
        executor.step(episodes, actions, outputs)
        executor.observe(episodes, outputs)
        steps += count
    return steps / seconds
