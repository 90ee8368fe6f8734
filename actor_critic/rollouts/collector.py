"""Collection of transitions: a policy steps environments, and their transitions fill preallocated arrays."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.environments import Observed, Step, VectorEnvironment
from actor_critic.errors import EnvironmentFault
from actor_critic.process import boundary
from actor_critic.rollouts.rollout import Rollout
from actor_critic.spaces import ActionSpec, ObservationSpec

log = logging.getLogger("actor_critic")

Policy = Callable[
    [npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.bool_] | None, npt.NDArray[np.float32]],
    tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]],
]
"""Takes observations [N, *shape], uniform numbers [N, G], masks [N, A] or None, and hidden states [N, S]. Returns
action indices [N, G] and new hidden states [N, S]."""


class _Arrays:
    """The arrays of one rollout.

    Attributes:
        steps: Number of steps in use.
    """

    def __init__(self, observations: ObservationSpec, actions: ActionSpec, steps: int, count: int) -> None:
        self.steps = steps
        self.observations = np.zeros((steps + 1, count, *observations.shape), observations.dtype)
        self.actions = np.zeros((steps, count, actions.num_groups), np.int64)
        self.masks: npt.NDArray[np.bool_] | None = None  # [T + 1, N, A] once the environments gave one
        self.rewards = np.zeros((steps, count), np.float32)
        self.own_rewards: npt.NDArray[np.float32] | None = None  # [T, N] once the environments gave some
        self.terminated = np.zeros((steps, count), np.bool_)
        self.truncated = np.zeros((steps, count), np.bool_)
        self.lives_lost = np.zeros((steps, count), np.bool_)
        self.valid = np.ones((steps, count), np.bool_)


class Collector:
    """Steps environments with a policy and records the transitions."""

    def __init__(
        self,
        environment: VectorEnvironment,
        observations: ObservationSpec,
        actions: ActionSpec,
        num_steps: int,
        state_dim: int = 0,
        buffers: int = 1,
    ) -> None:
        """Allocate the arrays of rollouts.

        Args:
            environment: N environments.
            observations: Their observation space.
            actions: Their action space.
            num_steps: T.
            state_dim: S, numbers in a hidden state of the policy.
            buffers: Number of rollout buffers. They are used in turn, so later rollouts overwrite earlier ones.
        """
        count = environment.num_envs
        self._environment = environment
        self._observation_spec = observations
        self._started = False
        self._num_steps = num_steps
        # An environment that pauses between two episodes pauses at most in every other step.
        room = 2 * num_steps if environment.pauses else num_steps
        self._buffers = [_Arrays(observations, actions, room, count) for _ in range(buffers)]
        self._arrays = self._buffers[0]
        self._states = np.zeros((count, state_dim), np.float32)
        self._has_pauses = False  # once an environment paused
        self._valid_steps = np.zeros(count, np.int64)  # since the run began
        self._num_groups = actions.num_groups
        self._seconds_per_step = self._in_environment = 0.0
        self._has_warned = False

    def reset(self, seed: int) -> None:
        """Begin the first episodes of a run."""
        self._begin(self._environment.begin(seed))

    @np.errstate(over="ignore")  # a reward too large for float32 is reported with those that are not finite
    def collect(self, policy: Policy, noise: Callable[[int], npt.NDArray[np.float32]]) -> Rollout:
        """Take T steps in every environment, or more if some pause, until there are T · N transitions.

        Args:
            policy: Chooses the actions.
            noise: Returns block k [T, N, G] of the run's uniform numbers. Transition j of environment i uses entry
                (j mod T, i) of block j // T; pauses do not count.

        Raises:
            EnvironmentFault: An environment failed, or returned a number that is not finite.
        """
        last, arrays = self._arrays, self._next_arrays()
        arrays.observations[0] = last.observations[last.steps]
        if arrays.masks is not None and last.masks is not None:
            arrays.masks[0] = last.masks[last.steps]
        arrays.valid.fill(True)
        arrays.lives_lost.fill(False)
        before = self._states
        started = time.perf_counter()
        with boundary.watched():
            finals = self._fill(arrays, policy, noise)
        seconds = time.perf_counter() - started
        self._seconds_per_step = seconds / arrays.rewards[: arrays.steps].size
        rollout = self._rollout(arrays, finals, before)
        rollout.seconds.update(environment=self._in_environment, policy=seconds - self._in_environment)
        self._check_finite(rollout)
        return rollout

    def _next_arrays(self) -> _Arrays:
        """Return the arrays of the next rollout."""
        assert self._started, "reset or load_state comes before the first collection"
        self._buffers.append(self._buffers.pop(0))
        self._arrays = self._buffers[-1]
        return self._arrays

    def _fill(
        self, arrays: _Arrays, policy: Policy, noise: Callable[[int], npt.NDArray[np.float32]]
    ) -> list[npt.NDArray[Any]]:
        """Step the environments until the arrays hold a rollout, and return the final observations."""
        finals: list[npt.NDArray[Any]] = []
        uniforms = _Uniforms(noise, self._num_steps)
        block = None if self._has_pauses else uniforms.from_the_start_of(self._valid_steps)
        take_step, has_memory = self._environment.step_indices, self._states.size > 0
        missing = self._num_steps * self._environment.num_envs
        clock, in_environment = time.perf_counter, 0.0
        for t in range(len(arrays.rewards)):
            mask = None if arrays.masks is None else arrays.masks[t]
            numbers = uniforms.at(self._valid_steps) if block is None or self._has_pauses else block[t]
            action_indices, states = policy(arrays.observations[t], numbers, mask, self._states)
            began = clock()
            step = take_step(action_indices)
            in_environment += clock() - began
            if step.lives_lost is not None:
                arrays.lives_lost[t] = step.lives_lost
                step = _as_learning_sees(step, step.lives_lost)
            arrays.actions[t] = action_indices
            arrays.observations[t + 1] = step.observations
            arrays.rewards[t] = step.rewards
            arrays.terminated[t] = step.terminated
            arrays.truncated[t] = step.truncated
            if has_memory:
                self._states = states
                self._states[step.terminated | step.truncated] = 0.0
            self._valid_steps += 1
            missing -= len(action_indices)
            if step.masks is not None:
                self._keep_masks(t + 1, step.masks)
            if step.own_rewards is not None:
                self._keep_own_rewards(t, step.own_rewards)
            if step.final_observations is not None:
                finals.append(step.final_observations[step.terminated | step.truncated])
            if step.valid is not None:
                self._keep_valid(t, step.valid)
                missing += int((~step.valid).sum())
            if missing <= 0:
                break
        arrays.steps = t + 1
        self._in_environment = in_environment
        return finals

    def _rollout(self, arrays: _Arrays, finals: list[npt.NDArray[Any]], states: npt.NDArray[np.float32]) -> Rollout:
        used = slice(arrays.steps)
        steps, envs = np.nonzero(arrays.terminated[used] | arrays.truncated[used])
        return Rollout(
            arrays.observations[: arrays.steps + 1],
            arrays.actions[used],
            None if arrays.masks is None else arrays.masks[used],
            arrays.rewards[used],
            arrays.terminated[used],
            arrays.truncated[used],
            np.concatenate(finals) if finals else arrays.observations[:0, 0],
            steps,
            envs,
            states,
            arrays.valid[used] if self._has_pauses else None,
            None if arrays.own_rewards is None else arrays.own_rewards[used],
            arrays.lives_lost[used] if arrays.lives_lost.any() else None,
        )

    def save_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state that rebuilds the running episodes and the policy's hidden states."""
        state = self._environment.save_state()
        self._warn_of_long_replays(state)
        return {
            **state,
            "collector.memory": self._states.copy(),
            "collector.live_steps": self._valid_steps.copy(),
        }

    def load_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Rebuild the running episodes."""
        own = ("collector.memory", "collector.live_steps")
        mine: tuple[npt.NDArray[Any], ...] = (self._states, self._valid_steps)
        for name, expected in zip(own, mine, strict=True):
            if (state[name].shape, state[name].dtype) != (expected.shape, expected.dtype):
                raise ValueError(f"{name} has another shape or dtype")
        self._states, self._valid_steps = (state[name].copy() for name in own)
        if (self._valid_steps < 0).any():
            raise ValueError(f"{own[1]} counts backwards")
        self._has_pauses = bool((self._valid_steps != self._valid_steps[0]).any())
        self._begin(self._environment.load_state({name: array for name, array in state.items() if name not in own}))

    def go_on_in(self, environment: VectorEnvironment, episodes: dict[str, npt.NDArray[Any]]) -> None:
        """Continue in new environments of the same kind, with the running episodes that the old ones saved."""
        environment.load_state(episodes)
        self._environment = environment

    def reset_hidden_state(self) -> None:
        """Reset the policy's hidden states."""
        self._states[:] = 0.0

    def _warn_of_long_replays(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Warn once if a resume from here would take long, estimated from the duration of the last rollout."""
        steps = int(state["lengths"].sum()) // self._num_groups if "lengths" in state else 0
        minutes = steps * self._seconds_per_step / 60
        if minutes > 1 and not self._has_warned:
            self._has_warned = True
            log.warning(
                "replay: a resume from here repeats the %d steps of the running episodes, in about %.0f minutes; set "
                "max_episode_steps to bound this, or replay none to begin new episodes instead",
                steps,
                minutes,
            )

    def _begin(self, observed: Observed) -> None:
        self._arrays.observations[self._arrays.steps] = observed.observations
        if observed.masks is not None:
            self._keep_masks(self._arrays.steps, observed.masks)
        self._started = True

    def _keep_masks(self, row: int, masks: npt.NDArray[np.bool_]) -> None:
        """Keep the masks of a row of observations."""
        if self._arrays.masks is None:
            # Masks usually begin with the first observation; rows before the first mask allow all actions.
            for arrays in self._buffers:
                arrays.masks = np.ones((len(arrays.observations), *masks.shape), np.bool_)
        assert self._arrays.masks is not None
        self._arrays.masks[row] = masks

    def _keep_own_rewards(self, t: int, rewards: npt.NDArray[np.float64]) -> None:
        if self._arrays.own_rewards is None:
            for arrays in self._buffers:
                arrays.own_rewards = np.zeros_like(arrays.rewards)
        assert self._arrays.own_rewards is not None
        self._arrays.own_rewards[t] = rewards

    def _keep_valid(self, t: int, valid: npt.NDArray[np.bool_]) -> None:
        """Record which rows of a step are transitions; the others only reset."""
        self._has_pauses = True
        self._arrays.valid[t] = valid
        self._valid_steps -= ~valid
        self._states[~valid] = 0.0

    def _check_finite(self, rollout: Rollout) -> None:
        """Raise an error for numbers that are not finite, before an optimizer step uses them."""
        floats = self._observation_spec.floats
        for what, arrays in (
            ("reward", [rollout.rewards]),
            ("own reward", [] if rollout.own_rewards is None else [rollout.own_rewards]),
            ("observation", floats(rollout.observations)),
            ("final observation", floats(rollout.final_observations) if len(rollout.final_steps) else []),
        ):
            for array in arrays:
                if not np.isfinite(array).all():
                    first = np.argwhere(~np.isfinite(array))[0]
                    if what == "final observation":
                        step, env = rollout.final_steps[first[0]], rollout.final_envs[first[0]]
                    else:
                        # Row t + 1 of the observations is what step t returned, or the reset that came after it.
                        step, env = first[0] - (what == "observation"), first[1]
                    when = f"of step {step} of this rollout" if step >= 0 else "before step 0 of this rollout"
                    spec = self._environment.spec
                    name = f"{spec.id}, " if spec else ""
                    raise EnvironmentFault(f"{name}environment {env}: the {what} {when} is not finite")


def _as_learning_sees(step: Step, lives_lost: npt.NDArray[np.bool_]) -> Step:
    """Return a step in which a lost life terminates the episode; the next life begins with its final observation."""
    finals = step.observations.copy()
    if step.final_observations is not None:
        ended = step.terminated | step.truncated
        finals[ended] = step.final_observations[ended]
    return replace(step, terminated=step.terminated | lives_lost, final_observations=finals)


class _Uniforms:
    """The uniform numbers of a rollout; each depends only on the environment and its number of valid steps."""

    def __init__(self, noise: Callable[[int], npt.NDArray[np.float32]], num_steps: int) -> None:
        self._noise = noise
        self._num_steps = num_steps
        self._blocks: dict[int, npt.NDArray[np.float32]] = {}

    def from_the_start_of(self, valid_steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float32] | None:
        """Return the block [T, N, G] if the environments are at its start, else None."""
        block, row = divmod(int(valid_steps[0]), self._num_steps)
        return self._block(block) if row == 0 else None

    def at(self, valid_steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return numbers [N, G] for each environment's next transition."""
        blocks, rows = np.divmod(valid_steps, self._num_steps)
        numbers = np.empty_like(self._block(int(blocks[0]))[0])
        for k in sorted(set(blocks.tolist())):
            envs = np.flatnonzero(blocks == k)
            numbers[envs] = self._block(k)[rows[envs], envs]
        return numbers

    def _block(self, k: int) -> npt.NDArray[np.float32]:
        if k not in self._blocks:
            self._blocks[k] = self._noise(k)
        return self._blocks[k]
