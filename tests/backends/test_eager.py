"""The eager backend against a plain PyTorch loop: separate modules, torch.optim.Adam, torch.distributions."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Categorical

from actor_critic.algorithm import Batch, Coefficients
from actor_critic.backends import EagerBackend
from actor_critic.errors import NumericalError
from actor_critic.networks.networks import PolicyNetwork, ValueNetwork
from actor_critic.networks.parameters import FlatParameters
from tests.backends.estimating import estimate

RULES = Coefficients(
    learning_rate=0.01, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-5, clip_coef=0.2, clip_vloss=False,
    normalize_advantages=True, min_advantage_std=0.0, ent_coef=0.01, vf_coef=0.5, max_grad_norm=0.5, target_kl=None,
)  # fmt: skip
COUNT, FEATURES, ACTIONS = 64, 5, 4


def _networks() -> tuple[PolicyNetwork, ValueNetwork]:
    random = torch.Generator().manual_seed(0)
    policy = PolicyNetwork(FEATURES, ACTIONS, 16, generator=random)
    value = ValueNetwork(FEATURES, 16, generator=random)
    with torch.no_grad():
        policy.head.weight.mul_(100)  # far from uniform, so that ratios leave the clip range
    return policy, value


def _backend() -> tuple[EagerBackend, FlatParameters]:
    policy, value = _networks()
    flat = FlatParameters([policy, value])
    return EagerBackend(policy, value, flat, (ACTIONS,)), flat


def _batch(backend: EagerBackend) -> Batch:
    random = torch.Generator().manual_seed(1)
    features = torch.randn(COUNT, FEATURES, generator=random)
    actions = torch.randint(ACTIONS, (COUNT, 1), generator=random)
    before = estimate(backend, torch.cat([features, features]), actions)
    advantages = torch.randn(COUNT, generator=random)
    return Batch(features, actions, None, before.log_probs, before.values, advantages, before.values + advantages)


def _minibatches(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(2)
    return [part for _ in range(3) for part in np.split(random.permutation(COUNT), count)]


def _plain_update(batch: Batch, minibatches: list[np.ndarray], rules: Coefficients) -> list[nn.Module]:
    """PPO or A2C as a textbook writes it."""
    policy, value = (copy.deepcopy(network) for network in _networks())
    parameters = [*policy.parameters(), *value.parameters()]
    betas = (rules.adam_beta1, rules.adam_beta2)
    optimizer = torch.optim.Adam(parameters, rules.learning_rate, betas, rules.adam_epsilon)
    for indices in minibatches:
        rows = torch.from_numpy(indices)
        distribution = Categorical(logits=policy(batch.features[rows]))
        log_probs = distribution.log_prob(batch.actions[rows, 0])
        advantages = batch.advantages[rows]
        if rules.normalize_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        if rules.clip_coef is None:
            policy_loss = -(log_probs * advantages).mean()
        else:
            ratios = torch.exp(log_probs - batch.log_probs[rows])
            clipped = torch.clamp(ratios, 1 - rules.clip_coef, 1 + rules.clip_coef)
            policy_loss = -torch.minimum(ratios * advantages, clipped * advantages).mean()
        values = value(batch.features[rows])
        errors = (values - batch.returns[rows]) ** 2
        if rules.clip_vloss and rules.clip_coef is not None:
            change = torch.clamp(values - batch.values[rows], -rules.clip_coef, rules.clip_coef)
            errors = torch.maximum(errors, (batch.values[rows] + change - batch.returns[rows]) ** 2)
        loss = policy_loss - rules.ent_coef * distribution.entropy().mean() + rules.vf_coef * errors.mean() / 2
        optimizer.zero_grad()
        loss.backward()
        if rules.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(parameters, rules.max_grad_norm)
        optimizer.step()
    return [policy, value]


@pytest.mark.parametrize(
    ("changes", "minibatches"),
    [
        ({}, 4),
        ({"clip_vloss": True}, 2),
        ({"clip_coef": None, "normalize_advantages": False, "ent_coef": 0.0}, 1),
        ({"max_grad_norm": None, "vf_coef": 2.0}, 8),
    ],
    ids=["ppo", "clipped value loss", "a2c", "gradient unclipped"],
)
def test_an_update_equals_the_plain_loop(changes: dict, minibatches: int) -> None:
    rules = Coefficients(**(vars(RULES) | changes))
    backend, flat = _backend()
    batch, parts = _batch(backend), _minibatches(minibatches)
    before = flat.values.clone()
    statistics = backend.update(batch, parts, rules)
    expected = nn.utils.parameters_to_vector(p for m in _plain_update(batch, parts, rules) for p in m.parameters())
    torch.testing.assert_close(flat.values, expected, rtol=1e-4, atol=1e-6)
    assert (flat.values - before).abs().max() > 0.01
    assert statistics.steps == backend.steps == 3 * minibatches


def test_figures_of_the_first_step_are_those_of_the_unchanged_policy() -> None:
    backend, _ = _backend()
    batch = _batch(backend)
    with torch.no_grad():
        entropy = Categorical(logits=backend._policy(batch.features)).entropy().mean()
    statistics = backend.update(batch, [np.arange(COUNT)], RULES)
    assert statistics.approx_kl == pytest.approx(0.0, abs=1e-6)
    assert statistics.clip_fraction == 0.0
    assert statistics.policy_loss == pytest.approx(0.0, abs=1e-6)  # ratios are 1, advantages have mean 0
    assert statistics.value_loss == pytest.approx(0.5 * float(batch.advantages.square().mean()), rel=1e-5)
    assert statistics.entropy == pytest.approx(float(entropy), rel=1e-5)


def test_target_kl_skips_the_step_that_exceeds_it_and_all_after() -> None:
    free, _ = _backend()
    batch = _batch(free)
    kls = [free.update(batch, [np.arange(COUNT)], RULES).approx_kl for _ in range(6)]
    limit = (kls[3] + kls[2]) / 2  # steps 0, 1 and 2 see less than this, step 3 sees more
    assert kls[2] < limit < kls[3]
    stopped, flat = _backend()
    rules = Coefficients(**(vars(RULES) | {"target_kl": limit / 1.5}))
    assert stopped.update(batch, [np.arange(COUNT)] * 6, rules).steps == 3
    three, expected = _backend()
    three.update(batch, [np.arange(COUNT)] * 3, RULES)
    assert torch.equal(flat.values, expected.values)


@pytest.mark.parametrize("poisoned", ["advantages", "returns", "features"])
def test_a_step_that_is_not_finite_is_not_taken(poisoned: str) -> None:
    backend, flat = _backend()
    batch = _batch(backend)
    getattr(batch, poisoned)[3] = torch.nan
    before = flat.values.clone()
    with pytest.raises(NumericalError, match="optimizer step 1 is not finite"):
        backend.update(batch, [np.arange(COUNT)], RULES)
    assert torch.equal(flat.values, before)
    assert not backend.first_moment.any()


def test_masked_actions_take_no_part_in_the_update() -> None:
    backend, _flat = _backend()
    random = torch.Generator().manual_seed(3)
    features = torch.randn(COUNT, FEATURES, generator=random)
    masks = torch.ones(COUNT, ACTIONS, dtype=torch.bool)
    masks[:, 1] = False
    actions = torch.tensor([0, 2, 3, 2] * (COUNT // 4)).unsqueeze(1)
    before = estimate(backend, torch.cat([features, features]), actions, masks)
    advantages = torch.randn(COUNT, generator=random)
    weight = backend._policy.head.weight[1].clone()
    rules = Coefficients(**(vars(RULES) | {"max_grad_norm": None}))
    returns = before.values + advantages
    batch = Batch(features, actions, masks, before.log_probs, before.values, advantages, returns)
    backend.update(batch, [np.arange(COUNT)] * 3, rules)
    assert torch.equal(backend._policy.head.weight[1], weight)
    uniforms = np.random.default_rng(0).random((COUNT, 1), np.float32)
    choices, _ = backend.policy.act(features, uniforms, masks.numpy(), np.zeros((COUNT, 0), np.float32))
    assert not (choices == 1).any()
