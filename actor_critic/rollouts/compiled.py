"""Collection in one compiled call: a fused policy steps compiled functional environments.

Importing this module loads Numba, so import it only where it is used.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.backends.fused import FusedPolicy, choose, forward, sparse, square_sum, widths
from actor_critic.compiling import Array, compiled_with
from actor_critic.environments import FunctionalVectorEnv
from actor_critic.environments.functional import FAILED
from actor_critic.environments.functional.compiled import CompiledExecutor, address, as_bytes, call_observe, call_step
from actor_critic.rollouts.actor import Actor
from actor_critic.rollouts.collector import Collector
from actor_critic.rollouts.rollout import Rollout
from actor_critic.spaces import ActionSpec, ObservationSpec

_NOTHING, _NO_MASKS = np.zeros(0, np.float32), np.ones((1, 1, 1), np.bool_)


class CompiledCollector(Collector):
    """Steps compiled environments with a fused policy, to the same bits as :class:`Collector`."""

    def __init__(
        self,
        environment: FunctionalVectorEnv,
        observations: ObservationSpec,
        actions: ActionSpec,
        num_steps: int,
        buffers: int = 1,
    ) -> None:
        """Allocate the arrays of rollouts; the arguments are those of :class:`Collector`."""
        super().__init__(environment, observations, actions, num_steps, 0, buffers)
        self._has_categories = any(part.is_categorical for part in observations.parts)
        steps, count = num_steps, environment.num_envs
        self._finals = np.zeros((steps, count, *observations.shape), observations.dtype)
        self._finals_as_bytes = as_bytes(self._finals).reshape(steps, -1)
        self._features = (
            None if observations.is_plain else np.zeros((steps + 1, count, observations.num_features), np.float32)
        )

    def load_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Continue the running episodes; see :meth:`Collector.load_state`."""
        super().load_state(state)
        if self._has_pauses or self._valid_steps[0] % self._num_steps:
            raise ValueError("collector.live_steps are not those of whole rollouts")

    def collect(self, policy: Any, noise: Callable[[int], npt.NDArray[np.float32]]) -> Rollout:
        """Take T steps in every environment, in one compiled call; see :meth:`Collector.collect`.

        Args:
            policy: An :class:`Actor` with a fused policy.
            noise: Returns blocks of uniform numbers.

        Raises:
            EnvironmentFault: A number is not finite, a mask allows no action, or a category is outside its space.
        """
        environment, steps, arrays = self._environment, self._num_steps, self._next_arrays()
        assert isinstance(policy, Actor) and isinstance(policy.policy, FusedPolicy)
        assert isinstance(environment, FunctionalVectorEnv) and isinstance(environment.executor, CompiledExecutor)
        kernel, episodes = environment.executor.kernel, environment.episodes
        started = time.perf_counter()
        normalizer, before = policy.features.normalizer, self._states
        affine = normalizer.affine if normalizer else None
        ended, bad, is_finite = _collect(
            kernel.step, kernel.observe, steps, environment.num_envs, len(episodes.parameters), episodes.limit,
            episodes.stream, as_bytes(episodes.parameters), episodes.versions, episodes.memory, episodes.random,
            episodes.counts,
            as_bytes(arrays.observations).reshape(steps + 1, -1),
            arrays.observations if self._features is None else self._features,
            _NO_MASKS if arrays.masks is None else arrays.masks, arrays.masks is not None,
            noise(int(self._valid_steps[0]) // steps), arrays.actions, arrays.rewards, arrays.terminated,
            arrays.truncated, self._finals_as_bytes, *policy.policy.network,
            affine is not None, *(affine or (_NOTHING, _NOTHING, _NOTHING)),
        )  # fmt: skip
        if bad >= 0:
            if bad < FAILED:
                environment.observe()  # raises an error for a mask or an observation
            raise environment.fault(bad)
        self._valid_steps += steps
        arrays.steps = steps
        finals = [self._finals[arrays.terminated | arrays.truncated]] if ended else []
        rollout = self._rollout(arrays, finals, before)
        rollout.seconds["rollout"] = time.perf_counter() - started
        if not is_finite or (ended and not self._are_finite(rollout.final_observations)):
            self._check_finite(rollout)  # raises an error
        if ended and self._has_categories:
            environment.check_finals(rollout.final_observations)
        return rollout

    def _are_finite(self, observations: npt.NDArray[Any]) -> bool:
        return all(np.isfinite(array).all() for array in self._observation_spec.floats(observations))


@compiled_with(nogil=True)
def _collect(
    step: int, observe: int, num_steps: int, count: int, num_versions: int, limit: int, stream: Array,
    parameters: Array, versions: Array, memory: Array, random: Array, counts: Array, observations: Array,
    features: Array, masks: Array, has_mask: bool, uniforms: Array, actions: Array, rewards: Array, terminated: Array,
    truncated: Array, finals: Array, sizes: Array, params: Array, layers: Array, table: Array,
    normalizes: bool, shift: Array, scale: Array, bound: Array,
) -> tuple[int, int, bool]:  # fmt: skip
    """Collect T steps of N environments.

    Observations [T + 1, bytes], features [T + 1, N, F] and masks [T + 1, N, A] have the rows of the steps; the first
    row is written again.

    Returns:
        How many episodes ended, the code of :meth:`FunctionalVectorEnv.fault` or −1, and whether all rewards and
        features are finite.
    """
    units = widths(layers)[1]
    zs, ys = np.empty(count * units, np.float32), np.empty(count * units, np.float32)
    inputs = np.empty((count, features.shape[2]), np.float32)
    ended = 0
    bad = call_observe(
        observe, 0, count, num_versions, address(parameters), address(versions), address(memory),
        address(observations[0]), address(features[0]), address(masks[0]),
    )  # fmt: skip
    for t in range(num_steps):
        if bad >= 0:
            break
        mask = masks[t] if has_mask else masks[0]
        x = features[t]
        if normalizes:
            for i in range(count):
                for j in range(inputs.shape[1]):
                    inputs[i, j] = min(max((x[i, j] - shift[j]) * scale[j], -bound[j]), bound[j])
            x = inputs
        logits = forward(sparse(x, layers), params, layers, table, zs, ys)
        choose(logits, sizes, mask, has_mask, uniforms[t], actions[t])
        result = call_step(
            step, 0, count, num_versions, limit, address(stream), address(parameters), address(versions),
            address(memory), address(random), address(counts), address(actions[t]), address(rewards[t]),
            address(terminated[t]), address(truncated[t]), address(finals[t]),
        )  # fmt: skip
        if result >= FAILED:
            return 0, result, True
        ended += result
        after = masks[t + 1] if has_mask else masks[0]
        bad = call_observe(
            observe, 0, count, num_versions, address(parameters), address(versions), address(memory),
            address(observations[t + 1]), address(features[t + 1]), address(after),
        )  # fmt: skip
    is_finite = math.isfinite(square_sum(rewards.reshape(-1))) and math.isfinite(square_sum(features.reshape(-1)))
    return ended, bad, is_finite
