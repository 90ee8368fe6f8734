"""The contract of a rollout: T steps of N environments."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Rollout:
    """T steps of N environments. The arrays are overwritten by a later collection, the next one with a single buffer.

    Attributes:
        observations: [T + 1, N, *shape]; the last row is what the next collection begins with.
        actions: [T, N, G] action indices.
        masks: [T, N, A], True where an action was allowed; None where all always are.
        rewards: [T, N] float32, what the environments paid, wrappers included.
        terminated: [T, N].
        truncated: [T, N].
        final_observations: [E, *shape], of the E episodes that ended, in order of time.
        final_steps: [E], the step each ended in.
        final_envs: [E], the environment each ended in.
        states: [N, S], the policy's hidden states before the first step; no columns without memory.
        valid: [T, N], False where an environment only paused between two episodes; None where all are transitions.
        own_rewards: [T, N] float32, what they paid below all wrappers; None where there are none.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[np.int64]
    masks: npt.NDArray[np.bool_] | None
    rewards: npt.NDArray[np.float32]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    final_observations: npt.NDArray[Any]
    final_steps: npt.NDArray[np.int64]
    final_envs: npt.NDArray[np.int64]
    states: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_] | None = None
    own_rewards: npt.NDArray[np.float32] | None = None

    @property
    def ended(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether the step was its episode's last."""
        return self.terminated | self.truncated

    @property
    def num_valid(self) -> int:
        """Return how many of the steps are transitions."""
        return self.rewards.size if self.valid is None else int(self.valid.sum())

    @property
    def resets_after(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether what follows a step knows nothing of it: an episode ended there, or paused."""
        return self.ended if self.valid is None else self.ended | ~self.valid

    @property
    def starts(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether an episode began between this step and the one before it in this rollout."""
        return np.concatenate([np.zeros_like(self.ended[:1]), self.resets_after[:-1]])

    def next_observations(self) -> npt.NDArray[Any]:
        """[T, N, *shape], what followed each step: at an episode's end its final observation."""
        following = self.observations[1:].copy()
        following[self.final_steps, self.final_envs] = self.final_observations
        return following
