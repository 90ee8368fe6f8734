"""Measurement of the number of processes that steps the environments fastest."""

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.environments.vector.workers import WorkerVectorEnv
from actor_critic.process import boundary, cores
from actor_critic.spaces import ActionSpec, read_spaces

_SECONDS = 0.3  # measured for each number of processes
_WARM_UP = 20  # steps before the measurement: first calls import and allocate
_CHEAP = 100e-6  # seconds: if all environments step faster than this, messages between processes cost too much
_WORTH = 1.15  # more processes must be faster by this factor


def measure_workers(
    make: Callable[[], gym.Env[Any, Any]],
    num_envs: int,
    *,
    seed: int,
    separate_processes: bool,
    reserved_cores: int,
    timeout: float,
) -> tuple[int, str]:
    """Step environments with random actions in one process, then in 2, 4 … as long as more are faster.

    The number changes no transition, so the measurement affects only the duration of a run.

    Args:
        make: Makes one environment.
        num_envs: N.
        seed: Seed of the episodes.
        separate_processes: Whether only worker processes step environments, so that this process survives a crash.
        reserved_cores: Cores for other work; each of the other cores gets at most one process.
        timeout: Seconds after which a worker that does not reply counts as dead.

    Returns:
        The number of processes to use, and the measurements in words.

    Raises:
        ConfigError: An environment cannot be made.
        EnvironmentFault: An environment failed, or a worker did not start.
    """

    def in_processes(workers: int) -> WorkerVectorEnv:
        return WorkerVectorEnv(
            make,
            num_envs,
            workers,
            separate_processes=separate_processes,
            reserved_cores=reserved_cores,
            timeout=timeout,
        )

    best, rate = 1, _rate(in_processes(1) if separate_processes else SameStepVectorEnv(make, num_envs), seed)
    found = f"{rate:,.0f} steps per second in one process"
    if rate > num_envs / _CHEAP and not separate_processes:
        return 1, f"{found}, too fast to gain from more processes"
    most = max(1, min(cores.available() - reserved_cores, num_envs))
    for workers in sorted({*(2**k for k in range(1, most.bit_length())), most} - {0, 1}):
        faster = _rate(in_processes(workers), seed)
        found += f", {faster:,.0f} in {workers}"
        if faster < _WORTH * rate:
            break
        best, rate = workers, faster
    return best, found


def _rate(environment: SameStepVectorEnv | WorkerVectorEnv, seed: int) -> float:
    """Return environment steps per second under random actions, and close the environments."""
    spaces = environment.single_observation_space, environment.single_action_space
    _, actions = read_spaces("environment", *spaces)
    try:
        with boundary.watched():
            return _steps_per_second(environment, actions, seed)
    finally:
        environment.close()


def _steps_per_second(environment: SameStepVectorEnv | WorkerVectorEnv, actions: ActionSpec, seed: int) -> float:
    from actor_critic.ops.categorical import choose  # imports PyTorch, which workers start much faster without

    draw = np.random.default_rng(0)
    even = np.zeros((environment.num_envs, actions.num_logits), np.float32)
    masks = environment.begin(seed).masks
    steps, started = -_WARM_UP, time.perf_counter()
    while (seconds := time.perf_counter() - started) < _SECONDS or steps <= 0:
        numbers = draw.random((environment.num_envs, actions.num_groups), np.float32)
        masks = environment.step_indices(choose(even, actions.sizes, masks, numbers)).masks
        steps += 1
        if steps == 0:
            started = time.perf_counter()
    return steps * environment.num_envs / seconds
