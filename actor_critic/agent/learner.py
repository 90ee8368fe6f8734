"""Learner: turns a rollout into features, targets and minibatches, and updates the networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.algorithm import (
    Batch,
    Coefficients,
    Sequences,
    UpdateStatistics,
    bootstrap_values,
    clip_rewards,
    coefficients_of,
    compute_targets,
    minibatches,
)
from actor_critic.backends import Backend
from actor_critic.config import Settings
from actor_critic.networks import FeatureMaker, RewardNormalizer
from actor_critic.rollouts import Actor, Rollout

_NO_VALUES: npt.NDArray[np.float32] = np.zeros(0, np.float32)


@dataclass(frozen=True)
class UpdateResult:
    """The result of one update.

    Attributes:
        statistics: Means over its optimizer steps.
        explained_variance: 1 − Var(R − V) / Var(R) before the first step; None if the returns are constant.
        learning_rate: The learning rate of this epoch.
    """

    statistics: UpdateStatistics
    explained_variance: float | None
    learning_rate: float


@dataclass(frozen=True)
class Update:
    """A prepared update.

    Attributes:
        batch: The transitions.
        minibatches: Indices into the batch, for each optimizer step.
        coefficients: The coefficients of the epoch.
        explained_variance: As in :class:`UpdateResult`.
    """

    batch: Batch
    minibatches: list[npt.NDArray[np.int64]]
    coefficients: Coefficients
    explained_variance: float | None


class Learner:
    """Updates a policy and a value function from rollouts.

    Attributes:
        reward_normalizer: Running scale of the rewards; None without normalisation.
        value_states: [N, S], the critic's hidden states; S = 0 without memory.
    """

    def __init__(
        self, settings: Settings, backend: Backend, features: FeatureMaker, state_dim: int, device: torch.device
    ) -> None:
        """Start with no running statistics and with hidden states of 0.

        Args:
            settings: The resolved settings.
            backend: Executes both networks.
            features: Makes the networks' inputs from observations.
            state_dim: S, the size of the critic's hidden state.
            device: The device of the networks.
        """
        self.reward_normalizer = (
            RewardNormalizer(settings.num_envs, settings.gamma) if settings.normalize_rewards else None
        )
        self.value_states = np.zeros((settings.num_envs, state_dim), np.float32)
        self._settings = settings
        self._backend = backend
        self._features = features
        self._device = device

    def prepare(self, rollout: Rollout, rewards: npt.NDArray[np.float32], epoch: int, actor: Actor | None) -> Update:
        """Clip and normalise rewards, estimate advantages, and draw the minibatches of the epoch's optimizer steps.

        Args:
            rollout: T steps of N environments.
            rewards: [T, N], the training rewards before clipping and normalisation.
            epoch: Number of the epoch, from 1.
            actor: The policy that chose the actions, if it is not the current one.
        """
        rewards = clip_rewards(rewards, self._settings.clip_rewards)
        if self.reward_normalizer:
            rewards = self.reward_normalizer(rewards, rollout.ended, rollout.valid)
        batch, explained_variance = self._batch(rollout, rewards, actor)
        parts = minibatches(self._settings, epoch, rollout.valid)
        return Update(batch, parts, coefficients_of(self._settings, epoch), explained_variance)

    def learn(self, update: Update) -> UpdateResult:
        """Take an epoch's optimizer steps.

        Raises:
            NumericalError: A loss or gradient is not finite.
        """
        statistics = self._backend.update(update.batch, update.minibatches, update.coefficients)
        return UpdateResult(statistics, update.explained_variance, update.coefficients.learning_rate)

    def forget_running_episodes(self) -> None:
        """Reset discounted reward sums and the critic's hidden states, because running episodes are lost."""
        self.value_states[:] = 0.0
        if self.reward_normalizer:
            self.reward_normalizer.sums[:] = 0.0

    @np.errstate(over="ignore", invalid="ignore")  # the update reports numbers that are not finite
    def _batch(
        self, rollout: Rollout, rewards: npt.NDArray[np.float32], actor: Actor | None
    ) -> tuple[Batch, float | None]:
        """Return the batch for an epoch's optimizer steps, and the explained variance."""
        steps, envs = rewards.shape
        count = steps * envs
        observed = rollout.observations.reshape((steps + 1) * envs, *rollout.observations.shape[2:])
        # Before the forward pass, so that the ratios compare two policies with the same statistics.
        seen = observed[:count]
        self._features.update(seen if rollout.valid is None else seen[rollout.valid.reshape(-1)])
        features = self._features(observed)
        actions = self._tensor(rollout.actions.reshape(count, -1))
        masks = None if rollout.masks is None else self._tensor(rollout.masks.reshape(count, -1))
        sequences = self._sequences(rollout) if self._settings.memory is not None else None
        # If all episodes ended in the last step, no value is bootstrapped from the observations after it.
        all_ended = bool(rollout.ended[-1].all())
        if all_ended:
            features = features[:count]
        is_single = self._settings.update_epochs * self._settings.num_minibatches == 1
        estimates = self._backend.evaluate_actions(features, actions, masks, sequences, actor is None and not is_single)
        log_probs = estimates.log_probs
        if actor is not None:
            log_probs = actor.policy.log_probs(features[:count], actions, masks, sequences)

        values = _array(estimates.values).reshape(steps, envs)
        last_values = None if all_ended else _array(estimates.next_values)
        next_values = bootstrap_values(values, last_values, *self._final_values(rollout, estimates.value_states))
        if estimates.value_states is not None:
            after = _array(estimates.value_states[-1])
            self.value_states = np.where(rollout.resets_after[-1][:, None], np.float32(0), after)
        targets = compute_targets(
            rewards,
            values,
            next_values,
            rollout.terminated,
            rollout.ended,
            self._settings.gamma,
            self._settings.gae_lambda,
            rollout.valid,
            self._backend.advantages,
        )
        batch = Batch(
            features[:count],
            actions,
            masks,
            log_probs,
            estimates.values,
            self._tensor(targets.advantages.reshape(-1)),
            self._tensor(targets.returns.reshape(-1)),
            sequences,
        )
        if rollout.valid is not None and sequences is None:  # sequences stay complete; the loss ignores invalid steps
            batch = batch.select(self._tensor(np.flatnonzero(rollout.valid)))
        return batch, targets.explained_variance

    def _sequences(self, rollout: Rollout) -> Sequences:
        """Return where a rollout's sequences begin; with a shared trunk, both networks use the policy's state."""
        before = rollout.states if self._settings.shared_encoder else self.value_states
        return Sequences(
            self._tensor(rollout.states),
            self._tensor(before),
            self._tensor(rollout.starts),
            None if rollout.valid is None else self._tensor(rollout.valid.reshape(-1)),
        )

    def _final_values(
        self, rollout: Rollout, states: Tensor | None
    ) -> tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
        """Return the steps and environments where episodes were truncated, and the values of their final observations.

        Args:
            rollout: The steps.
            states: [T, N, S], the critic's hidden states after each step; None without memory.
        """
        at = rollout.final_steps, rollout.final_envs
        if not len(at[0]):  # most epochs of a few steps end no episode
            return at, _NO_VALUES
        truncated = rollout.truncated[at]
        at = at[0][truncated], at[1][truncated]
        if not len(at[0]):
            return at, _NO_VALUES
        features = self._features(rollout.final_observations[truncated])
        none = torch.zeros(len(features), 0, dtype=torch.float32, device=self._device)
        return at, _array(self._backend.values(features, none if states is None else states[at])[0])

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.cpu().numpy()
    return array
