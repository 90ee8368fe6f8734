import copy

import pytest
import torch
from torch import Tensor, nn

from actor_critic.errors import NumericalError
from actor_critic.networks.networks import PolicyNetwork, ValueNetwork
from actor_critic.networks.parameters import FlatParameters
from actor_critic.ops.adam import adam_step, clip_gradient_norm

INPUTS, ACTIONS, HIDDEN = 5, 3, 8


def networks(is_shared: bool = False) -> tuple[PolicyNetwork, ValueNetwork]:
    random = torch.Generator().manual_seed(0)
    policy = PolicyNetwork(INPUTS, ACTIONS, HIDDEN, generator=random)
    return policy, ValueNetwork(INPUTS, HIDDEN, trunk=policy.trunk if is_shared else None, generator=random)


def loss_of(policy: nn.Module, value: nn.Module, step: int) -> Tensor:
    features = torch.randn(16, INPUTS, generator=torch.Generator().manual_seed(step))
    return policy(features).log_softmax(-1)[:, 0].mean() + 3 * (value(features) - features[:, 0]).square().mean()


def assert_bound(flat: FlatParameters, *modules: nn.Module) -> None:
    """Every parameter and gradient is a window into the buffer, one beside the other, and there are no others."""
    unique = list({id(p): p for module in modules for p in module.parameters()}.values())
    offset = 0
    for parameter in unique:
        assert parameter.grad is not None
        assert parameter.data_ptr() == flat.values.data_ptr() + 4 * offset
        assert parameter.grad.data_ptr() == flat.gradients.data_ptr() + 4 * offset
        offset += parameter.numel()
    assert offset == flat.values.numel() == flat.gradients.numel()


@pytest.mark.parametrize("is_shared", [False, True])
def test_flat_training_is_that_of_the_same_modules_left_apart(is_shared: bool) -> None:
    policy, value = networks(is_shared)
    plain_policy, plain_value = copy.deepcopy((policy, value))
    plain = list({id(p): p for p in (*plain_policy.parameters(), *plain_value.parameters())}.values())
    optimizer = torch.optim.Adam(plain, lr=0.01, eps=1e-5)
    flat = FlatParameters([policy, value])
    first, second = torch.zeros_like(flat.values), torch.zeros_like(flat.values)
    norms = []
    for step in range(1, 11):
        optimizer.zero_grad()
        loss_of(plain_policy, plain_value, step).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(plain, 1.0).item())
        optimizer.step()

        flat.check()
        flat.gradients.zero_()
        loss_of(policy, value, step).backward()
        norm = flat.gradients.norm()
        assert norm.item() == pytest.approx(norms[-1], rel=1e-5)
        clip_gradient_norm(flat.gradients, norm, 1.0)
        adam_step(flat.values, flat.gradients, first, second, step, 0.01, 0.9, 0.999, 1e-5)

        expected = torch.cat([parameter.detach().reshape(-1) for parameter in plain])
        torch.testing.assert_close(flat.values, expected, rtol=1e-5, atol=1e-6)
    assert_bound(flat, policy, value)
    assert max(norms) > 1  # the norm was clipped, so the comparison covers that too


def test_moving_into_the_buffer_keeps_values_shapes_and_parameter_objects() -> None:
    policy, value = networks()
    originals, before = list(policy.parameters()), copy.deepcopy(policy.state_dict())
    flat = FlatParameters([policy, value])
    assert all(now is then for now, then in zip(policy.parameters(), originals, strict=True))
    for name, tensor in policy.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert_bound(flat, policy, value)
    assert (flat.gradients == 0).all()


def test_a_shared_trunk_is_counted_once() -> None:
    policy, value = networks(is_shared=True)
    flat = FlatParameters([policy, value])
    trunk = INPUTS * HIDDEN + HIDDEN + HIDDEN * HIDDEN + HIDDEN
    assert flat.values.numel() == trunk + (HIDDEN * ACTIONS + ACTIONS) + (HIDDEN + 1)
    assert_bound(flat, policy, value)


def test_views_survive_load_state_dict() -> None:
    policy, value = networks()
    flat = FlatParameters([policy, value])
    buffer = flat.values.data_ptr()
    wanted = {name: torch.randn_like(tensor) for name, tensor in policy.state_dict().items()}
    policy.load_state_dict(wanted)
    assert_bound(flat, policy, value)
    assert flat.values.data_ptr() == buffer
    assert torch.equal(flat.values[: INPUTS * HIDDEN], wanted["trunk.hidden.0.weight"].reshape(-1))


def test_assigned_data_is_taken_over_and_bound_anew() -> None:
    policy, value = networks()
    flat = FlatParameters([policy, value])
    before = flat.values.clone()
    policy.head.weight.data = torch.full((ACTIONS, HIDDEN), 7.0)
    flat.check()
    assert_bound(flat, policy, value)
    assert (policy.head.weight == 7).all()
    assert (flat.values == 7).sum() == ACTIONS * HIDDEN
    assert torch.equal(flat.values[flat.values != 7], before[flat.values != 7])


@pytest.mark.parametrize("is_removed", [True, False])
def test_removed_or_replaced_gradients_are_bound_anew(is_removed: bool) -> None:
    policy, value = networks()
    flat = FlatParameters([policy, value])
    policy.trunk.hidden[0].weight.grad = None if is_removed else torch.ones(HIDDEN, INPUTS)
    flat.check()
    assert_bound(flat, policy, value)
    loss_of(policy, value, 0).backward()
    assert flat.gradients[: INPUTS * HIDDEN].norm() > 0


def test_swapped_data_is_taken_over_and_bound_anew() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    wanted = other.weight.detach().clone(), one.weight.detach().clone()
    flat = FlatParameters([one, other])
    one.weight.data, other.weight.data = other.weight.data, one.weight.data
    flat.check()
    assert torch.equal(one.weight, wanted[0])
    assert torch.equal(other.weight, wanted[1])
    assert_bound(flat, one, other)


def test_parameters_replaced_as_objects_are_bound_anew() -> None:
    policy, value = networks()
    flat = FlatParameters([policy, value])
    wanted = {name: torch.randn_like(tensor) for name, tensor in policy.state_dict().items()}
    policy.load_state_dict(wanted, assign=True)
    flat.check()
    assert_bound(flat, policy, value)
    assert torch.equal(policy.head.weight, wanted["head.weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_change_of_dtype_is_refused_with_its_name(dtype: torch.dtype) -> None:
    policy, value = networks()
    flat = FlatParameters([policy, value])
    value.to(dtype)
    with pytest.raises(TypeError, match=f"{dtype}.*training needs torch.float32"):
        flat.check()
    with pytest.raises(TypeError, match=f"{dtype}.*training needs torch.float32"):
        FlatParameters([policy, value])


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_parameter_that_is_not_finite_is_found(number: float) -> None:
    policy, value = networks()
    flat = FlatParameters([policy, value])
    flat.check_finite()
    with torch.no_grad():
        value.head.bias.fill_(number)
    with pytest.raises(NumericalError, match="a parameter is not finite"):
        flat.check_finite()
