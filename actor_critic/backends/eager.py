"""The reference backend: :mod:`actor_critic.ops` with autograd."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from actor_critic.algorithm import Batch, Coefficients, Sequences, UpdateStatistics, not_finite
from actor_critic.backends.base import Backend, Estimates, ExecutedPolicy
from actor_critic.errors import NumericalError
from actor_critic.networks import CustomEncoder, FlatParameters, PartsEncoder, PolicyNetwork, ValueNetwork
from actor_critic.ops import categorical, losses
from actor_critic.ops.adam import adam_step, clip_gradient_norm
from actor_critic.ops.returns import generalized_advantage


class EagerPolicy(ExecutedPolicy):
    """A policy network, executed by PyTorch."""

    def __init__(self, network: PolicyNetwork, sizes: tuple[int, ...], device: torch.device) -> None:
        self._network = network
        self._sizes = sizes
        self._device = device

    @torch.no_grad()
    def act(
        self,
        features: Tensor | npt.NDArray[np.float32],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Choose; see :class:`ExecutedPolicy`."""
        network = self._network
        if isinstance(features, np.ndarray):
            features = torch.from_numpy(features)
        if network.trunk.memory is None:
            logits, after = _run(network, features), state
        else:
            logits, states = network.unroll(features, torch.from_numpy(state).to(self._device))
            after = states[-1].cpu().numpy()
        return categorical.choose(logits.cpu().numpy(), self._sizes, mask, uniforms), after

    @torch.no_grad()
    def log_probs(self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None) -> Tensor:
        """Log-probabilities; see :class:`ExecutedPolicy`."""
        if sequences is None:
            logits = _run(self._network, features)
        else:
            logits, _ = self._network.unroll(features, sequences.policy_state, sequences.starts)
        log_probs = categorical.log_probabilities(logits, self._sizes, masks)
        return categorical.log_prob(log_probs, self._sizes, actions)

    def frozen(self) -> "EagerPolicy":
        """A copy of the network; see :class:`ExecutedPolicy`."""
        return EagerPolicy(copy.deepcopy(self._network), self._sizes, self._device)

    def state(self) -> Tensor:
        """The parameters; see :class:`ExecutedPolicy`."""
        return parameters_to_vector(self._network.parameters()).detach().clone()

    def load(self, state: Tensor) -> None:
        """Take over parameters; see :class:`ExecutedPolicy`."""
        vector_to_parameters(state.to(self._device), self._network.parameters())


class EagerBackend(Backend):
    """PyTorch, one operation at a time; advantages are the reference's own.

    Attributes:
        policy: The policy as it is.
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    advantages = staticmethod(generalized_advantage)

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
        self.policy = EagerPolicy(policy, sizes, parameters.values.device)
        self._policy = policy
        self._value = value
        self._parameters = parameters
        self._sizes = sizes
        # Modules of the user's own: dropout, batch normalisation and the like do something else while they learn.
        self._encoders = [net.trunk.encoder for net in (policy, value) if isinstance(net.trunk.encoder, CustomEncoder)]
        self.first_moment = torch.zeros_like(parameters.values)
        self.second_moment = torch.zeros_like(parameters.values)
        self.steps = 0

    @torch.no_grad()
    def evaluate_actions(
        self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None, log_probs: bool
    ) -> Estimates:
        """Values and log-probabilities; see :class:`Backend`."""
        count = len(actions)
        if log_probs or sequences is not None:
            logits, values, states = self._forward(features[:count], sequences)
        else:
            values, states = _run(self._value, features[:count]).squeeze(-1), None
        if len(features) == count:
            following = values[:0]
        else:
            none = torch.zeros(len(features) - count, 0, dtype=torch.float32, device=features.device)
            known = none if states is None else states[-1]
            following, _ = self._value.unroll(features[count:], known)
        if not log_probs:
            return Estimates(None, values, following, states)
        normalized = categorical.log_probabilities(logits, self._sizes, masks)
        return Estimates(categorical.log_prob(normalized, self._sizes, actions), values, following, states)

    @torch.no_grad()
    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Values; see :class:`Backend`."""
        if self._value.trunk.memory is None:
            return _run(self._value, features).squeeze(-1), state
        values, states = self._value.unroll(features, state)
        return values, states[-1]

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], rules: Coefficients
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch.

        Raises:
            NumericalError: A loss or gradient is not finite; the step that would have used it is not taken.
        """
        self._parameters.check()
        for encoder in self._encoders:
            encoder.train()
        try:
            with torch.enable_grad():  # whatever the program around this has set
                return self._update(batch, minibatches, rules)
        finally:
            for encoder in self._encoders:
                encoder.eval()

    def _update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], rules: Coefficients
    ) -> UpdateStatistics:
        totals = torch.zeros(6, dtype=torch.float32, device="cpu")
        taken = 0
        for part in _gathered(batch, minibatches):
            loss, figures = self._loss(part, rules)
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
                return _run(policy, features), _run(value, features).squeeze(-1), None
            encoded = policy.trunk(features)
            return policy.head(encoded), value.head(encoded).squeeze(-1), None
        outputs, states = policy.trunk.unroll(features, sequences.policy_state, sequences.starts)
        if policy.trunk is value.trunk:
            return policy.head(outputs), value.head(outputs).squeeze(-1), states
        return policy.head(outputs), *value.unroll(features, sequences.value_state, sequences.starts)

    def _loss(self, batch: Batch, rules: Coefficients) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss of one minibatch with gradient, and its parts without: policy, value, entropy, KL, clip fraction."""
        logits, values, _ = self._forward(batch.features, batch.sequences)
        if batch.sequences is not None and batch.sequences.live is not None:
            live = batch.sequences.live
            logits, values, batch = logits[live], values[live], replace(batch, sequences=None).select(live)
        log_probs = categorical.log_probabilities(logits, self._sizes, batch.masks)
        chosen = categorical.log_prob(log_probs, self._sizes, batch.actions)
        log_ratios = chosen - (chosen.detach() if batch.log_probs is None else batch.log_probs)
        advantages = batch.advantages
        if rules.normalize_advantages:
            advantages = losses.normalize_advantages(advantages)
        if rules.clip_coef is None:
            policy_loss = losses.policy_gradient_loss(chosen, advantages)
        else:
            policy_loss = losses.clipped_policy_loss(log_ratios, advantages, rules.clip_coef)
        if rules.clip_vloss and rules.clip_coef is not None:
            value_loss = losses.clipped_value_loss(values, batch.values, batch.returns, rules.clip_coef)
        else:
            value_loss = losses.value_loss(values, batch.returns)
        entropy = categorical.entropy(log_probs, batch.masks).mean()
        loss = policy_loss - rules.ent_coef * entropy + rules.vf_coef * value_loss
        with torch.no_grad():
            kl = losses.approximate_kl(log_ratios)
            outside = (torch.expm1(log_ratios).abs() > (rules.clip_coef or torch.inf)).float().mean()
        return loss, (policy_loss.detach(), value_loss.detach(), entropy.detach(), kl, outside)


def _gathered(batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]]) -> Iterator[Batch]:
    """The transitions of each minibatch, gathered a pass over the batch at a time."""
    count = len(batch.actions)
    waiting: list[npt.NDArray[np.int64]] = []
    size = 0
    for index, indices in enumerate(minibatches):
        waiting.append(indices)
        size += len(indices)
        if index + 1 < len(minibatches) and size + len(minibatches[index + 1]) <= count:
            continue
        rows = torch.from_numpy(np.concatenate(waiting)).to(batch.features.device)
        gathered = replace(batch, sequences=None).select(rows)
        first = 0
        for part in waiting:
            piece = slice(first, first + len(part))
            first += len(part)
            yield gathered.select(piece, batch.sequences and batch.sequences.select(rows[piece]))
        waiting.clear()
        size = 0


def _run(network: PolicyNetwork | ValueNetwork, features: Tensor) -> Tensor:
    """What a network without memory puts out, [B, outputs].

    Linear layers are applied as they are: going through a module's call, and its look for hooks, takes as long as
    computing a small one.
    """
    trunk = network.trunk
    encoder = trunk.encoder
    x = features if isinstance(encoder, PartsEncoder) and encoder.is_identity else encoder(features)
    for layer in [*trunk.hidden, network.head]:
        if type(layer) is nn.Linear:
            parameters = layer._parameters
            weight, bias = parameters["weight"], parameters["bias"]
            assert weight is not None
            x = functional.linear(x, weight, bias)
        else:
            x = layer(x)
    return x
