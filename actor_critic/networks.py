"""PolicyNetwork (the actor) and ValueNetwork (the critic), and the encoding of observations they share."""

import math

import torch
from torch import Tensor, nn

from actor_critic.spaces import ObservationSpec

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


class PolicyNetwork(nn.Module):
    """The actor: logits over discrete actions, π(·|s) = softmax(f(s)).

    Hidden layers start orthogonal with gain √2, the output layer with gain 0.01, so that the first policy is nearly
    uniform (Huang et al., 2022, detail 2).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        hidden_dim: int = 256,
        *,
        hidden_layers: int = 2,
        activation: str = "tanh",
        encoder: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network.

        Args:
            input_dim: Features per observation.
            output_dim: Logits, A.
            hidden_dim: Units per hidden layer.
            hidden_layers: Hidden layers; 0 is a linear policy.
            activation: A key of ``ACTIVATIONS``.
            encoder: Hidden layers to use instead of new ones, such as those of a value network to share.
            generator: Source of the initial weights; None takes torch's global one.
        """
        super().__init__()
        if encoder is None:
            encoder = hidden_stack(input_dim, hidden_dim, hidden_layers, activation, generator)
        self.encoder = encoder
        self.head = orthogonal_linear(hidden_dim if hidden_layers else input_dim, output_dim, 0.01, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, A] of features [B, input_dim]."""
        logits: Tensor = self.head(self.encoder(features))
        return logits


class ValueNetwork(nn.Module):
    """The critic: the expected return V(s).

    Hidden layers start orthogonal with gain √2, the output layer with gain 1.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 256,
        *,
        hidden_layers: int = 2,
        activation: str = "tanh",
        encoder: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network; the arguments are those of :class:`PolicyNetwork`."""
        super().__init__()
        if encoder is None:
            encoder = hidden_stack(input_dim, hidden_dim, hidden_layers, activation, generator)
        self.encoder = encoder
        self.head = orthogonal_linear(hidden_dim if hidden_layers else input_dim, 1, 1.0, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Values [B] of features [B, input_dim]."""
        values: Tensor = self.head(self.encoder(features)).squeeze(-1)
        return values


def hidden_stack(
    input_dim: int, hidden_dim: int, hidden_layers: int, activation: str, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Linear layers, each followed by the activation; arguments as in :class:`PolicyNetwork`."""
    layers: list[nn.Module] = []
    for index in range(hidden_layers):
        layers += [
            orthogonal_linear(hidden_dim if index else input_dim, hidden_dim, math.sqrt(2), generator),
            ACTIVATIONS[activation](),
        ]
    return nn.Sequential(*layers)


def orthogonal_linear(inputs: int, outputs: int, gain: float, generator: torch.Generator | None = None) -> nn.Linear:
    """A linear layer with orthogonal weights times ``gain`` and zero bias (Saxe et al., 2014)."""
    # skip_init: the usual initialisation would draw from torch's global generator, only to be overwritten.
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def encode(observations: Tensor, spec: ObservationSpec) -> Tensor:
    """Turn stored observations into features.

    Args:
        observations: [B, *spec.shape], as stored.
        spec: What they are.

    Returns:
        [B, spec.num_features] float32: boxes flattened, categories one-hot encoded side by side.
    """
    flat = observations.reshape(len(observations), math.prod(spec.shape))
    if spec.kind == "box":
        return flat.to(torch.float32)
    offsets = torch.tensor((0, *spec.sizes[:-1]), device=flat.device).cumsum(0)
    positions = flat - torch.tensor(spec.starts, device=flat.device) + offsets
    return torch.zeros(len(flat), spec.num_features, device=flat.device).scatter_(1, positions, 1.0)
