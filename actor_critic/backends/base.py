"""What every backend is given and gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from actor_critic.algorithm import Batch, Coefficients, Sequences, UpdateStatistics


@dataclass(frozen=True)
class Estimates:
    """What both networks make of a rollout, without gradient.

    Attributes:
        log_probs: [T · N], of the actions taken; None where nobody asked.
        values: [T · N], of the observations acted in.
        next_values: [N], of those that the next rollout begins with; none where their features were not given.
        value_states: [T, N, S], hidden states of the value function after every step; None without memory.
    """

    log_probs: Tensor | None
    values: Tensor
    next_values: Tensor
    value_states: Tensor | None


class ExecutedPolicy(Protocol):
    """A policy as it is, or as it was when it was frozen."""

    def act(
        self,
        features: Tensor | npt.NDArray[np.float32],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Sample choices [B, G] for features [B, F] at uniform numbers [B, G], or take the most probable for None.

        The hidden states [B, S], of no columns without memory, come back as they are afterwards.
        """

    def log_probs(self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None) -> Tensor:
        """Log-probabilities [B] of actions [B, G] for features [B, F], without gradient."""

    def frozen(self) -> "ExecutedPolicy":
        """A copy that stays as it is."""

    def state(self) -> Tensor:
        """All that it consists of, as one tensor of its own."""

    def load(self, state: Tensor) -> None:
        """Take over what :meth:`state` gave, of a policy of the same sizes."""


class Backend(Protocol):
    """Executes a policy and a value function, and moves both.

    Attributes:
        policy: The policy as it is.
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    policy: ExecutedPolicy
    first_moment: Tensor
    second_moment: Tensor
    steps: int

    def evaluate_actions(
        self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None, log_probs: bool
    ) -> Estimates:
        """Values of features [(T + 1) · N, F], and if wanted log-probabilities of actions [T · N, G]; no gradient.

        The features of the last N, which nothing was done in yet, may be left out.
        """

    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Values [B] of features [B, F] and the hidden states [B, S] afterwards, without gradient."""

    def advantages(
        self,
        rewards: npt.NDArray[np.float32],
        values: npt.NDArray[np.float32],
        next_values: npt.NDArray[np.float32],
        terminated: npt.NDArray[np.bool_],
        ended: npt.NDArray[np.bool_],
        gamma: float,
        gae_lambda: float,
    ) -> npt.NDArray[np.float32]:
        """Advantages [T, N], to the bit those of :func:`actor_critic.ops.returns.generalized_advantage`."""

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], rules: Coefficients
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch, each given by its indices into the batch."""
