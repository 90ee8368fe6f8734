"""The backend that calls the compiled functions: it converts their arguments and results."""

import functools
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from actor_critic.algorithm import (
    Batch,
    Coefficients,
    Experience,
    Portion,
    Portions,
    Sequences,
    UpdateStatistics,
    not_finite,
)
from actor_critic.backends.base import Backend, Estimates, ExecutedPolicy, Learned, batch_of
from actor_critic.backends.fused.arguments import (
    NO_MASK,
    NO_NUMBERS,
    estimates_in,
    explained_by,
    loss_of,
    mask_of,
    objective_of,
    optimizer_of,
    outcomes_of,
    rows_of,
    statistics_of,
    transitions_of,
    transitions_to_estimate,
)
from actor_critic.backends.fused.estimates import act, action_log_probs, estimate, state_values
from actor_critic.backends.fused.gradients import learning_addresses
from actor_critic.backends.fused.layers import (
    ACTIVATION,
    COLUMNS,
    ELU,
    GELU,
    NONE,
    RELU,
    SIDE,
    SILU,
    TANH,
    layer_addresses,
)
from actor_critic.backends.fused.records import (
    LATE,
    NOT_FINITE,
    Exchange,
    Networks,
    Parts,
    Transitions,
)
from actor_critic.backends.fused.update import clipped_step, gradient, learn, network_inputs, update, update_in_memory
from actor_critic.compiling import HAS_BARRIER, NOBODY, Helper
from actor_critic.errors import NumericalError
from actor_critic.networks import FlatParameters, PartsEncoder, PolicyNetwork, ValueNetwork
from actor_critic.ranks import Memory

KINDS: dict[type[nn.Module], int] = {
    nn.Tanh: TANH,
    nn.ReLU: RELU,
    nn.ELU: ELU,
    nn.SiLU: SILU,
    nn.GELU: GELU,
}

# Rows times parameters from which an update, and a minibatch of it, is worth sharing: about 100 and 10 microseconds.
_WORTH_SHARING, _PART_WORTH_SHARING = 10**6, 10**5


class FusedPolicy(ExecutedPolicy):
    """A policy whose parameters are in a flat buffer.

    Attributes:
        layers: Sizes of its layers and their places in the buffer; see ``fused.layers``.
    """

    def __init__(self, parameters: Tensor, layers: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
        """Wrap layers whose parameters are in a buffer.

        Args:
            parameters: The buffer.
            layers: Sizes of the layers and their places in the buffer; see ``fused.layers``.
            sizes: Number of choices in each action group.
        """
        self._parameters = parameters
        self._values = parameters.numpy()
        self.layers = layers
        self._sizes = sizes

    @functools.cached_property
    def network(self) -> tuple[Any, ...]:
        """The arguments of compiled functions: sizes of the groups, parameters, layers, and addresses of functions.

        The functions are compiled when this is first used.
        """
        return self._sizes, self._values, self.layers, layer_addresses(_convolves(self.layers), learns=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a copy with its own buffer."""
        return FusedPolicy, (self._parameters.clone(), self.layers, self._sizes)

    def act(
        self,
        features: Tensor | npt.NDArray[np.float32],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Sample action indices; see :class:`ExecutedPolicy`."""
        action_indices = act(
            features if isinstance(features, np.ndarray) else features.numpy(),
            NO_NUMBERS if uniforms is None else uniforms,
            NO_MASK if mask is None else mask,
            mask is not None,
            *self.network,
        )
        return action_indices, state

    def log_probs(self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None) -> Tensor:
        """Return log-probabilities; see :class:`ExecutedPolicy`."""
        found = action_log_probs(features.numpy(), actions.numpy(), *mask_of(masks), *self.network)
        return torch.from_numpy(found)

    def frozen(self) -> "FusedPolicy":
        """Copy the policy; see :class:`ExecutedPolicy`."""
        return FusedPolicy(self._parameters.clone(), self.layers, self._sizes)

    def state(self) -> Tensor:
        """Copy the buffer; see :class:`ExecutedPolicy`."""
        return self._parameters.clone()

    def load(self, state: Tensor) -> None:
        """Fill the buffer; see :class:`ExecutedPolicy`."""
        self._parameters.copy_(state)


class FusedBackend(Backend):
    """Execute multilayer perceptrons and CNNs on the CPU; one compiled function takes all optimizer steps of an epoch.

    Attributes:
        policy: The current policy.
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    is_compiled = True

    def __init__(
        self,
        policy: PolicyNetwork,
        value: ValueNetwork,
        parameters: FlatParameters,
        sizes: tuple[int, ...],
        threads: int,
        entries: int = 0,
    ) -> None:
        """Wrap two networks whose parameters are in one flat buffer.

        Args:
            policy: The actor; it may contain only linear layers, activations and the convolutions of one image.
            value: The critic; it may share its trunk with the policy.
            parameters: The buffer of both.
            sizes: Number of choices in each action group.
            threads: With two or more, policy and value function learn in parallel, unless they share a trunk.
            entries: The most features of a row that are not 0, if they are few enough for sparse products; else 0.
        """
        threadpool_limits(limits=1, user_api="blas")  # otherwise the order of sums, and so their bits, depends on it
        is_apart = policy.trunk is not value.trunk
        self._helper = Helper() if threads > 1 and is_apart and HAS_BARRIER else None
        self._parameters = parameters
        self._values = parameters.values.numpy()
        self._gradients = parameters.gradients.numpy()
        self._sizes = np.array(sizes, np.int64)
        self.first_moment = torch.zeros_like(parameters.values)
        self.second_moment = torch.zeros_like(parameters.values)
        self.steps = 0
        self._entries = entries
        self._prepared: tuple[Batch, Transitions, npt.NDArray[np.float32]] | None = None  # of the last batch

        own, self._value = self._layers_of(policy), self._layers_of(value)
        # The update runs the shared layers once, then the own layers of each network.
        self._num_shared = 0 if is_apart else len(own) - 1
        self._convolves = _convolves(own) or _convolves(self._value)
        self.policy = FusedPolicy(parameters.values, own, self._sizes)

    @functools.cached_property
    def _networks(self) -> Networks:
        """Both networks. The functions that they need are compiled when this is first used."""
        own, shared = self.policy.layers, self._num_shared
        return Networks(
            self._values, self._gradients, own[:shared], own[shared:], self._value[shared:], self._sizes,
            learning_addresses(self._convolves),
        )  # fmt: skip

    def estimate(self, experience: Experience, log_probs: bool, gamma: float, gae_lambda: float) -> Estimates:
        """Return values, targets and log-probabilities; see :class:`Backend`."""
        transitions = transitions_to_estimate(experience)
        moments = estimate(
            transitions, outcomes_of(experience, gamma, gae_lambda), self._networks, self.policy.layers, self._value,
            log_probs, self._post(len(experience.actions)),
        )  # fmt: skip
        return estimates_in(experience, transitions, log_probs, explained_by(experience, moments, gamma * gae_lambda))

    def learn(
        self, experience: Experience, minibatches: Sequence[npt.NDArray[np.int64]], coefficients: Coefficients,
        gamma: float, gae_lambda: float,
    ) -> Learned:  # fmt: skip
        """Estimate and take all optimizer steps in one compiled function; see :class:`Backend`."""
        self._parameters.check()
        rows, borders = rows_of(minibatches)
        if experience.valid is not None:
            rows = np.flatnonzero(experience.valid)[rows]
        wants_log_probs = experience.log_probs is None and len(minibatches) > 1
        transitions, totals = transitions_to_estimate(experience, wants_log_probs), np.zeros(6)
        taken, is_bad, moments = learn(
            transitions, outcomes_of(experience, gamma, gae_lambda), wants_log_probs, rows, borders, self._networks,
            self.policy.layers, self._value, objective_of(coefficients),
            optimizer_of(coefficients, self.first_moment, self.second_moment, self.steps),
            self._post(len(experience.actions)), self._post(len(rows), len(minibatches)), totals,
        )  # fmt: skip
        self.steps += taken
        explained = explained_by(experience, moments, gamma * gae_lambda)
        if is_bad:
            error = NumericalError(not_finite(self.steps + 1, loss_of(totals, coefficients)))
            error.batch = batch_of(
                experience, estimates_in(experience, transitions, wants_log_probs, explained)
            ).tensors()
            raise error
        return Learned(statistics_of(totals, taken), explained)

    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values; see :class:`Backend`."""
        return torch.from_numpy(self._states(features)), state

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], coefficients: Coefficients
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch.

        Raises:
            NumericalError: A gradient is not finite; its optimizer step is not taken.
        """
        self._parameters.check()
        rows, borders = rows_of(minibatches)
        totals = np.zeros(6)
        taken, is_bad = update(
            transitions_of(batch), rows, borders, self._networks, objective_of(coefficients),
            optimizer_of(coefficients, self.first_moment, self.second_moment, self.steps),
            self._post(len(rows), len(minibatches)), totals,
        )  # fmt: skip
        self.steps += taken
        if is_bad:
            raise NumericalError(not_finite(self.steps + 1, loss_of(totals, coefficients)))
        return statistics_of(totals, taken)

    def gradient(self, batch: Batch, portion: Portion, coefficients: Coefficients) -> npt.NDArray[np.float64]:
        """Write the gradient of a portion; see :class:`Backend`."""
        if self._prepared is None or self._prepared[0] is not batch:
            transitions = transitions_of(batch)._replace(advantages=np.zeros(len(batch.actions), np.float32))
            self._prepared = batch, transitions, network_inputs(transitions, self._networks)
        _, transitions, inputs = self._prepared
        transitions.advantages[portion.rows] = portion.advantages
        objective = objective_of(coefficients)._replace(normalizes=False)
        return gradient(transitions, inputs, portion.rows, self._networks, objective)

    def update_in_memory(
        self, batch: Batch, portions: Portions, coefficients: Coefficients, memory: Memory
    ) -> UpdateStatistics:
        """Take all steps in one compiled function, which returns earlier if a rank is late; see :class:`Backend`."""
        memory.announce("updating the networks")
        transitions = transitions_of(batch)._replace(advantages=np.zeros(len(batch.actions), np.float32))
        arguments = (
            transitions,
            network_inputs(transitions, self._networks),
            Parts(portions.rows, portions.advantages, portions.borders, portions.weights),
            self._networks,
            objective_of(coefficients)._replace(normalizes=False),
            optimizer_of(coefficients, self.first_moment, self.second_moment, self.steps),
            Exchange(
                memory.flags, memory.places.view(np.float32), memory.place, memory.step, memory.yields, memory.naps
            ),
        )
        progress, totals = np.zeros(3, np.int64), np.zeros(6)
        first, late, begun = memory.step, -1, 0.0
        while (status := update_in_memory(*arguments, progress, totals)) == LATE:
            if progress[0] != late:
                late, begun = int(progress[0]), time.monotonic()
            memory.step = first + late + 1
            memory.check(begun)
        exchanges, _, taken = progress.tolist()
        memory.step = first + exchanges
        self.steps += taken
        if status == NOT_FINITE:
            raise NumericalError(not_finite(self.steps + 1, loss_of(totals, coefficients)))
        return statistics_of(totals, taken)

    def step(self, coefficients: Coefficients) -> float:
        """Take a step with the gradient in the buffer; see :class:`Backend`."""
        optimizer = optimizer_of(coefficients, self.first_moment, self.second_moment, self.steps)
        norm: float = clipped_step(self._networks.params, self._networks.grads, optimizer, 0)
        self.steps += math.isfinite(norm)
        return norm

    def _post(self, rows: int, parts: int = 1) -> npt.NDArray[np.int64]:
        """Return the post of the helper, and wake it, if there is one and the work on rows is worth sharing."""
        work = rows * len(self._values)
        if self._helper is None or work < _WORTH_SHARING or work < _PART_WORTH_SHARING * parts:
            return NOBODY
        self._helper.wake()
        return self._helper.post

    def _states(self, features: Tensor) -> npt.NDArray[np.float32]:
        table = layer_addresses(self._convolves, learns=False)  # values need no gradients to be compiled
        found: npt.NDArray[np.float32] = state_values(features.numpy(), self._values, self._value, table)
        return found

    def _layers_of(self, network: PolicyNetwork | ValueNetwork) -> npt.NDArray[np.int64]:
        """Return the layers of a network and their places in the flat buffer, [layers, COLUMNS]."""
        first, size = self._parameters.values.data_ptr(), self._parameters.values.element_size()
        encoder = network.trunk.encoder
        convolutions = encoder.convolutions if isinstance(encoder, PartsEncoder) else None
        shape = convolutions.shape if convolutions else ()  # input of the next convolution
        rows: list[list[int]] = []
        for module in [*(convolutions.layers if convolutions else ()), *network.trunk.hidden, network.head]:
            if type(module) in KINDS:
                rows[-1][ACTIVATION] = KINDS[type(module)]
                continue
            assert isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None
            places = [(parameter.data_ptr() - first) // size for parameter in (module.weight, module.bias)]
            if isinstance(module, nn.Linear):
                entries = 0 if rows else self._entries
                rows.append([module.in_features, module.out_features, NONE, *places, entries, 0, 0, 0, 0, 0])
                continue
            (side, across), (stride, aside) = module.kernel_size, module.stride
            assert (side, stride) == (across, aside) and (module.padding, module.dilation) == ((0, 0), (1, 1))
            after = (module.out_channels, (shape[1] - side) // stride + 1, (shape[2] - side) // stride + 1)
            rows.append([math.prod(shape), math.prod(after), NONE, *places, 0, *shape, side, stride])
            shape = after
        return np.array(rows, np.int64).reshape(-1, COLUMNS)


def _convolves(layers: npt.NDArray[np.int64]) -> bool:
    """Return whether a layer is a convolution."""
    return bool(layers[:, SIDE].any())
