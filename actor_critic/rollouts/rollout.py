"""The contract of a rollout: T steps of N environments."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Rollout:
    """T steps of N environments. A later collection overwrites the arrays; with a single buffer, the next one does.

    Attributes:
        observations: [T + 1, N, *shape]; the next collection begins with the last row.
        actions: [T, N, G] action indices.
        masks: [T, N, A], True where an action was allowed; None if all actions are always allowed.
        rewards: [T, N] float32, rewards after all wrappers.
        terminated: [T, N].
        truncated: [T, N].
        final_observations: [E, *shape], of the E episodes that ended, in order of time.
        final_steps: [E], the last step of each episode.
        final_envs: [E], the environment of each episode.
        states: [N, S], the policy's hidden states before the first step; S is 0 without memory.
        valid: [T, N], False where an environment only paused between two episodes; None if all steps are transitions.
        own_rewards: [T, N] float32, the environments' own rewards, below all wrappers; None without wrappers.
        lives_lost: [T, N], True where a lost life terminated an episode for learning, and the game went on; None if
            nowhere.
        seconds: What collecting took: "environment" and "policy", or "rollout" where one compiled call does both.
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
    lives_lost: npt.NDArray[np.bool_] | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ended(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether the step was its episode's last."""
        return self.terminated | self.truncated

    @property
    def game_ended(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether the environment's own episode ended, and not only a life."""
        return self.ended if self.lives_lost is None else self.ended & ~self.lives_lost

    @property
    def num_valid(self) -> int:
        """Return how many of the steps are transitions."""
        return self.rewards.size if self.valid is None else int(self.valid.sum())

    @property
    def resets_after(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether nothing carries over to the next step: an episode ended, or the environment paused."""
        return self.ended if self.valid is None else self.ended | ~self.valid

    @property
    def starts(self) -> npt.NDArray[np.bool_]:
        """[T, N], whether an episode began between this step and the one before it in this rollout."""
        return np.concatenate([np.zeros_like(self.ended[:1]), self.resets_after[:-1]])

    def next_observations(self) -> npt.NDArray[Any]:
        """[T, N, *shape], the observation after each step; at an episode's end, its final observation."""
        following = self.observations[1:].copy()
        following[self.final_steps, self.final_envs] = self.final_observations
        return following
