"""Measure stepping alone: Gymnasium's own environments, and their compiled twins.

    python -m benchmarks.speed.stepping [--rounds N] [ID ...]

Gymnasium is measured as usual: one environment from ``gymnasium.make``, a loop over ``step``, and ``reset`` at ends.
The twins run as in a compiled collector: 64 environments on one core, T steps in one call, and after each step the
observations and masks are written. Actions are random and prepared before; with them, a masked action may be taken. A
rate is the median over rounds, and both are measured in each round. Compilation is left out.
"""

import argparse
import statistics
import time
import warnings
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.compiling import Array, compiled_with
from actor_critic.environments.functional import TWINS, Episodes, FunctionalEnvironment, Outputs, make_twin
from actor_critic.environments.functional.compiled import (
    CompiledExecutor,
    address,
    as_bytes,
    call_observe,
    call_step,
)
from actor_critic.seeding import Purpose

NUM_ENVS = 64
NUM_STEPS = 1024  # of a rollout: the actions of one call
SECONDS = 0.5  # of one measurement


@compiled_with(nogil=True)
def _collect(
    step: int, observe: int, actions: Array, limit: int, stream: Array, parameters: Array, versions: Array,
    memory: Array, random: Array, counts: Array, rewards: Array, terminated: Array, truncated: Array, finals: Array,
    observations: Array, features: Array, masks: Array,
) -> int:  # fmt: skip
    """Take the steps of actions [T, N, G], and return how many episodes ended."""
    ended = 0
    count = actions.shape[1]
    for t in range(actions.shape[0]):
        ended += call_step(
            step, 0, count, 1, limit, address(stream), address(parameters), address(versions), address(memory),
            address(random), address(counts), address(actions[t]), address(rewards), address(terminated),
            address(truncated), address(finals),
        )  # fmt: skip
        call_observe(
            observe, 0, count, 1, address(parameters), address(versions), address(memory), address(observations),
            address(features), address(masks),
        )  # fmt: skip
    return ended


class Compiled:
    """A functional environment in compiled code."""

    def __init__(self, environment: FunctionalEnvironment, count: int = NUM_ENVS) -> None:
        """Compile it, and begin the episodes of ``count`` environments."""
        executor, layout = CompiledExecutor(environment), environment.layout
        episodes = Episodes(environment, count, environment.max_episode_steps, Purpose.EPISODES)
        executor.reset(episodes)
        outputs = Outputs(layout, count)
        random = np.random.default_rng(0)
        actions = np.stack([random.integers(0, size, (NUM_STEPS, count)) for size in layout.actions.sizes], -1)
        self._count = count
        self._arguments = (
            executor.kernel.step, executor.kernel.observe, actions, episodes.limit, episodes.stream,
            as_bytes(episodes.parameters), episodes.versions, episodes.memory, episodes.random, episodes.counts,
            outputs.rewards, outputs.terminated, outputs.truncated, as_bytes(outputs.finals),
            as_bytes(outputs.observations), as_bytes(outputs.features), outputs.masks,
        )  # fmt: skip
        _collect(*self._arguments)

    def rate(self) -> float:
        """Return steps per second."""
        steps, started = 0, time.perf_counter()
        while (seconds := time.perf_counter() - started) < SECONDS:
            _collect(*self._arguments)
            steps += NUM_STEPS * self._count
        return steps / seconds


class Original:
    """An environment of Gymnasium."""

    def __init__(self, environment_id: str) -> None:
        """Make it."""
        self._environment: gym.Env[Any, Any] = gym.make(environment_id)
        size = self._environment.action_space.n  # type: ignore[attr-defined]
        self._actions = np.random.default_rng(0).integers(0, size, NUM_STEPS).tolist()

    def rate(self) -> float:
        """Return steps per second."""
        step, reset = self._environment.step, self._environment.reset
        reset(seed=0)
        steps, started = 0, time.perf_counter()
        while (seconds := time.perf_counter() - started) < SECONDS:
            for action in self._actions:
                _, _, terminated, truncated, _ = step(action)
                if terminated or truncated:
                    reset()
            steps += NUM_STEPS
        return steps / seconds


def measure(environment_id: str, rounds: int) -> tuple[float, float]:
    """Return the steps per second of an original and of its twin."""
    twin = make_twin(environment_id, {})
    assert twin is not None
    contenders = Original(environment_id), Compiled(twin)
    found = [[each.rate() for each in contenders] for _ in range(rounds)]
    original, compiled = (statistics.median(rates) for rates in zip(*found, strict=True))
    return original, compiled


def main() -> None:
    """Measure all twins whose originals are installed, or some, and print a table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed.stepping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = [environment_id for environment_id in TWINS if environment_id in gym.registry]
    parser.add_argument("ids", nargs="*", metavar="ID", help=", ".join(known))
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    if unknown := set(said.ids) - set(known):
        parser.error(f"no such environment: {', '.join(sorted(unknown))}")
    warnings.filterwarnings("ignore", message=".*out of date.*", category=DeprecationWarning)
    print(f"| {'environment':<23} | {'Gymnasium, steps/s':>18} | {'compiled, steps/s':>17} | {'ratio':>5} |")
    print(f"|{'-' * 25}|{'-' * 19}:|{'-' * 18}:|{'-' * 6}:|")
    for environment_id in said.ids or known:
        original, compiled = measure(environment_id, said.rounds)
        print(
            f"| {environment_id:<23} | {original:>18,.0f} | {compiled:>17,.0f} | {compiled / original:>5.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
