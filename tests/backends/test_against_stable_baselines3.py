"""One update on a fixed rollout, gradient by gradient, against Stable-Baselines3's own code.

Both sides keep their weights still, so that every minibatch's gradient is one of the same weights. Stable-Baselines3's
value loss lacks the factor ½, so its ``vf_coef`` is half of ours.
"""

import warnings
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from actor_critic.algorithm import Batch, Coefficients
from actor_critic.backends import EagerBackend, eager
from actor_critic.networks.networks import PolicyNetwork, ValueNetwork
from actor_critic.networks.parameters import FlatParameters
from actor_critic.ops.returns import generalized_advantage
from tests.backends.estimating import estimate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the other library's, while it is imported
    from stable_baselines3 import A2C, PPO
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

STEPS, ENVS, HIDDEN = 32, 4, 16
COUNT = STEPS * ENVS
RULES = Coefficients(
    learning_rate=0.001, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, clip_coef=0.2, clip_vloss=False,
    normalize_advantages=True, min_advantage_std=0.0, ent_coef=0.01, vf_coef=0.5, max_grad_norm=0.5, target_kl=None,
)  # fmt: skip


def _peer(kind: type[OnPolicyAlgorithm], **settings: object) -> OnPolicyAlgorithm:
    settings |= {"policy_kwargs": {"net_arch": [HIDDEN, HIDDEN]}, "n_steps": COUNT, "device": "cpu", "seed": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = kind("MlpPolicy", "CartPole-v1", **settings)
    peer.set_logger(Logger(None, []))
    with torch.no_grad():
        peer.policy.action_net.weight.mul_(100)  # far from uniform
    return peer


def _linear(*modules: nn.Module) -> list[nn.Linear]:
    return [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Linear)]


def _ours(peer: OnPolicyAlgorithm) -> tuple[EagerBackend, FlatParameters]:
    """Our backend with the peer's weights."""
    policy, value = PolicyNetwork(4, 2, HIDDEN), ValueNetwork(4, HIDDEN)
    theirs = peer.policy
    for network, layers in (
        (policy, _linear(theirs.mlp_extractor.policy_net, theirs.action_net)),
        (value, _linear(theirs.mlp_extractor.value_net, theirs.value_net)),
    ):
        for mine, other in zip(_linear(network), layers, strict=True):
            mine.load_state_dict(other.state_dict())
    flat = FlatParameters([policy, value])
    return EagerBackend(policy, value, flat, (2,)), flat


def _in_our_order(peer: OnPolicyAlgorithm) -> list[nn.Parameter]:
    theirs = peer.policy
    groups = (theirs.mlp_extractor.policy_net, theirs.action_net, theirs.mlp_extractor.value_net, theirs.value_net)
    return [parameter for layer in _linear(*groups) for parameter in (layer.weight, layer.bias)]


def _rollout(backend: EagerBackend, spread: float) -> Batch:
    """A rollout whose old policy and values differ from the present ones by about ``spread``."""
    random = torch.Generator().manual_seed(5)
    features = torch.randn(COUNT, 4, generator=random)
    actions = torch.randint(2, (COUNT, 1), generator=random)
    before = estimate(backend, torch.cat([features, features]), actions)
    log_probs, values = before.log_probs, before.values
    old_log_probs = log_probs + spread * torch.randn(COUNT, generator=random)
    old_values = values + 2 * spread * torch.randn(COUNT, generator=random)
    # Close to the present values, on the far side of the old ones: there the clipped error is the larger of the two,
    # and the larger of two (ours, as PPO's authors have it) is the clipped one alone (theirs).
    returns = values + 0.01 * (values - old_values)
    return Batch(features, actions, None, old_log_probs, old_values, torch.randn(COUNT, generator=random), returns)


def _fill(peer: OnPolicyAlgorithm, batch: Batch) -> None:
    buffer = peer.rollout_buffer
    columns = {
        "observations": batch.features, "actions": batch.actions, "log_probs": batch.log_probs,
        "values": batch.values, "advantages": batch.advantages, "returns": batch.returns,
    }  # fmt: skip
    for name, column in columns.items():
        target = getattr(buffer, name)
        target[...] = column.numpy().reshape(target.shape)
    buffer.full = True
    buffer.generator_ready = False


def _their_gradients(peer: OnPolicyAlgorithm, order_seed: int) -> list[torch.Tensor]:
    gradients: list[torch.Tensor] = []
    parameters = _in_our_order(peer)
    peer.policy.optimizer.step = lambda: gradients.append(  # type: ignore[method-assign]
        torch.cat([parameter.grad.reshape(-1).clone() for parameter in parameters if parameter.grad is not None])
    )
    np.random.seed(order_seed)
    peer.train()
    return gradients


def _our_gradients(
    backend: EagerBackend, batch: Batch, minibatches: Sequence[np.ndarray], rules: Coefficients,
    monkeypatch: pytest.MonkeyPatch,
) -> list[torch.Tensor]:  # fmt: skip
    gradients: list[torch.Tensor] = []
    monkeypatch.setattr(eager, "adam_step", lambda _, gradient, *rest: gradients.append(gradient.clone()))
    backend.update(batch, minibatches, rules)
    return gradients


def _orders(order_seed: int, passes: int, size: int) -> list[np.ndarray]:
    """The minibatches that Stable-Baselines3 draws from NumPy's global generator."""
    np.random.seed(order_seed)
    orders = [np.random.permutation(COUNT) for _ in range(passes)]
    return [part for order in orders for part in np.split(order, COUNT // size)]


def _assert_equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.norm() > 1e-3
        assert (mine - other).norm() < 1e-5 * other.norm()


@pytest.mark.parametrize("clip_vloss", [False, True])
def test_a_ppo_update_has_the_same_gradients(clip_vloss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = _peer(
        PPO, batch_size=32, n_epochs=3, clip_range=0.2, clip_range_vf=0.2 if clip_vloss else None, ent_coef=0.01,
        vf_coef=0.25,
    )  # fmt: skip
    backend, _ = _ours(peer)
    batch = _rollout(backend, 0.3)
    _fill(peer, batch)
    rules = Coefficients(**(vars(RULES) | {"clip_vloss": clip_vloss}))
    ours = _our_gradients(backend, batch, _orders(7, 3, 32), rules, monkeypatch)
    assert len(ours) == 12
    _assert_equal(ours, _their_gradients(peer, 7))


def test_target_kl_stops_at_the_same_minibatch(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = _orders(9, 3, 32)
    peer = _peer(PPO, batch_size=32, n_epochs=3, vf_coef=0.25, ent_coef=0.01)
    backend, _ = _ours(peer)
    batch = _rollout(backend, 0.3)
    now = backend.policy.log_probs(batch.features, batch.actions, None, None)
    ratios = now - batch.log_probs
    kls = [float((ratios[order].exp() - 1 - ratios[order]).mean()) for order in orders]
    # With the weights still, a minibatch's divergence does not depend on those before it: the limit lets the first two
    # pass and the largest one of all not.
    limit = max(kls[:2]) * 1.0001
    expected = next(index for index, kl in enumerate(kls) if kl > limit)
    peer.target_kl = limit / 1.5
    _fill(peer, batch)
    rules = Coefficients(**(vars(RULES) | {"target_kl": limit / 1.5}))
    ours = _our_gradients(backend, batch, orders, rules, monkeypatch)
    assert 2 <= len(ours) == expected < 12
    _assert_equal(ours, _their_gradients(peer, 9))


def test_an_a2c_update_has_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = _peer(A2C, use_rms_prop=False, ent_coef=0.01, vf_coef=0.25, normalize_advantage=False)
    backend, _ = _ours(peer)
    batch = _rollout(backend, 0.3)
    _fill(peer, batch)
    rules = Coefficients(**(vars(RULES) | {"clip_coef": None, "normalize_advantages": False}))
    ours = _our_gradients(backend, batch, [np.arange(COUNT)], rules, monkeypatch)
    _assert_equal(ours, _their_gradients(peer, 1))


def test_adam_takes_the_same_steps_on_the_same_gradients() -> None:
    peer = _peer(A2C, use_rms_prop=False, learning_rate=0.001)
    backend, flat = _ours(peer)
    parameters = _in_our_order(peer)
    optimizer = peer.policy.optimizer
    assert isinstance(optimizer, torch.optim.Adam)
    random = torch.Generator().manual_seed(0)
    settings = optimizer.param_groups[0]
    for step in range(1, 21):
        gradient = torch.randn(len(flat.values), generator=random)
        offset = 0
        for parameter in parameters:
            parameter.grad = gradient[offset : offset + parameter.numel()].view_as(parameter).clone()
            offset += parameter.numel()
        optimizer.step()
        eager.adam_step(
            flat.values, gradient, backend.first_moment, backend.second_moment, step, 0.001, *settings["betas"],
            settings["eps"],
        )  # fmt: skip
    theirs = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    torch.testing.assert_close(flat.values, theirs, rtol=1e-5, atol=1e-7)


def test_advantages_are_the_same() -> None:
    random = np.random.default_rng(0)
    env = gym.make("CartPole-v1")
    from stable_baselines3.common.buffers import RolloutBuffer

    buffer = RolloutBuffer(STEPS, env.observation_space, env.action_space, "cpu", 0.9, 0.98, ENVS)
    rewards, values = random.normal(size=(2, STEPS + 1, ENVS)).astype(np.float32)
    starts = random.random((STEPS + 1, ENVS)) < 0.2  # theirs marks the first step of an episode, ours the last
    for t in range(STEPS):
        zeros = np.zeros((ENVS, 4))
        buffer.add(zeros, zeros[:, :1], rewards[t], starts[t], torch.from_numpy(values[t]), torch.zeros(ENVS))
    buffer.compute_returns_and_advantage(torch.from_numpy(values[-1]), starts[-1])
    ended = starts[1:]
    ours = generalized_advantage(rewards[:-1], values[:-1], values[1:], ended, ended, 0.98, 0.9)
    np.testing.assert_allclose(ours, buffer.advantages, rtol=1e-4, atol=1e-5)
