"""Executes the compiled loops on NumPy arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.compiling import Array, compiled_with
from actor_critic.environments.functional.compiled.kernel import Kernel, address, call_observe, call_reset, call_step
from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import Episodes, Executor, Outputs


class CompiledExecutor(Executor):
    """Executes compiled functions.

    Attributes:
        kernel: The compiled functions.
    """

    def __init__(self, environment: FunctionalEnvironment) -> None:
        """Compile the functions of an environment, or load them from the cache.

        Raises:
            ConfigError: A function cannot be compiled.
        """
        self.kernel = Kernel(environment.functions, environment.layout)

    @property
    def was_cached(self) -> bool:
        """Whether nothing had to be compiled."""
        return self.kernel.was_cached

    def reset(self, episodes: Episodes) -> int:
        """See :class:`Executor`."""
        bad: int = _reset(
            self.kernel.reset, len(episodes.counts), len(episodes.parameters), episodes.stream,
            as_bytes(episodes.parameters), episodes.versions, episodes.memory, episodes.random, episodes.counts,
        )  # fmt: skip
        return bad

    def step(self, episodes: Episodes, actions: npt.NDArray[np.int64], outputs: Outputs) -> int:
        """See :class:`Executor`."""
        ended: int = _step(
            self.kernel.step, len(episodes.counts), len(episodes.parameters), episodes.limit, episodes.stream,
            as_bytes(episodes.parameters), episodes.versions, episodes.memory, episodes.random, episodes.counts,
            np.ascontiguousarray(actions), outputs.rewards, outputs.terminated, outputs.truncated,
            as_bytes(outputs.finals),
        )  # fmt: skip
        return ended

    def observe(self, episodes: Episodes, outputs: Outputs) -> int:
        """See :class:`Executor`."""
        bad: int = _observe(
            self.kernel.observe, len(episodes.counts), len(episodes.parameters), as_bytes(episodes.parameters),
            episodes.versions, episodes.memory, as_bytes(outputs.observations), as_bytes(outputs.features),
            outputs.masks,
        )  # fmt: skip
        return bad


def as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the memory of a contiguous array as bytes, so that calls with any dtype have one type."""
    return np.asarray(array).reshape(-1).view(np.uint8)


@compiled_with(nogil=True)
def _reset(
    function: int, count: int, num_versions: int, stream: Array, parameters: Array, versions: Array, memory: Array,
    random: Array, counts: Array,
) -> int:  # fmt: skip
    return call_reset(
        function, 0, count, num_versions, address(stream), address(parameters), address(versions), address(memory),
        address(random), address(counts),
    )  # fmt: skip


@compiled_with(nogil=True)
def _step(
    function: int, count: int, num_versions: int, limit: int, stream: Array, parameters: Array, versions: Array,
    memory: Array, random: Array, counts: Array, actions: Array, rewards: Array, terminated: Array,
    truncated: Array, finals: Array,
) -> int:  # fmt: skip
    return call_step(
        function, 0, count, num_versions, limit, address(stream), address(parameters), address(versions),
        address(memory), address(random), address(counts), address(actions), address(rewards), address(terminated),
        address(truncated), address(finals),
    )  # fmt: skip


@compiled_with(nogil=True)
def _observe(
    function: int, count: int, num_versions: int, parameters: Array, versions: Array, memory: Array,
    observations: Array, features: Array, masks: Array,
) -> int:  # fmt: skip
    return call_observe(
        function, 0, count, num_versions, address(parameters), address(versions), address(memory),
        address(observations), address(features), address(masks),
    )  # fmt: skip
