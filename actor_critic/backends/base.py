"""The interface of backends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.algorithm import (
    Batch,
    Coefficients,
    Experience,
    Portion,
    Portions,
    Sequences,
    Targets,
    UpdateStatistics,
)
from actor_critic.errors import NumericalError
from actor_critic.ranks import Memory


@dataclass(frozen=True)
class Estimates:
    """What both networks say about a rollout, without gradient, and the targets that follow.

    Attributes:
        log_probs: [T · N], of the actions taken; None if they were not requested.
        values: [T · N], of the observations acted in.
        targets: Advantages and returns.
        value_states: [T, N, S], hidden states of the value function after every step; None without memory.
    """

    log_probs: Tensor | None
    values: Tensor
    targets: Targets
    value_states: Tensor | None


@dataclass(frozen=True)
class Learned:
    """The result of learning from a rollout.

    Attributes:
        statistics: Means over the optimizer steps.
        explained_variance: As in :class:`actor_critic.algorithm.Targets`.
        value_states: As in :class:`Estimates`.
    """

    statistics: UpdateStatistics
    explained_variance: float | None
    value_states: Tensor | None = None


def batch_of(experience: Experience, estimates: Estimates) -> Batch:
    """Return the transitions of a rollout, without those that are not valid.

    Sequences stay complete, and the loss ignores their steps that are not valid.
    """
    features, count, sequences = experience.features, len(experience.actions), experience.sequences

    def tensor(array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.reshape(-1)).to(features.device)

    batch = Batch(
        features[:count],
        experience.actions,
        experience.masks,
        estimates.log_probs if experience.log_probs is None else experience.log_probs,
        estimates.values,
        tensor(estimates.targets.advantages),
        tensor(estimates.targets.returns),
        sequences,
    )
    if experience.valid is None or sequences is not None:
        return batch
    return batch.select(tensor(np.flatnonzero(experience.valid)))


class ExecutedPolicy(Protocol):
    """A policy that acts: the current one or a frozen copy."""

    def act(
        self,
        features: Tensor | npt.NDArray[np.float32],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Sample action indices for a batch of features, or take the most probable ones.

        Args:
            features: [B, F].
            uniforms: [B, G] random numbers in [0, 1) for sampling; None takes the most probable action indices.
            mask: [B, A], True where a choice is allowed; None allows all.
            state: [B, S], hidden states before the step; no columns without memory.

        Returns:
            Action indices [B, G], and hidden states [B, S] after the step.
        """

    def log_probs(self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None) -> Tensor:
        """Return log-probabilities [B] of actions [B, G] for features [B, F], without gradient."""

    def frozen(self) -> "ExecutedPolicy":
        """Return a copy that no update changes."""

    def state(self) -> Tensor:
        """Return a copy of all parameters as one tensor."""

    def load(self, state: Tensor) -> None:
        """Load what :meth:`state` returned for a policy of the same sizes."""


class Backend(Protocol):
    """Executes a policy and a value function, and updates both.

    Attributes:
        is_compiled: Whether :meth:`update_in_memory` exists.
        policy: The current policy.
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    is_compiled: bool
    policy: ExecutedPolicy
    first_moment: Tensor
    second_moment: Tensor
    steps: int

    def estimate(self, experience: Experience, log_probs: bool, gamma: float, gae_lambda: float) -> Estimates:
        """Evaluate a rollout: values, targets, and, if requested, log-probabilities of the actions.

        Args:
            experience: The rollout.
            log_probs: Whether to return log-probabilities.
            gamma: Discount per step, in [0, 1].
            gae_lambda: Trace decay λ, in [0, 1].
        """

    def learn(
        self, experience: Experience, minibatches: Sequence[npt.NDArray[np.int64]], coefficients: Coefficients,
        gamma: float, gae_lambda: float,
    ) -> Learned:  # fmt: skip
        """Estimate the targets of a rollout, and take one optimizer step per minibatch.

        Args:
            experience: The rollout.
            minibatches: Indices into the transitions of the rollout; those that are not valid do not count.
            coefficients: The coefficients of the epoch.
            gamma: Discount per step, in [0, 1].
            gae_lambda: Trace decay λ, in [0, 1].

        Raises:
            NumericalError: A loss or gradient is not finite; its optimizer step is not taken.
        """
        wants_log_probs = experience.log_probs is None and len(minibatches) > 1  # in a single step all ratios are 1
        estimates = self.estimate(experience, wants_log_probs, gamma, gae_lambda)
        batch = batch_of(experience, estimates)
        try:
            statistics = self.update(batch, minibatches, coefficients)
        except NumericalError as error:
            error.batch = batch.tensors()
            raise
        return Learned(statistics, estimates.targets.explained_variance, estimates.value_states)

    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [B] and the next hidden states [B, S] for features [B, F], without gradient."""

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], coefficients: Coefficients
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch; a minibatch is given by its indices into the batch.

        Raises:
            NumericalError: A loss or gradient is not finite; its optimizer step is not taken.
        """

    def gradient(self, batch: Batch, portion: Portion, coefficients: Coefficients) -> npt.NDArray[np.float64]:
        """Write the gradient of a portion of a minibatch into the flat buffer; a data-parallel update sums these.

        Returns:
            The metrics of the portion [5], in the order of :class:`actor_critic.algorithm.Metrics`.
        """

    def step(self, coefficients: Coefficients) -> float:
        """Clip the gradient in the flat buffer, and take an optimizer step with it.

        Returns:
            The gradient's norm before clipping; if it is not finite, no step was taken.
        """

    def update_in_memory(
        self, batch: Batch, portions: Portions, coefficients: Coefficients, memory: Memory
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch, with the sums over all ranks in their shared memory.

        Raises:
            NumericalError: A gradient is not finite; its optimizer step is not taken.
            RankFault: Another rank has ended, or does not come in time.
        """
