"""PolicyNetwork (actor) and ValueNetwork (critic). Each has a trunk (encoder, hidden layers, memory) and a head."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from actor_critic.config import Settings
from actor_critic.networks.encoders import CustomEncoder, PartsEncoder
from actor_critic.seeding import Purpose, integer_seed
from actor_critic.spaces import ActionSpec, ObservationSpec

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


_MEMORY_STEPS = 64  # after about so many steps the slowest unit of a new memory forgets


class Trunk(nn.Module):
    """The part of a network before its head: encoder, hidden layers and an optional memory (recurrent layer).

    Initial weights are orthogonal, with gain √2 in hidden layers and gain 1 in the memory. Initial biases are zero,
    except those of the memory's gates, which set for how many steps each unit remembers.

    Attributes:
        output_dim: Inputs of the head, E.
        state_dim: Size of a hidden state, S; 0 without memory.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        hidden_layers: int = 2,
        activation: str = "tanh",
        encoder: nn.Module | None = None,
        memory: str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the layers.

        Args:
            input_dim: Inputs of the hidden layers: the features, or the outputs of the encoder.
            hidden_dim: Units per hidden layer, and in the memory.
            hidden_layers: Number of hidden layers; may be 0.
            activation: A key of ``ACTIVATIONS``.
            encoder: Module before the hidden layers; None passes features on.
            memory: Recurrent layer after the hidden layers: "gru" (Cho et al., 2014) or "lstm" (Hochreiter and
                Schmidhuber, 1997); None for no memory.
            generator: Source of the initial weights; None uses the global generator of PyTorch.
        """
        super().__init__()
        self.encoder = encoder or nn.Identity()
        self.hidden = hidden_stack(input_dim, hidden_dim, hidden_layers, activation, generator)
        inputs = hidden_dim if hidden_layers else input_dim
        self.output_dim = hidden_dim if memory else inputs
        self.memory = _recurrent_cell(memory, inputs, hidden_dim, generator) if memory else None
        self.state_dim = {None: 0, "gru": hidden_dim, "lstm": 2 * hidden_dim}[memory]  # an LSTM's is (h, c)

    def forward(self, features: Tensor) -> Tensor:
        """Return the inputs of the memory, [B, units], for features [B, F]."""
        encoded: Tensor = self.hidden(self.encoder(features))
        return encoded

    def unroll(self, features: Tensor, state: Tensor, starts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Process T steps of N environments in order.

        Args:
            features: [T · N, F], time-major.
            state: [N, S], hidden states before the first step.
            starts: [T, N] boolean, True where an episode begins, so that the state before the step is 0. None if no
                episode begins.

        Returns:
            Outputs [T · N, E], and the hidden states after every step [T, N, S].
        """
        encoded = self(features)
        steps = len(encoded) // len(state) if len(state) else 1
        if self.memory is None:
            return encoded, state.expand(steps, *state.shape)
        keep = None if starts is None else (~starts).to(state.dtype).unsqueeze(-1)  # (T, N, 1)
        states = []
        for t, inputs in enumerate(encoded.reshape(steps, len(state), encoded.shape[-1])):
            before = state if keep is None else state * keep[t]
            if isinstance(self.memory, nn.LSTMCell):
                state = torch.cat(self.memory(inputs, before.chunk(2, 1)), 1)
            else:
                state = self.memory(inputs, before)
            states.append(state)
        stacked = torch.stack(states)
        return stacked[..., : self.output_dim].flatten(0, 1), stacked


class PolicyNetwork(nn.Module):
    """The actor: logits over discrete actions, π(·|s) = softmax(f(s)).

    The initial output layer is orthogonal with gain 0.01, so that the first policy is nearly uniform (Huang et al.,
    2022, detail 2).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        hidden_dim: int = 256,
        *,
        hidden_layers: int = 2,
        activation: str = "tanh",
        trunk: Trunk | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network.

        Args:
            input_dim: Features per observation.
            output_dim: Number of logits, A.
            hidden_dim: Units per hidden layer.
            hidden_layers: Number of hidden layers; 0 gives a linear policy.
            activation: A key of ``ACTIVATIONS``.
            trunk: An existing trunk to use instead of new hidden layers.
            generator: Source of the initial weights; None uses the global generator of PyTorch.
        """
        super().__init__()
        self.trunk = trunk or Trunk(
            input_dim, hidden_dim, hidden_layers=hidden_layers, activation=activation, generator=generator
        )
        self.head = orthogonal_linear(self.trunk.output_dim, output_dim, 0.01, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [B, A] for features [B, input_dim]; only without memory."""
        logits: Tensor = self.head(self.trunk(features))
        return logits

    def unroll(self, features: Tensor, state: Tensor, starts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits [T · N, A] and hidden states [T, N, S]; for the arguments see :meth:`Trunk.unroll`."""
        outputs, states = self.trunk.unroll(features, state, starts)
        return self.head(outputs), states


class ValueNetwork(nn.Module):
    """The critic: the expected return V(s). The initial output layer is orthogonal with gain 1."""

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 256,
        *,
        hidden_layers: int = 2,
        activation: str = "tanh",
        trunk: Trunk | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network; for the arguments see :class:`PolicyNetwork`. Both may share a trunk."""
        super().__init__()
        self.trunk = trunk or Trunk(
            input_dim, hidden_dim, hidden_layers=hidden_layers, activation=activation, generator=generator
        )
        self.head = orthogonal_linear(self.trunk.output_dim, 1, 1.0, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Return values [B] for features [B, input_dim]; only without memory."""
        values: Tensor = self.head(self.trunk(features)).squeeze(-1)
        return values

    def unroll(self, features: Tensor, state: Tensor, starts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return values [T · N] and hidden states [T, N, S]; for the arguments see :meth:`Trunk.unroll`."""
        outputs, states = self.trunk.unroll(features, state, starts)
        return self.head(outputs).squeeze(-1), states


def make_networks(
    settings: Settings, observations: ObservationSpec, actions: ActionSpec
) -> tuple[PolicyNetwork, ValueNetwork]:
    """Build both networks, with weights drawn from the seed.

    Args:
        settings: Sizes and parts of the networks.
        observations: The observation spec.
        actions: The action spec.

    Raises:
        ConfigError: The observations do not fit the encoder.
    """
    generator = torch.Generator().manual_seed(integer_seed(settings.seed, Purpose.PARAMETERS))

    def make_trunk(index: int) -> Trunk:
        encoder: PartsEncoder | CustomEncoder
        if ":" in settings.encoder:
            seed = integer_seed(settings.seed, Purpose.ENCODER, index)
            make = settings.objects.load(settings.encoder, "encoder")
            encoder = CustomEncoder(
                observations, make, settings.encoder_kwargs, settings.encoder, settings.environment, seed
            )
        else:
            encoder = PartsEncoder(observations, settings.encoder, settings.embedding_dim, generator)
        return Trunk(
            encoder.output_dim,
            settings.hidden_dim,
            hidden_layers=settings.hidden_layers,
            activation=settings.activation,
            encoder=encoder,
            memory=settings.memory,
            generator=generator,
        )

    with _float32_by_default():
        trunk = make_trunk(0)
        policy = PolicyNetwork(observations.num_features, actions.num_logits, trunk=trunk, generator=generator)
        trunk = trunk if settings.shared_encoder else make_trunk(1)
        return policy, ValueNetwork(observations.num_features, trunk=trunk, generator=generator)


@contextlib.contextmanager
def _float32_by_default() -> Iterator[None]:
    """Create parameters as float32, even if the program has set another default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def hidden_stack(
    input_dim: int, hidden_dim: int, hidden_layers: int, activation: str, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Make linear layers, each followed by the activation; for the arguments see :class:`Trunk`."""
    layers: list[nn.Module] = []
    for index in range(hidden_layers):
        layers += [
            orthogonal_linear(hidden_dim if index else input_dim, hidden_dim, math.sqrt(2), generator),
            ACTIVATIONS[activation](),
        ]
    return nn.Sequential(*layers)


def orthogonal_linear(inputs: int, outputs: int, gain: float, generator: torch.Generator | None = None) -> nn.Linear:
    """Make a linear layer with orthogonal weights, scaled by ``gain``, and zero bias (Saxe et al., 2014)."""
    with torch.random.fork_rng(devices=[]):  # the default initialisation draws from the global generator
        layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _recurrent_cell(kind: str, inputs: int, units: int, generator: torch.Generator | None) -> nn.GRUCell | nn.LSTMCell:
    """Make a memory whose units at first forget after about 2 to ``_MEMORY_STEPS`` steps, in a geometric sequence.

    With zero bias all would forget half at every step, and what was seen ten steps before would leave no gradient.
    After Tallec and Ollivier (2018), "Can recurrent neural networks warp time?". Their time scales are uniform, which
    leaves few fast units. Fast units are needed to react to the present observation.
    """
    with torch.random.fork_rng(devices=[]):
        cell = nn.GRUCell(inputs, units) if kind == "gru" else nn.LSTMCell(inputs, units)
    for weight in (cell.weight_ih, cell.weight_hh):
        nn.init.orthogonal_(weight, 1.0, generator=generator)
    for bias in (cell.bias_ih, cell.bias_hh):
        nn.init.zeros_(bias)
    steps = 2.0 * (_MEMORY_STEPS / 2) ** torch.linspace(0.0, 1.0, units)
    with torch.no_grad():
        cell.bias_ih[units : 2 * units] = (steps - 1).log()  # a GRU's update gate, an LSTM's forget gate
    return cell
