"""Learner: turns a rollout into features, targets and minibatches, and updates the networks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.algorithm import (
    Batch,
    Coefficients,
    Experience,
    Portions,
    Sequences,
    UpdateStatistics,
    clip_rewards,
    coefficients_of,
    minibatches,
    portions,
    whole_targets,
)
from actor_critic.backends import Backend, Learned, batch_of, enough_memory, update_in_parallel
from actor_critic.config import Settings
from actor_critic.errors import NumericalError
from actor_critic.networks import FeatureMaker, FlatParameters, RewardNormalizer, update_moments
from actor_critic.ranks import ALONE, Ranks
from actor_critic.rollouts import Actor, Rollout


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
        experience: The rollout as input of the networks.
        minibatches: Indices into its transitions, for each optimizer step.
        coefficients: The coefficients of the epoch.
        part: This rank's part of the update of several ranks; None on one.
    """

    experience: Experience
    minibatches: list[npt.NDArray[np.int64]]
    coefficients: Coefficients
    part: "Part | None" = None


@dataclass(frozen=True)
class Part:
    """The part of an update that one of several ranks has.

    Attributes:
        batch: The transitions that this rank collected.
        portions: The ones in each minibatch.
        explained_variance: Of the transitions of all ranks, as in :class:`UpdateResult`.
    """

    batch: Batch
    portions: Portions
    explained_variance: float | None


class Learner:
    """Updates a policy and a value function from rollouts.

    Attributes:
        reward_normalizer: Running scale of the rewards; None without normalisation.
        value_states: [N, S], the critic's hidden states; S = 0 without memory.

    On several ranks, N is the number of this rank's environments.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        parameters: FlatParameters,
        features: FeatureMaker,
        state_dim: int,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        """Start with no running statistics and with hidden states of 0.

        Args:
            settings: The resolved settings.
            backend: Executes both networks.
            parameters: The flat buffer of both networks.
            features: Makes the networks' inputs from observations.
            state_dim: S, the size of the critic's hidden state.
            device: The device of the networks.
            ranks: The ranks of the run.

        Raises:
            ConfigError: The environments cannot be divided among the ranks.
        """
        self._ranks = ranks
        self._share = ranks.share_of(settings.num_envs)
        self.reward_normalizer = (
            RewardNormalizer(self._share.count, settings.gamma) if settings.normalize_rewards else None
        )
        self.value_states = np.zeros((self._share.count, state_dim), np.float32)
        self._parameters = parameters
        self._settings = settings
        self._backend = backend
        self._features = features
        self._device = device
        self._no_features = torch.zeros(0, features.num_features, dtype=torch.float32, device=device)

    def use(self, settings: Settings) -> None:
        """Use other settings from the next update on."""
        self._settings = settings

    @enough_memory()
    def prepare(self, rollout: Rollout, rewards: npt.NDArray[np.float32], epoch: int, actor: Actor | None) -> Update:
        """Clip and normalise rewards, and draw the minibatches of the epoch's optimizer steps.

        Args:
            rollout: T steps of N environments.
            rewards: [T, N], the training rewards before clipping and normalisation.
            epoch: Number of the epoch, from 1.
            actor: The policy that chose the actions, if it is not the current one.
        """
        rewards = clip_rewards(rewards, self._settings.clip_rewards)
        self._update_statistics(rollout, rewards)
        if self.reward_normalizer:
            rewards = self.reward_normalizer(rewards)
        experience, coefficients = self._experience(rollout, rewards, actor), self._coefficients(epoch)
        if self._ranks.is_alone:
            return Update(experience, minibatches(self._settings, epoch, rollout.valid), coefficients)
        return Update(experience, [], coefficients, self._part(rollout, experience, coefficients, epoch))

    @enough_memory()
    def learn(self, update: Update) -> UpdateResult:
        """Estimate advantages, and take an epoch's optimizer steps.

        Raises:
            NumericalError: A loss or gradient is not finite.
        """
        coefficients, settings = update.coefficients, self._settings
        if update.part is not None:
            learned = self._learn_in_parallel(update.part, coefficients)
        else:
            learned = self._backend.learn(
                update.experience, update.minibatches, coefficients, settings.gamma, settings.gae_lambda
            )
            self._keep_states(update.experience, learned.value_states)
        return UpdateResult(learned.statistics, learned.explained_variance, coefficients.learning_rate)

    def _learn_in_parallel(self, part: Part, coefficients: Coefficients) -> Learned:
        try:
            statistics = update_in_parallel(
                self._backend, self._parameters, part.batch, part.portions, coefficients, self._ranks
            )
        except NumericalError as error:
            error.batch = part.batch.tensors()
            raise
        return Learned(statistics, part.explained_variance)

    def _keep_states(self, experience: Experience, states: Tensor | None) -> None:
        """Keep the critic's hidden states [T, N, S] after the last step of a rollout, if there are any."""
        if states is None:
            return
        resets = experience.ended[-1] if experience.valid is None else experience.ended[-1] | ~experience.valid[-1]
        self.value_states = np.where(resets[:, None], np.float32(0), states[-1].cpu().numpy())

    def _coefficients(self, epoch: int) -> Coefficients:
        """Return the coefficients of an epoch; before the first reward, advantages are not scaled up."""
        coefficients = coefficients_of(self._settings, epoch)
        if coefficients.min_advantage_std and self.reward_normalizer and not self.reward_normalizer.has_scale:
            return replace(coefficients, min_advantage_std=max(1.0, coefficients.min_advantage_std))
        return coefficients

    def forget_running_episodes(self) -> None:
        """Reset discounted reward sums and the critic's hidden states, because running episodes are lost."""
        self.value_states[:] = 0.0
        if self.reward_normalizer:
            self.reward_normalizer.sums[:] = 0.0

    @np.errstate(over="ignore", invalid="ignore")  # the update reports numbers that are not finite
    def _update_statistics(self, rollout: Rollout, rewards: npt.NDArray[np.float32]) -> None:
        """Merge a rollout, and those of the other ranks, into the running statistics of observations and returns.

        This happens before the forward pass, so that the ratios compare two policies with the same statistics.
        """
        (steps, envs), observed = rewards.shape, rollout.observations
        seen = observed[:-1].reshape(steps * envs, *observed.shape[2:])
        batches = self._features.seen(seen if rollout.valid is None else seen[rollout.valid.reshape(-1)])
        if self.reward_normalizer:
            returns = self.reward_normalizer.returns_of(rewards, rollout.ended, rollout.valid)
            batches.append((self.reward_normalizer.moments, returns))
        update_moments(batches, self._ranks)
        self._features.refresh()

    @np.errstate(over="ignore", invalid="ignore")  # the update reports numbers that are not finite
    def _experience(self, rollout: Rollout, rewards: npt.NDArray[np.float32], actor: Actor | None) -> Experience:
        """Return a rollout as input of the networks."""
        steps, envs = rewards.shape
        count = steps * envs
        observed = rollout.observations.reshape((steps + 1) * envs, *rollout.observations.shape[2:])
        features = self._features(observed)
        actions = self._tensor(rollout.actions.reshape(count, -1))
        masks = None if rollout.masks is None else self._tensor(rollout.masks.reshape(count, -1))
        sequences = self._sequences(rollout) if self._settings.memory is not None else None
        ended, log_probs = rollout.ended, None
        if ended[-1].all():  # no value is bootstrapped from the observations after the last step
            features = features[:count]
        if actor is not None:
            log_probs = actor.policy.log_probs(features[:count], actions, masks, sequences)
        return Experience(
            features, actions, masks, rewards, rollout.terminated, ended, *self._truncated(rollout), sequences,
            rollout.valid, log_probs,
        )  # fmt: skip

    def _part(self, rollout: Rollout, experience: Experience, coefficients: Coefficients, epoch: int) -> Part:
        """Return this rank's part of the minibatches of all ranks."""
        settings, valid = self._settings, rollout.valid
        wants_log_probs = experience.log_probs is None and settings.update_epochs * settings.num_minibatches > 1
        estimates = self._backend.estimate(experience, wants_log_probs, settings.gamma, settings.gae_lambda)
        self._keep_states(experience, estimates.value_states)
        targets = estimates.targets
        if valid is None:
            valid = np.ones(targets.advantages.shape, np.bool_)
        steps = len(valid)
        advantages, returns, valid = self._ranks.gather(targets.advantages, targets.returns, valid)
        whole = None if valid.all() else valid
        explained = whole_targets(advantages, returns, whole, settings.gamma * settings.gae_lambda).explained_variance
        mine = portions(
            minibatches(settings, epoch, whole), advantages, valid, self._share, steps,
            keeps_invalid=settings.memory is not None,
            min_std=coefficients.min_advantage_std if coefficients.normalize_advantages else None,
        )  # fmt: skip
        return Part(batch_of(experience, estimates), mine, explained)

    def _sequences(self, rollout: Rollout) -> Sequences:
        """Return where a rollout's sequences begin; with a shared trunk, both networks use the policy's state."""
        before = rollout.states if self._settings.shared_encoder else self.value_states
        return Sequences(
            self._tensor(rollout.states),
            self._tensor(before),
            self._tensor(rollout.starts),
            None if rollout.valid is None else self._tensor(rollout.valid.reshape(-1)),
        )

    def _truncated(self, rollout: Rollout) -> tuple[Tensor, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return the features of the final observations of truncated episodes, and their steps and environments."""
        at = rollout.final_steps, rollout.final_envs
        truncated = rollout.truncated[at]
        if not truncated.any():  # most epochs truncate no episode
            return self._no_features, (at[0][:0], at[1][:0])
        return self._features(rollout.final_observations[truncated]), (at[0][truncated], at[1][truncated])

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)
