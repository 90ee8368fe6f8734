"""The reference backend: :mod:`actor_critic.ops` with autograd."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from actor_critic.algorithm import (
    Batch,
    Coefficients,
    Experience,
    Metrics,
    Portion,
    Sequences,
    UpdateStatistics,
    actor_critic_loss,
    bootstrap_values,
    compute_targets,
    exceeds_target_kl,
    not_finite,
)
from actor_critic.backends.base import Backend, Estimates, ExecutedPolicy
from actor_critic.backends.device import enough_memory
from actor_critic.errors import NumericalError
from actor_critic.networks import CustomEncoder, FlatParameters, PartsEncoder, PolicyNetwork, ValueNetwork
from actor_critic.ops import categorical
from actor_critic.ops.adam import adam_step, clip_gradient_norm


class EagerPolicy(ExecutedPolicy):
    """A policy network, executed by PyTorch."""

    def __init__(self, network: PolicyNetwork, sizes: tuple[int, ...], device: torch.device) -> None:
        self._network = network
        self._sizes = sizes
        self._device = device

    @enough_memory()
    @torch.no_grad()
    def act(
        self,
        features: Tensor | npt.NDArray[np.float32],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Sample action indices; see :class:`ExecutedPolicy`."""
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
        """Return log-probabilities; see :class:`ExecutedPolicy`."""
        if sequences is None:
            logits = _run(self._network, features)
        else:
            logits, _ = self._network.unroll(features, sequences.policy_state, sequences.starts)
        log_probs = categorical.log_probabilities(logits, self._sizes, masks)
        return categorical.log_prob(log_probs, self._sizes, actions)

    def frozen(self) -> "EagerPolicy":
        """Copy the network; see :class:`ExecutedPolicy`."""
        return EagerPolicy(copy.deepcopy(self._network), self._sizes, self._device)

    def state(self) -> Tensor:
        """Copy the parameters; see :class:`ExecutedPolicy`."""
        return parameters_to_vector(self._network.parameters()).detach().clone()

    def load(self, state: Tensor) -> None:
        """Load parameters; see :class:`ExecutedPolicy`."""
        vector_to_parameters(state.to(self._device), self._network.parameters())


class EagerBackend(Backend):
    """Execute networks with PyTorch, one operation at a time.

    Attributes:
        policy: The current policy.
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    is_compiled = False

    def __init__(
        self, policy: PolicyNetwork, value: ValueNetwork, parameters: FlatParameters, sizes: tuple[int, ...]
    ) -> None:
        """Wrap two networks whose parameters are in one flat buffer.

        Args:
            policy: The actor.
            value: The critic; it may share its encoder with the policy.
            parameters: The buffer of both.
            sizes: Number of choices in each action group.
        """
        self.policy = EagerPolicy(policy, sizes, parameters.values.device)
        self._policy = policy
        self._value = value
        self._parameters = parameters
        self._sizes = sizes
        # Custom encoders: modules such as dropout and batch normalisation behave differently in training mode.
        self._encoders = [net.trunk.encoder for net in (policy, value) if isinstance(net.trunk.encoder, CustomEncoder)]
        self.first_moment = torch.zeros_like(parameters.values)
        self.second_moment = torch.zeros_like(parameters.values)
        self.steps = 0

    @np.errstate(over="ignore", invalid="ignore")  # the update reports numbers that are not finite
    @torch.no_grad()
    def estimate(self, experience: Experience, log_probs: bool, gamma: float, gae_lambda: float) -> Estimates:
        """Return values, targets and log-probabilities; see :class:`Backend`."""
        features, actions, sequences = experience.features, experience.actions, experience.sequences
        count, shape = len(actions), experience.rewards.shape
        found = states = last = None
        if log_probs or sequences is not None:
            logits, values, states = self._forward(features[:count], sequences)
        else:
            values = _run(self._value, features[:count]).squeeze(-1)
        if log_probs:
            normalized = categorical.log_probabilities(logits, self._sizes, experience.masks)
            found = categorical.log_prob(normalized, self._sizes, actions)
        none = torch.zeros(0, 0, dtype=torch.float32, device=features.device)
        if len(features) > count:
            last = self.values(features[count:], none if states is None else states[-1])[0].cpu().numpy()
        finals = experience.final_features
        if len(finals):
            finals = self.values(finals, none if states is None else states[experience.final_at])[0]
        before = values.cpu().numpy().reshape(shape)
        after = bootstrap_values(before, last, experience.final_at, finals.cpu().numpy())
        targets = compute_targets(
            experience.rewards, before, after, experience.terminated, experience.ended, gamma, gae_lambda,
            experience.valid,
        )  # fmt: skip
        return Estimates(found, values, targets, states)

    @torch.no_grad()
    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values; see :class:`Backend`."""
        if self._value.trunk.memory is None:
            return _run(self._value, features).squeeze(-1), state
        values, states = self._value.unroll(features, state)
        return values, states[-1]

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], coefficients: Coefficients
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch.

        Raises:
            NumericalError: A loss or gradient is not finite; its optimizer step is not taken.
        """
        self._parameters.check()
        with self._learning(), torch.enable_grad():  # the program may have disabled it
            return self._update(batch, minibatches, coefficients)

    def _update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], coefficients: Coefficients
    ) -> UpdateStatistics:
        totals = torch.zeros(6, dtype=torch.float32, device=batch.features.device)
        taken = 0
        for part in _gathered(batch, minibatches):
            loss, metrics = self._loss(part, coefficients)
            if exceeds_target_kl(metrics, coefficients):
                break
            self._parameters.gradients.zero_()
            loss.backward()  # type: ignore[no-untyped-call]
            gradient_norm = self._parameters.gradients.norm()
            if not torch.isfinite(gradient_norm):
                raise NumericalError(not_finite(self.steps + 1, float(loss.detach())))
            self._step(gradient_norm, coefficients)
            totals += torch.stack([*metrics, gradient_norm])
            taken += 1
        policy_loss, value_loss, entropy, kl, clip_fraction, norm = (totals / max(taken, 1)).tolist()
        return UpdateStatistics(policy_loss, value_loss, entropy, kl, clip_fraction, norm, taken)

    @enough_memory()
    def gradient(self, batch: Batch, portion: Portion, coefficients: Coefficients) -> npt.NDArray[np.float64]:
        """Write the gradient of a portion; see :class:`Backend`."""
        rows = torch.from_numpy(portion.rows).to(batch.features.device)
        part = batch.select(rows, batch.sequences and batch.sequences.select(rows))
        part = replace(part, advantages=torch.from_numpy(portion.advantages).to(batch.features.device))
        with self._learning(), torch.enable_grad():
            loss, metrics = self._loss(part, replace(coefficients, normalize_advantages=False))
            self._parameters.gradients.zero_()
            loss.backward()  # type: ignore[no-untyped-call]
        found: npt.NDArray[np.float64] = torch.stack([*metrics]).cpu().numpy().astype(np.float64)
        return found

    def step(self, coefficients: Coefficients) -> float:
        """Take a step with the gradient in the buffer; see :class:`Backend`."""
        norm = self._parameters.gradients.norm()
        if torch.isfinite(norm):
            self._step(norm, coefficients)
        return float(norm)

    def update_in_memory(self, *_: Any) -> NoReturn:
        """Raise an error: this backend returns to Python after each step; see :class:`Backend`."""
        raise NotImplementedError("the eager backend sums gradients in Python")

    def _step(self, gradient_norm: Tensor, coefficients: Coefficients) -> None:
        if coefficients.max_grad_norm is not None:
            clip_gradient_norm(self._parameters.gradients, gradient_norm, coefficients.max_grad_norm)
        self.steps += 1
        adam_step(
            self._parameters.values,
            self._parameters.gradients,
            self.first_moment,
            self.second_moment,
            self.steps,
            coefficients.learning_rate,
            coefficients.adam_beta1,
            coefficients.adam_beta2,
            coefficients.adam_epsilon,
        )

    @contextlib.contextmanager
    def _learning(self) -> Iterator[None]:
        """Put custom encoders into training mode while the block runs."""
        for encoder in self._encoders:
            encoder.train()
        try:
            yield
        finally:
            for encoder in self._encoders:
                encoder.eval()

    def _forward(self, features: Tensor, sequences: Sequences | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return logits [B, A], values [B] and hidden states of the value function; a shared trunk runs once."""
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

    def _loss(self, batch: Batch, coefficients: Coefficients) -> tuple[Tensor, Metrics]:
        """Return the loss of one minibatch with gradient, and its metrics."""
        logits, values, _ = self._forward(batch.features, batch.sequences)
        if batch.sequences is not None and batch.sequences.valid is not None:
            valid = batch.sequences.valid
            logits, values, batch = logits[valid], values[valid], replace(batch, sequences=None).select(valid)
        return actor_critic_loss(logits, values, batch, self._sizes, coefficients)


def _gathered(batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]]) -> Iterator[Batch]:
    """Yield the transitions of each minibatch; gather them for one pass over the batch at a time."""
    count = len(batch.actions)
    pending: list[npt.NDArray[np.int64]] = []
    size = 0
    for index, indices in enumerate(minibatches):
        pending.append(indices)
        size += len(indices)
        if index + 1 < len(minibatches) and size + len(minibatches[index + 1]) <= count:
            continue
        rows = torch.from_numpy(np.concatenate(pending)).to(batch.features.device)
        gathered = replace(batch, sequences=None).select(rows)
        first = 0
        for part in pending:
            piece = slice(first, first + len(part))
            first += len(part)
            yield gathered.select(piece, batch.sequences and batch.sequences.select(rows[piece]))
        pending.clear()
        size = 0


def _run(network: PolicyNetwork | ValueNetwork, features: Tensor) -> Tensor:
    """Return the outputs [B, outputs] of a network without memory.

    Linear layers are applied directly, because the call of a module, with its check for hooks, takes as long as a small
    layer itself.
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
