"""What an agent says about observations: actions, probabilities, values. Inputs are as the environment returns them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.agent.inputs import read_action_mask, read_hidden_state, read_observations
from actor_critic.agent.learner import Learner
from actor_critic.backends import Backend
from actor_critic.config import Settings
from actor_critic.environments import take_mask
from actor_critic.networks import FeatureMaker, PolicyNetwork, ValueNetwork
from actor_critic.ops import categorical
from actor_critic.rollouts import Actor
from actor_critic.spaces import ActionSpec, ObservationSpec


class Predictions:
    """The part of an agent that only reads its networks.

    All methods take one observation as the environment returns it, or a batch [B, *shape]; for Dict and Tuple spaces a
    batch is a dict or tuple of arrays. They raise ValueError if the observation, state or mask has the wrong shape or
    dtype, if a number is not finite, or if no action is allowed. Those without ``action_mask`` do not read masks.
    """

    settings: Settings
    observations: ObservationSpec
    actions: ActionSpec
    policy_network: PolicyNetwork
    value_network: ValueNetwork
    device: torch.device
    _actor: Actor
    _backend: Backend
    _features: FeatureMaker
    _learner: Learner
    _prediction_noise: np.random.Generator

    def act(
        self,
        observation: Any,
        *,
        state: npt.NDArray[np.float32] | None = None,
        action_mask: npt.ArrayLike | None = None,
        deterministic: bool = False,
    ) -> Any:
        """Choose an action for one observation, or for each observation of a batch.

        Args:
            observation: One observation or a batch. A mask in the observation (``"action_mask"``) is used.
            state: With memory, the state [S] or [B, S] from the previous call; None at the beginning of an episode.
            action_mask: [A] or [B, A] boolean, True where an action is allowed; None allows all.
            deterministic: Take the most probable action instead of sampling one.

        Returns:
            For one observation, the action in the form that the environment expects: an int, array, dict or tuple.
            For a batch, an array [B] or [B, *shape], or a dict or tuple of arrays. With memory, ``(action, state)``.
        """
        batch, is_single, inside, states = self._read(observation, state)
        mask = read_action_mask(action_mask, inside, self.actions, None if is_single else len(batch))
        uniforms = None
        if not deterministic:
            uniforms = self._prediction_noise.random((len(batch), self.actions.num_groups), np.float32)
        choices, after = self.choose(batch, uniforms, mask, states)
        if not is_single:
            actions = self.actions.to_environment(choices)
            return (actions, after) if self.has_memory else actions
        action = self.actions.one_by_one(choices)[0]
        action = int(action) if not self.actions.is_nested and np.ndim(action) == 0 else action
        return (action, after[0]) if self.has_memory else action

    def logits(self, observation: Any, *, state: npt.NDArray[np.float32] | None = None) -> Any:
        """Return the policy's logits, before masks: [A] for one observation, [B, A] for a batch.

        The A logits are laid out as in an action mask: if an action consists of several choices, the logits of the
        first choice come first.

        Args:
            observation: One observation or a batch.
            state: With memory, the state [S] or [B, S] from the previous call; None at the beginning of an episode.

        Returns:
            float32. With memory, ``(logits, state)``; the state is the same as that of :meth:`act`.
        """
        batch, is_single, _, states = self._read(observation, state)
        return self._unbatched(*self._logits(batch, states), is_single)

    def log_probs(
        self,
        observation: Any,
        *,
        state: npt.NDArray[np.float32] | None = None,
        action_mask: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the log-probability of every action, log π(·|s): [A] for one observation, [B, A] for a batch.

        They are laid out like the logits, and normalised within each choice. The log-probability of an action of
        several choices is the sum over its choices.

        Args:
            observation: One observation or a batch. A mask in the observation (``"action_mask"``) is used.
            state: With memory, the state [S] or [B, S] from the previous call; None at the beginning of an episode.
            action_mask: [A] or [B, A] boolean, True where an action is allowed; None allows all.

        Returns:
            float32, −∞ where masked. With memory, ``(log_probs, state)``.
        """
        batch, is_single, inside, states = self._read(observation, state)
        mask = read_action_mask(action_mask, inside, self.actions, None if is_single else len(batch))
        logits, after = self._logits(batch, states)
        allowed = None if mask is None else torch.from_numpy(mask).to(self.device)
        return self._unbatched(categorical.log_probabilities(logits, self.actions.sizes, allowed), after, is_single)

    def probabilities(
        self,
        observation: Any,
        *,
        state: npt.NDArray[np.float32] | None = None,
        action_mask: npt.ArrayLike | None = None,
    ) -> Any:
        """Return the probability of every action, π(·|s): [A] for one observation, [B, A] for a batch.

        They are laid out like the logits, sum to 1 within each choice, and are 0 where masked. For the arguments see
        :meth:`log_probs`. With memory, ``(probabilities, state)``.
        """
        found = self.log_probs(observation, state=state, action_mask=action_mask)
        return (np.exp(found[0]), found[1]) if self.has_memory else np.exp(found)

    def value(self, observation: Any, *, state: npt.NDArray[np.float32] | None = None) -> Any:
        """Estimate the return with the critic: a float for one observation, an array [B] for a batch.

        The return is the discounted sum of training rewards, after the reward model and clipping. With
        ``normalize_rewards`` the estimate is scaled back to the units of these rewards.

        Args:
            observation: One observation or a batch.
            state: With memory, the critic's own state [S] or [B, S] from the previous call; None at the beginning of an
                episode.

        Returns:
            The estimate. With memory, ``(value, state)``.
        """
        batch, is_single, _, states = self._read(observation, state)
        values, after = self._values(batch, states)
        found = self._unbatched(values, after, is_single)
        if not is_single:
            return found
        return (float(found[0]), found[1]) if self.has_memory else float(found)

    @property
    def has_memory(self) -> bool:
        """Whether the networks have a hidden state."""
        return self.settings.memory is not None

    def initial_state(self, count: int) -> npt.NDArray[np.float32]:
        """Return hidden states [count, S] for the beginning of an episode; S = 0 without memory."""
        return np.zeros((count, self.policy_network.trunk.state_dim), np.float32)

    def choose(
        self,
        observations: npt.NDArray[Any],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Choose actions for a batch, without the checks of :meth:`act`; see :class:`Actor`."""
        return self._actor(observations, uniforms, mask, states)

    def assess(
        self,
        observations: npt.NDArray[Any],
        mask: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
        value_states: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what policy and critic say of a batch, without the checks of :meth:`probabilities`.

        Args:
            observations: [B, *shape].
            mask: [B, A]; None allows all.
            states: [B, S], hidden states of the policy.
            value_states: [B, S], hidden states of the critic.

        Returns:
            The probabilities [B, A], the values [B], and the critic's next hidden states.
        """
        allowed = None if mask is None else torch.from_numpy(mask).to(self.device)
        logits, _ = self._logits(observations, states)
        log_probs = categorical.log_probabilities(logits, self.actions.sizes, allowed)
        values, after = self._values(observations, value_states)
        return log_probs.exp().cpu().numpy(), values.cpu().numpy(), after.cpu().numpy()

    def _values(self, batch: npt.NDArray[Any], states: npt.NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Return the values [B] in the units of the rewards, and the critic's next hidden states."""
        values, after = self._backend.values(self._features(batch), torch.from_numpy(states).to(self.device))
        if self._learner.reward_normalizer:
            values = values * self._learner.reward_normalizer.scale
        return values, after

    def _read(
        self, observation: Any, state: npt.NDArray[np.float32] | None
    ) -> tuple[npt.NDArray[Any], bool, Any, npt.NDArray[np.float32]]:
        """Return the batch, whether it was a single observation, the mask inside it, and the hidden states.

        Policy and critic have states of the same width.
        """
        observation, inside = take_mask(observation, self.observations)
        batch, is_single = read_observations(observation, self.observations)
        states = read_hidden_state(state, None if is_single else len(batch), self.policy_network.trunk.state_dim)
        return batch, is_single, inside, states

    @torch.no_grad()
    def _logits(self, batch: npt.NDArray[Any], states: npt.NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        logits, after = self.policy_network.unroll(self._features(batch), torch.from_numpy(states).to(self.device))
        return logits, after[-1]

    def _unbatched(self, found: Tensor, after: Tensor, is_single: bool) -> Any:
        """Return arrays, for one observation without the axis of the batch; the states only with memory."""
        arrays = [each.cpu().numpy() for each in (found, after)]
        if is_single:
            arrays = [array[0] for array in arrays]
        return tuple(arrays) if self.has_memory else arrays[0]
