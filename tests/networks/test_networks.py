import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from actor_critic.networks.encoders import encode
from actor_critic.networks.networks import ACTIVATIONS, PolicyNetwork, Trunk, ValueNetwork, orthogonal_linear
from actor_critic.spaces import ObservationSpec


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden_layers", [0, 1, 3])
def test_policy_gives_a_logit_per_choice_and_value_one_number(hidden_layers: int, activation: str) -> None:
    shape: dict[str, Any] = {"hidden_layers": hidden_layers, "activation": activation, "generator": seeded()}
    features = torch.randn(7, 5, generator=seeded())
    assert PolicyNetwork(5, 3, 8, **shape)(features).shape == (7, 3)
    assert ValueNetwork(5, 8, **shape)(features).shape == (7,)
    assert ValueNetwork(5, 8, **shape)(features[:1]).shape == (1,)


@pytest.mark.parametrize(("outputs", "inputs"), [(4, 9), (9, 4), (6, 6), (1, 5)])
@pytest.mark.parametrize("gain", [0.01, 1.0, math.sqrt(2)])
def test_weights_are_orthogonal_times_the_gain(inputs: int, outputs: int, gain: float) -> None:
    layer = orthogonal_linear(inputs, outputs, gain, seeded())
    weight = layer.weight.detach()
    product = weight @ weight.T if outputs <= inputs else weight.T @ weight
    torch.testing.assert_close(product, gain**2 * torch.eye(min(inputs, outputs)), rtol=1e-5, atol=1e-5 * gain**2)
    assert (layer.bias == 0).all()


def test_gains_are_root_two_in_hidden_layers_a_hundredth_in_the_policy_head_and_one_in_the_value_head() -> None:
    policy, value = PolicyNetwork(5, 3, 8, generator=seeded()), ValueNetwork(5, 8, generator=seeded())
    for network, head_gain in ((policy, 0.01), (value, 1.0)):
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        gains = [torch.linalg.matrix_norm(layer.weight.detach(), 2).item() for layer in layers]
        assert gains == pytest.approx([math.sqrt(2), math.sqrt(2), head_gain], rel=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_units_of_a_new_memory_forget_after_two_to_sixty_four_steps(kind: str) -> None:
    cell = Trunk(5, 32, memory=kind, generator=seeded()).memory
    assert isinstance(cell, nn.GRUCell | nn.LSTMCell)
    with torch.no_grad():
        for weight in (cell.weight_ih, cell.weight_hh):  # so that the biases alone decide
            weight.zero_()
        state = torch.ones(1, 32)
        after = cell(torch.ones(1, 32), state if kind == "gru" else (torch.zeros(1, 32), state))
    kept = after if kind == "gru" else after[1]
    torch.testing.assert_close(kept[0], 1 - 1 / torch.logspace(1, 6, 32, base=2))


def test_first_policy_is_nearly_uniform() -> None:
    logits = PolicyNetwork(5, 4, 64, generator=seeded())(torch.randn(100, 5, generator=seeded()))
    torch.testing.assert_close(logits.softmax(-1), torch.full((100, 4), 0.25), rtol=0, atol=0.05)


def test_weights_depend_on_the_generator_alone_and_leave_the_global_one_untouched() -> None:
    before = torch.random.get_rng_state()
    networks = [PolicyNetwork(5, 3, 8, generator=seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [torch.nn.utils.parameters_to_vector(network.parameters()) for network in networks]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_network_without_hidden_layers_is_linear() -> None:
    policy = PolicyNetwork(5, 3, 8, hidden_layers=0, generator=seeded())
    features = torch.randn(4, 5, generator=seeded())
    assert sum(parameter.numel() for parameter in policy.parameters()) == 5 * 3 + 3
    torch.testing.assert_close(policy(features), features @ policy.head.weight.T + policy.head.bias)


@pytest.mark.parametrize("hidden_layers", [0, 2])
def test_a_shared_trunk_is_the_same_module_in_both_networks(hidden_layers: int) -> None:
    policy = PolicyNetwork(5, 3, 8, hidden_layers=hidden_layers, generator=seeded())
    value = ValueNetwork(5, 8, hidden_layers=hidden_layers, trunk=policy.trunk, generator=seeded())
    assert value.trunk is policy.trunk
    assert value(torch.zeros(2, 5)).shape == (2,)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(-1, 1, (3,)),
        gym.spaces.Box(-1, 1, (2, 3), np.float64),
        gym.spaces.Box(0, 255, (4, 2, 3), np.uint8),
        gym.spaces.Box(0, 2**31, (2,), np.uint32),
        gym.spaces.Box(-1, 1, ()),
        gym.spaces.MultiBinary(4),
        gym.spaces.MultiBinary([2, 3]),
        gym.spaces.Discrete(5),
        gym.spaces.Discrete(5, start=-2),
        gym.spaces.MultiDiscrete([3, 2, 4]),
        gym.spaces.MultiDiscrete([3, 2, 4], start=[1, -5, 10]),
        gym.spaces.MultiDiscrete([[3, 2], [1, 4]], start=[[1, -5], [0, 2]]),
    ],
    ids=str,
)
def test_encoding_is_that_of_gymnasium(space: gym.Space[Any]) -> None:
    spec = ObservationSpec.from_space(space)
    space.seed(0)
    samples = [space.sample() for _ in range(20)]
    features = encode(np.stack(samples).astype(spec.dtype), spec)
    expected = np.stack([gym.spaces.utils.flatten(space, sample) for sample in samples]).astype(np.float32)
    assert features.dtype == torch.float32
    assert features.shape == (20, spec.num_features)
    np.testing.assert_array_equal(features.numpy(), expected)
