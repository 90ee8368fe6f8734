"""Learner: what becomes of a rollout: scaled rewards, advantages, and the epoch's optimizer steps."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.algorithm import Batch, Coefficients, Sequences, UpdateStatistics, coefficients_of, minibatches
from actor_critic.backends import Backend
from actor_critic.config import Settings
from actor_critic.networks import FeatureMaker, RewardNormalizer
from actor_critic.rollouts import Actor, Rollout

_ROUNDING = 2 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class UpdateResult:
    """What one update did.

    Attributes:
        statistics: Means over its optimizer steps.
        explained_variance: 1 − Var(R − V) / Var(R) before the first step; None where the returns do not vary.
        learning_rate: Of this epoch.
    """

    statistics: UpdateStatistics
    explained_variance: float | None
    learning_rate: float


@dataclass(frozen=True)
class Update:
    """An update that is ready to be made.

    Attributes:
        batch: The transitions.
        minibatches: Of each optimizer step, as indices into the batch.
        rules: The coefficients.
        explained_variance: As in :class:`UpdateResult`.
    """

    batch: Batch
    minibatches: list[npt.NDArray[np.int64]]
    rules: Coefficients
    explained_variance: float | None


class Learner:
    """Moves a policy and a value function by what a rollout shows.

    Attributes:
        reward_normalizer: Running scale of the rewards; None where they stay as they are.
        value_states: [N, S], the critic's hidden states; no columns without memory.
    """

    def __init__(
        self, settings: Settings, backend: Backend, features: FeatureMaker, state_dim: int, device: torch.device
    ) -> None:
        """Begin a run's learning.

        Args:
            settings: The resolved settings.
            backend: Executes both networks.
            features: What they see.
            state_dim: S, numbers in a hidden state of the critic.
            device: Where they live.
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
            rewards: [T, N], what is to be learned from, before clipping and normalisation.
            epoch: Number of the epoch, from 1.
            actor: Who chose the actions, if not the policy as it is now.
        """
        batch, explained = self._prepare(rollout, self._training_rewards(rewards, rollout), actor)
        parts = minibatches(self._settings, epoch, rollout.valid)
        return Update(batch, parts, coefficients_of(self._settings, epoch), explained)

    def learn(self, update: Update) -> UpdateResult:
        """Take an epoch's optimizer steps.

        Raises:
            NumericalError: A loss or gradient is not finite.
        """
        statistics = self._backend.update(update.batch, update.minibatches, update.rules)
        return UpdateResult(statistics, update.explained_variance, update.rules.learning_rate)

    def forget_running_episodes(self) -> None:
        """Begin sums over steps and the critic's memory anew, where running episodes are lost."""
        self.value_states[:] = 0.0
        if self.reward_normalizer:
            self.reward_normalizer.sums[:] = 0.0

    def _training_rewards(self, rewards: npt.NDArray[np.float32], rollout: Rollout) -> npt.NDArray[np.float32]:
        if self._settings.clip_rewards is not None:
            rewards = rewards.clip(-self._settings.clip_rewards, self._settings.clip_rewards)
        return self.reward_normalizer(rewards, rollout.ended, rollout.valid) if self.reward_normalizer else rewards

    @np.errstate(over="ignore", invalid="ignore")  # bad numbers are told where the loss is
    def _prepare(
        self, rollout: Rollout, rewards: npt.NDArray[np.float32], actor: Actor | None
    ) -> tuple[Batch, float | None]:
        """All that the optimizer steps of an epoch start from, and the explained variance."""
        steps, envs = rewards.shape
        count = steps * envs
        observed = rollout.observations.reshape((steps + 1) * envs, *rollout.observations.shape[2:])
        # Before the pass below, so that the ratios of this update compare two policies under the same statistics.
        seen = observed[:count]
        self._features.update(seen if rollout.valid is None else seen[rollout.valid.reshape(-1)])
        features = self._features(observed)
        actions = self._tensor(rollout.actions.reshape(count, -1))
        masks = None if rollout.masks is None else self._tensor(rollout.masks.reshape(count, -1))
        sequences = self._sequences(rollout) if self._settings.memory is not None else None
        # Where all ended, what follows is not asked for: nothing is bootstrapped from it.
        if rollout.ended[-1].all():
            features = features[:count]
        is_single = self._settings.update_epochs * self._settings.num_minibatches == 1
        assessed = self._backend.evaluate_actions(features, actions, masks, sequences, actor is None and not is_single)
        log_probs = assessed.log_probs
        if actor is not None:
            log_probs = actor.policy.log_probs(features[:count], actions, masks, sequences)

        values = _array(assessed.values).reshape(steps, envs)
        next_values = np.zeros_like(values)
        next_values[:-1] = values[1:]
        if len(assessed.next_values):
            next_values[-1] = _array(assessed.next_values)
        self._bootstrap(next_values, rollout, assessed.value_states)
        advantages = self._backend.advantages(
            rewards,
            values,
            next_values,
            rollout.terminated,
            rollout.ended,
            self._settings.gamma,
            self._settings.gae_lambda,
        )
        returns = advantages + values
        batch = Batch(
            features[:count],
            actions,
            masks,
            log_probs,
            assessed.values,
            self._tensor(advantages.reshape(-1)),
            self._tensor(returns.reshape(-1)),
            sequences,
        )
        if rollout.valid is not None:
            advantages, returns = advantages[rollout.valid], returns[rollout.valid]
            if sequences is None:  # with memory they stay in their sequences, and are left out of the loss
                batch = batch.select(self._tensor(np.flatnonzero(rollout.valid)))
        traced = min(steps, 1 / max(1 - self._settings.gamma * self._settings.gae_lambda, 1e-9))
        return batch, _explained_variance(advantages, returns, traced)

    def _sequences(self, rollout: Rollout) -> Sequences:
        """Where a rollout's sequences begin. A shared trunk has one state for both networks: the policy's."""
        before = rollout.states if self._settings.shared_encoder else self.value_states
        return Sequences(
            self._tensor(rollout.states),
            self._tensor(before),
            self._tensor(rollout.starts),
            None if rollout.valid is None else self._tensor(rollout.valid.reshape(-1)),
        )

    def _bootstrap(self, next_values: npt.NDArray[np.float32], rollout: Rollout, states: Tensor | None) -> None:
        """Put the value of its final observation behind every step that was cut off, and keep the critic's memory.

        Args:
            next_values: [T, N], the values of the observations that follow; changed.
            rollout: The steps.
            states: [T, N, S], the critic's hidden states after each step; None without memory.
        """
        truncated = rollout.truncated[rollout.final_steps, rollout.final_envs]
        if truncated.any():
            at = rollout.final_steps[truncated], rollout.final_envs[truncated]
            features = self._features(rollout.final_observations[truncated])
            none = torch.zeros(len(features), 0, dtype=torch.float32, device=self._device)
            known = none if states is None else states[at]
            next_values[at] = _array(self._backend.values(features, known)[0])
        if states is not None:
            self.value_states = np.where(rollout.resets_after[-1][:, None], np.float32(0), _array(states[-1]))

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.cpu().numpy()
    return array


def _explained_variance(
    advantages: npt.NDArray[np.float32], returns: npt.NDArray[np.float32], traced: float
) -> float | None:
    """1 − Var(R − V) / Var(R); None where the returns vary by no more than float32 rounds them.

    A return is summed over the ``traced`` steps that an advantage reaches on average, and every step of the sum rounds
    the advantage and the value, so that the errors of the sum grow with the root of their number.
    """
    if not returns.size:
        return None
    error_mean, errors = _moments(advantages)
    mean, spread = _moments(returns)
    magnitude = error_mean**2 + errors + mean**2 + spread
    explained = 1 - errors / spread if spread > _ROUNDING**2 * traced * magnitude else math.nan
    return explained if math.isfinite(explained) else None


def _moments(array: npt.NDArray[np.float32]) -> tuple[float, float]:
    """As ``array.mean()`` and ``array.var()`` in float64, in a third of their time for a few numbers."""
    numbers = array.reshape(-1).astype(np.float64)
    mean = np.add.reduce(numbers) / numbers.size
    numbers -= mean
    numbers *= numbers
    return float(mean), float(np.add.reduce(numbers)) / numbers.size
