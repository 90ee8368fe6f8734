"""The reference backend: :mod:`actor_critic.ops` with autograd."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.backends.base import Assessment, Backend, Batch, Sequences, UpdateRules, UpdateStatistics, not_finite
from actor_critic.errors import NumericalError
from actor_critic.networks import PolicyNetwork, ValueNetwork
from actor_critic.ops import categorical, losses
from actor_critic.ops.adam import adam_step, clip_gradient_norm
from actor_critic.parameters import FlatParameters


class EagerBackend(Backend):
    """PyTorch, one operation at a time.

    Attributes:
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    def __init__(
        self, policy: PolicyNetwork, value: ValueNetwork, parameters: FlatParameters, sizes: tuple[int, ...]
    ) -> None:
        """Execute two networks whose parameters live in one flat buffer.

        Args:
            policy: The actor.
            value: The critic; it may share its encoder with the policy.
            parameters: The buffer of both.
            sizes: Choices per group of an action.
        """
        self._policy = policy
        self._value = value
        self._parameters = parameters
        self._sizes = sizes
        self.first_moment = torch.zeros_like(parameters.values)
        self.second_moment = torch.zeros_like(parameters.values)
        self.steps = 0

    @torch.no_grad()
    def act(
        self, features: Tensor, uniforms: npt.NDArray[np.float32] | None, mask: Tensor | None, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Choose; see :class:`Backend`."""
        logits, states = self._policy.unroll(features, state)
        log_probs = categorical.log_probabilities(logits, self._sizes, mask)
        if uniforms is None:
            return categorical.mode(log_probs, self._sizes), states[-1]
        choices = categorical.sample(log_probs, self._sizes, torch.from_numpy(uniforms).to(features.device))
        return choices, states[-1]

    @torch.no_grad()
    def assess(
        self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None
    ) -> Assessment:
        """Log-probabilities and values; see :class:`Backend`."""
        logits, values, value_states = self._forward(features, sequences)
        log_probs = categorical.log_probabilities(logits, self._sizes, masks)
        return Assessment(categorical.log_prob(log_probs, self._sizes, actions), values, value_states)

    @torch.no_grad()
    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Values; see :class:`Backend`."""
        values, states = self._value.unroll(features, state)
        return values, states[-1]

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], rules: UpdateRules
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch.

        Raises:
            NumericalError: A loss or gradient is not finite; the step that would have used it is not taken.
        """
        self._parameters.check()
        totals = torch.zeros(6)
        taken = 0
        for indices in minibatches:
            rows = torch.from_numpy(indices).to(batch.features.device)
            loss, figures = self._loss(batch, rows, rules)
            if rules.target_kl is not None and float(figures[3]) > 1.5 * rules.target_kl:
                break
            self._parameters.gradients.zero_()
            loss.backward()  # type: ignore[no-untyped-call]
            gradient_norm = self._parameters.gradients.norm()
            if not torch.isfinite(gradient_norm):
                raise NumericalError(not_finite(self.steps + 1, float(loss.detach())))
            if rules.max_grad_norm is not None:
                clip_gradient_norm(self._parameters.gradients, gradient_norm, rules.max_grad_norm)
            self.steps += 1
            adam_step(
                self._parameters.values,
                self._parameters.gradients,
                self.first_moment,
                self.second_moment,
                self.steps,
                rules.learning_rate,
                rules.adam_beta1,
                rules.adam_beta2,
                rules.adam_epsilon,
            )
            totals += torch.stack([*figures, gradient_norm]).cpu()
            taken += 1
        policy_loss, value_loss, entropy, kl, outside, norm = (totals / max(taken, 1)).tolist()
        return UpdateStatistics(policy_loss, value_loss, entropy, kl, outside, norm, taken)

    def _forward(self, features: Tensor, sequences: Sequences | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits [B, A], values [B] and the value function's hidden states; a shared trunk runs once."""
        policy, value = self._policy, self._value
        if sequences is None:
            if policy.trunk is not value.trunk:
                return policy(features), value(features), None
            encoded = policy.trunk(features)
            return policy.head(encoded), value.head(encoded).squeeze(-1), None
        outputs, states = policy.trunk.unroll(features, sequences.policy_state, sequences.starts)
        if policy.trunk is value.trunk:
            return policy.head(outputs), value.head(outputs).squeeze(-1), states
        return policy.head(outputs), *value.unroll(features, sequences.value_state, sequences.starts)

    def _loss(self, batch: Batch, rows: Tensor, rules: UpdateRules) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss of one minibatch with gradient, and its parts without: policy, value, entropy, KL, clip fraction."""
        sequences = batch.sequences.select(rows) if batch.sequences else None
        logits, values, _ = self._forward(batch.features[rows], sequences)
        if sequences is not None and sequences.live is not None:
            logits, values, rows = logits[sequences.live], values[sequences.live], rows[sequences.live]
        masks = None if batch.masks is None else batch.masks[rows]
        log_probs = categorical.log_probabilities(logits, self._sizes, masks)
        chosen = categorical.log_prob(log_probs, self._sizes, batch.actions[rows])
        log_ratios = chosen - batch.log_probs[rows]
        advantages = batch.advantages[rows]
        if rules.normalize_advantages:
            advantages = losses.normalize_advantages(advantages)
        if rules.clip_coef is None:
            policy_loss = losses.policy_gradient_loss(chosen, advantages)
        else:
            policy_loss = losses.clipped_policy_loss(log_ratios, advantages, rules.clip_coef)
        if rules.clip_vloss and rules.clip_coef is not None:
            value_loss = losses.clipped_value_loss(values, batch.values[rows], batch.returns[rows], rules.clip_coef)
        else:
            value_loss = losses.value_loss(values, batch.returns[rows])
        entropy = categorical.entropy(log_probs).mean()
        loss = policy_loss - rules.ent_coef * entropy + rules.vf_coef * value_loss
        with torch.no_grad():
            kl = losses.approximate_kl(log_ratios)
            outside = (torch.expm1(log_ratios).abs() > (rules.clip_coef or torch.inf)).float().mean()
        return loss, (policy_loss.detach(), value_loss.detach(), entropy.detach(), kl, outside)
