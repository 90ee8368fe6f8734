"""The fused backend against the eager one: every gradient, every figure, every choice."""

import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import numba
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actor_critic import Config, Trainer
from actor_critic.algorithm import Batch, Coefficients, Experience, coefficients_of
from actor_critic.backends import Backend, EagerBackend, Estimates, choose
from actor_critic.backends.fused import adam, targets
from actor_critic.backends.fused.backend import FusedBackend
from actor_critic.backends.fused.layers import CHUNK
from actor_critic.compiling import cache, when_compiling
from actor_critic.compiling.helper import DONE, POSTED
from actor_critic.errors import ConfigError, NumericalError
from actor_critic.networks.encoders import CNNS, PartsEncoder
from actor_critic.networks.networks import ACTIVATIONS, PolicyNetwork, Trunk, ValueNetwork
from actor_critic.networks.parameters import FlatParameters
from actor_critic.ops.returns import generalized_advantage
from actor_critic.spaces import ObservationSpec
from tests import toys  # noqa: F401  registers its environments
from tests.backends.estimating import estimate
from tests.plain import PLAIN

RULES = {
    "learning_rate": 0.01, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-5, "clip_coef": 0.2,
    "clip_vloss": False, "normalize_advantages": True, "min_advantage_std": 0.0,
    "ent_coef": 0.01, "vf_coef": 0.5, "max_grad_norm": 0.5,
    "target_kl": None,
}  # fmt: skip


class _Case:
    """Both backends around equal networks, and a batch for them."""

    def __init__(
        self, features: int, units: int, layers: int, sizes: tuple[int, ...], activation: str = "tanh",
        shared: bool = False, count: int = 64, masked: bool = False, seed: int = 0,
        threads: int = 1, convolutions: tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]] | None = None,
        entries: int = 0,
    ) -> None:  # fmt: skip
        """``convolutions`` is the shape of the image that features are, and filters, sides and strides.

        With ``entries``, at most so many features of a row are not 0.
        """
        random = torch.Generator().manual_seed(seed)
        self.backends: list[Any] = []
        self.flats: list[FlatParameters] = []
        self.networks: list[PolicyNetwork | ValueNetwork] = []  # of the eager backend
        for kind in (EagerBackend, FusedBackend):
            initial = torch.Generator().manual_seed(seed)
            policy_trunk = _trunk(features, units, layers, activation, convolutions, initial)
            policy = PolicyNetwork(features, sum(sizes), trunk=policy_trunk, generator=initial)
            with torch.no_grad():
                policy.head.weight.mul_(100)
            trunk = policy_trunk if shared else _trunk(features, units, layers, activation, convolutions, initial)
            value = ValueNetwork(features, trunk=trunk, generator=initial)
            with torch.no_grad():
                for name, parameter in [*policy.named_parameters(), *value.named_parameters()]:
                    if name.endswith("bias"):  # which begin as 0
                        parameter.normal_(0.0, 1.0 if name == "head.bias" else 0.1, generator=initial)
            self.networks = self.networks or [policy, value]
            flat = FlatParameters([policy, value])
            extra = (threads, entries) if kind is FusedBackend else ()
            self.backends.append(kind(policy, value, flat, sizes, *extra))
            self.flats.append(flat)
        self.features = torch.randn(count, features, generator=random)
        if entries:
            places = torch.randint(features, (count, entries), generator=random)
            self.features *= torch.zeros(count, features).scatter_(1, places, 1.0)
        self.masks = None
        if masked:
            self.masks = torch.rand(count, sum(sizes), generator=random) < 0.5
            for first, size in zip(np.cumsum((0, *sizes[:-1])), sizes, strict=True):
                keep = torch.randint(size, (count,), generator=random) + int(first)
                self.masks[torch.arange(count), keep] = True
        self.uniforms = torch.rand(count, len(sizes), generator=random).numpy()
        eager = self.backends[0]
        self.actions = torch.from_numpy(self.act(eager, self.uniforms))
        before = self.evaluate_actions(eager)
        advantages = torch.randn(count, generator=random)
        # Moved away from what the networks say now, so that ratios and values leave the clip range.
        moved = before.log_probs + 0.3 * torch.randn(count, generator=random)
        old_values = before.values + 0.3 * torch.randn(count, generator=random)
        self.batch = Batch(
            self.features, self.actions, self.masks, moved, old_values, advantages, before.values + advantages
        )

    def act(self, backend: Backend, uniforms: np.ndarray | None) -> np.ndarray:
        masks = None if self.masks is None else self.masks.numpy()
        return backend.policy.act(self.features, uniforms, masks, np.zeros((len(self.features), 0), np.float32))[0]

    def evaluate_actions(self, backend: Backend) -> Estimates:
        """Of one step of as many environments as there are features; what follows are the same again."""
        return estimate(backend, torch.cat([self.features, self.features]), self.actions, self.masks)

    def is_at_a_kink(self, rules: dict[str, Any]) -> bool:
        """Whether rounding decides on which side of a kink some number falls: there both gradients are right."""
        nearest = torch.inf
        for network in self.networks:
            outputs = self.features
            encoder = network.trunk.encoder
            before = [*encoder.convolutions.layers, torch.nn.Flatten()] if isinstance(encoder, PartsEncoder) else []
            if isinstance(encoder, PartsEncoder):
                outputs = outputs.reshape(-1, *encoder.convolutions.shape)
            for layer in [*before, *network.trunk.hidden]:
                if isinstance(layer, torch.nn.ReLU):
                    nearest = min(nearest, float(outputs.detach().abs().min()))
                outputs = layer(outputs)
        now = self.evaluate_actions(self.backends[0])
        clip = rules.get("clip_coef", RULES["clip_coef"])
        if clip is not None:
            ratios = (now.log_probs - self.batch.log_probs).exp()
            moved = now.values - self.batch.values
            near = self.batch.values + moved.clamp(-clip, clip) - self.batch.returns
            errors = near.square() - (now.values - self.batch.returns).square()
            for distance in ((ratios - 1).abs() - clip, moved.abs() - clip, errors[errors != 0]):
                nearest = min(nearest, float(distance.abs().min())) if len(distance) else nearest
        return nearest < 1e-5

    def update(self, minibatches: list[np.ndarray], **rules: Any) -> list[Any]:
        return [backend.update(self.batch, minibatches, Coefficients(**(RULES | rules))) for backend in self.backends]


def _trunk(
    features: int, units: int, layers: int, activation: str,
    convolutions: tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]] | None, generator: torch.Generator,
) -> Trunk:  # fmt: skip
    if convolutions is None:
        return Trunk(features, units, hidden_layers=layers, activation=activation, generator=generator)
    shape, filters = convolutions
    spec = ObservationSpec.from_space(gym.spaces.Box(0, 1, shape, np.bool_))
    with patch.dict(CNNS, small_cnn=filters):
        encoder = PartsEncoder(spec, "small_cnn", None, generator)
    return Trunk(
        encoder.output_dim, units, hidden_layers=layers, activation=activation, encoder=encoder, generator=generator
    )


RANDOM_RULES = st.fixed_dictionaries(
    {},
    optional={
        "clip_coef": st.sampled_from([None, 0.1]),
        "clip_vloss": st.booleans(),
        "normalize_advantages": st.booleans(),
        "ent_coef": st.sampled_from([0.0, 0.1]),
        "vf_coef": st.sampled_from([0.0, 1.0]),
        "min_advantage_std": st.sampled_from([0.5, 2.0]),
        "max_grad_norm": st.sampled_from([None, 0.01]),
    },
)


def _compare(case: _Case, count: int, rules: dict[str, Any]) -> None:
    """One step of both backends: gradients, figures and moments."""
    if rules.get("clip_coef", 0.2) is None:
        rules = rules | {"clip_vloss": False}
    assume(not case.is_at_a_kink(rules))
    eager, fused = case.update([np.arange(count)], **rules)
    scale = float(case.flats[0].gradients.abs().max())
    torch.testing.assert_close(case.flats[1].gradients, case.flats[0].gradients, rtol=1e-3, atol=1e-6 + 1e-5 * scale)
    assert vars(fused) == pytest.approx(vars(eager), rel=1e-3, abs=1e-5)
    other, ours = case.backends
    torch.testing.assert_close(ours.first_moment, other.first_moment, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(ours.second_moment, other.second_moment, rtol=2e-3, atol=1e-8)
    assert ours.steps == other.steps == 1


@given(
    st.integers(1, 9),
    st.integers(1, 17),
    st.integers(0, 3),
    st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    st.sampled_from(sorted(ACTIVATIONS)),
    st.booleans(),
    st.booleans(),
    st.integers(1, 40),
    RANDOM_RULES,
    st.integers(0, 2**31),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_every_gradient_is_that_of_autograd(
    features: int, units: int, layers: int, sizes: tuple[int, ...], activation: str, shared: bool, masked: bool,
    count: int, rules: dict[str, Any], seed: int,
) -> None:  # fmt: skip
    case = _Case(features, units, layers, sizes, activation, shared, count, masked, seed)
    _compare(case, count, rules)


@st.composite
def _convolutions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    """An image, and up to three layers of filters that fit it."""
    channels, height, width = draw(st.integers(1, 4)), draw(st.integers(4, 24)), draw(st.integers(4, 24))
    filters = []
    left = min(height, width)
    for _ in range(draw(st.integers(1, 3))):
        side, stride = draw(st.integers(1, min(4, left))), draw(st.integers(1, 3))
        filters.append((draw(st.integers(1, 5)), side, stride))
        left = (left - side) // stride + 1
    return (height, width, channels), tuple(filters)


@given(
    _convolutions(),
    st.integers(1, 17),
    st.integers(0, 2),
    st.lists(st.integers(1, 5), min_size=1, max_size=2).map(tuple),
    st.sampled_from(sorted(ACTIVATIONS)),
    st.booleans(),
    st.integers(1, 40),
    RANDOM_RULES,
    st.integers(0, 2**31),
)
@hypothesis_settings(max_examples=100, deadline=None)
def test_every_gradient_through_convolutions_is_that_of_autograd(
    convolutions: tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]], units: int, layers: int,
    sizes: tuple[int, ...], activation: str, shared: bool, count: int, rules: dict[str, Any], seed: int,
) -> None:  # fmt: skip
    features = int(np.prod(convolutions[0]))
    case = _Case(features, units, layers, sizes, activation, shared, count, seed=seed, convolutions=convolutions)
    _compare(case, count, rules)


IMAGE = (8, 7, 2), ((3, 3, 1), (4, 2, 2))  # height, width, channels, and filters whose strides leave a remainder


@pytest.mark.parametrize("convolutions", [None, IMAGE])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [CHUNK, CHUNK + 1, 3 * CHUNK - 7])
def test_a_minibatch_in_chunks_has_the_gradient_of_the_whole(count: int, shared: bool, convolutions: Any) -> None:
    features = 112 if convolutions else 5
    case = _Case(features, 16, 2, (4, 2), shared=shared, count=count, masked=True, convolutions=convolutions)
    eager, fused = case.update([np.random.default_rng(0).permutation(count)] * 2, clip_vloss=True)
    torch.testing.assert_close(case.flats[1].gradients, case.flats[0].gradients, rtol=1e-3, atol=1e-6)
    assert vars(fused) == pytest.approx(vars(eager), rel=1e-3, abs=1e-5)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple),
    st.integers(0, 2),
    st.integers(1, 60) | st.just(4 * CHUNK + 9),
    st.booleans(),
    st.sampled_from([None, 0.02]),
    st.integers(0, 2**31),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_two_threads_compute_the_same_bits_as_one(
    sizes: tuple[int, ...], layers: int, count: int, masked: bool, target_kl: float | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    parts = [part for _ in range(3) for part in np.array_split(random.permutation(count), 4) if len(part)]
    found = []
    for threads in (1, 2):
        case = _Case(5, 16, layers, sizes, count=count, masked=masked, seed=seed, threads=threads)
        backend, flat = case.backends[1], case.flats[1]
        assert (backend._helper is None) == (threads == 1)
        with patch.multiple("actor_critic.backends.fused.backend", _WORTH_SHARING=0, _PART_WORTH_SHARING=0):
            figures = backend.update(case.batch, parts, Coefficients(**(RULES | {"target_kl": target_kl})))
        found.append((flat.values, backend.first_moment, backend.second_moment, backend.steps, figures))
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


def test_only_work_that_is_worth_it_is_shared() -> None:
    for rows, is_shared in ((64, False), (20_000, True)):
        case = _Case(4, 32, 1, (3,), count=rows, threads=2)
        helper = case.backends[1]._helper
        case.backends[1].update(case.batch, [np.arange(rows)] * 2, Coefficients(**RULES))
        assert helper.post.size == 0 if not is_shared else helper.post[POSTED] == 4  # gradients and steps of two parts


def test_minibatches_are_shared_if_each_is_worth_it() -> None:
    case = _Case(4, 32, 1, (3,), count=20_000, threads=2)
    case.backends[1].update(case.batch, np.split(np.arange(20_000), 2_500), Coefficients(**RULES))
    assert case.backends[1]._helper.post.size == 0


@patch("actor_critic.backends.fused.backend._WORTH_SHARING", 0)
@patch("actor_critic.backends.fused.backend._PART_WORTH_SHARING", 0)
def test_what_the_helper_has_computed_has_the_same_bits() -> None:
    one, two = (_Case(5, 64, 2, (3, 2), count=2000, seed=4, threads=threads) for threads in (1, 2))
    parts = np.split(np.arange(2000), 4)
    deadline, done, rounds = time.monotonic() + 60, 0, 0
    while rounds < 5:  # in which it has made a call
        for case in (one, two):
            case.backends[1].update(case.batch, parts, Coefficients(**RULES))
        assert torch.equal(one.flats[1].values, two.flats[1].values)
        assert torch.equal(one.flats[1].gradients, two.flats[1].gradients)
        found, expected = (case.evaluate_actions(case.backends[1]) for case in (two, one))
        assert torch.equal(found.values, expected.values)
        assert torch.equal(found.log_probs, expected.log_probs)
        before, done = done, int(two.backends[1]._helper.post[DONE])
        rounds += done > before
        assert time.monotonic() < deadline


@pytest.mark.parametrize("where", ["advantages", "returns"])
@patch("actor_critic.backends.fused.backend._WORTH_SHARING", 0)
@patch("actor_critic.backends.fused.backend._PART_WORTH_SHARING", 0)
def test_either_of_two_threads_stops_both(where: str) -> None:
    case = _Case(4, 8, 1, (3,), threads=2)
    getattr(case.batch, where)[7] = np.inf
    before = case.flats[1].values.clone()
    with pytest.raises(NumericalError, match=r"optimizer step 1 is not finite .*; the step was not taken"):
        case.backends[1].update(case.batch, [np.arange(64)] * 3, Coefficients(**RULES))
    assert torch.equal(case.flats[1].values, before)


@given(st.integers(1, 6), st.floats(0, 0.999), st.floats(0, 0.999), st.integers(0, 2**31))
@hypothesis_settings(max_examples=50, deadline=None)
def test_adam_alone_on_equal_gradients(step: int, beta1: float, beta2: float, seed: int) -> None:
    from actor_critic.ops.adam import adam_step

    random = torch.Generator().manual_seed(seed)
    ours = [torch.randn(50, generator=random) for _ in range(3)] + [torch.rand(50, generator=random)]
    theirs = [tensor.clone() for tensor in ours]
    adam.adam_step(*(tensor.numpy() for tensor in ours), 1.0, step, 0.01, beta1, beta2, 1e-5)
    adam_step(*theirs, step, 0.01, beta1, beta2, 1e-5)
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_many_steps_stay_together(activation: str, shared: bool) -> None:
    case = _Case(5, 16, 2, (4,), activation, shared, count=96)
    random = np.random.default_rng(0)
    minibatches = [part for _ in range(3) for part in np.array_split(random.permutation(96), 5)]  # of unequal sizes
    eager, fused = case.update(minibatches, learning_rate=1e-3)
    assert eager.steps == fused.steps == 15
    torch.testing.assert_close(case.flats[1].values, case.flats[0].values, rtol=1e-3, atol=1e-5)
    assert vars(fused) == pytest.approx(vars(eager), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("layers", "entries"), [(0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("count", [1, 64, CHUNK + 9])
def test_sparse_products_are_the_same(count: int, layers: int, entries: int, shared: bool) -> None:
    case = _Case(40, 16, layers, (4,), shared=shared, count=count, entries=entries)
    choices = [case.act(backend, case.uniforms) for backend in case.backends]
    assert (choices[0] == choices[1]).mean() >= 0.99
    expected, found = map(case.evaluate_actions, case.backends)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-5)
    case.update([np.arange(count)], max_grad_norm=None)
    torch.testing.assert_close(case.flats[1].gradients, case.flats[0].gradients, rtol=1e-3, atol=1e-5)


def test_products_are_sparse_where_most_inputs_are_zero() -> None:
    def entries(environment: str, **settings: Any) -> int:
        backend = Trainer(Config(environment=environment, preset="none", backend="fused", **settings)).agent._backend
        assert isinstance(backend, FusedBackend)
        return backend._entries

    assert entries("FrozenLake-v1") == 1  # of 16 inputs
    assert entries("Taxi-v4") == 1
    assert entries("FrozenLake-v1", normalize_observations=True, normalize_encoded=True) == 0
    assert entries("CartPole-v1") == 0
    assert entries("Blackjack-v1") == 3  # of 32 + 11 + 2


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", [(4,), (2, 3, 1), (1000,)])
@pytest.mark.parametrize("count", [1, 8, 2500])
def test_choices_probabilities_and_values_are_the_same(sizes: tuple[int, ...], count: int, masked: bool) -> None:
    case = _Case(5, 16, 2, sizes, count=count, masked=masked)
    eager, fused = case.backends
    for uniforms in (case.uniforms, None):
        expected, found = (torch.from_numpy(case.act(backend, uniforms)) for backend in (eager, fused))
        # A uniform number may fall between two roundings of one cumulative probability.
        assert (found == expected).float().mean() > (0.999 if count > 1 else 0)
        if case.masks is not None:
            starts = torch.tensor((0, *sizes[:-1])).cumsum(0)
            assert case.masks.gather(1, found + starts).all()
    expected, found = map(case.evaluate_actions, (eager, fused))
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 16, 700])
@pytest.mark.parametrize("convolutions", [IMAGE, ((10, 10, 1), ((16, 3, 1),))])  # 1,024 x 128 weights behind it
def test_a_cnn_chooses_and_values_the_same(count: int, convolutions: Any) -> None:
    case = _Case(int(np.prod(convolutions[0])), 128, 1, (4,), "relu", count=max(count, 1), convolutions=convolutions)
    for name in ("features", "actions"):
        setattr(case, name, getattr(case, name)[:count])
    case.uniforms = case.uniforms[:count]
    choices = [case.act(backend, case.uniforms) for backend in case.backends]
    assert choices[0].shape == choices[1].shape == (count, 1)
    assert (choices[0] == choices[1]).sum() >= 0.99 * count
    expected, found = map(case.evaluate_actions, case.backends)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-5)


def test_target_kl_stops_at_the_same_step() -> None:
    case = _Case(4, 16, 1, (3,), count=60)
    eager, fused = case.update([np.arange(60)] * 30, target_kl=0.05, learning_rate=0.02)
    assert eager.steps == fused.steps < 30


@pytest.mark.parametrize("where", ["features", "advantages", "returns"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_that_is_not_finite_is_not_taken(where: str, bad: float) -> None:
    case = _Case(4, 8, 1, (3,))
    getattr(case.batch, where)[7] = bad
    fused, flat = case.backends[1], case.flats[1]
    before = flat.values.clone()
    with pytest.raises(NumericalError, match=r"optimizer step 1 is not finite .*; the step was not taken"):
        fused.update(case.batch, [np.arange(64)], Coefficients(**(RULES | {"normalize_advantages": False})))
    assert torch.equal(flat.values, before)
    assert not fused.first_moment.any() and fused.steps == 0


def test_extreme_logits_stay_finite() -> None:
    case = _Case(2, 4, 0, (1000,), count=16, masked=True)
    for flat in case.flats:
        flat.values[:2000] *= 1e4
    _, fused = case.update([np.arange(16)], max_grad_norm=None)
    assert np.isfinite(fused.gradient_norm)
    assert torch.isfinite(case.flats[1].gradients).all()


@pytest.mark.parametrize("environment", ["CartPole-v1", "Lamp-v0"])
@patch("actor_critic.backends.fused.backend._WORTH_SHARING", 0)
@patch("actor_critic.backends.fused.backend._PART_WORTH_SHARING", 0)
def test_a_run_on_two_threads_is_the_run_on_one(environment: str) -> None:
    settings: dict[str, Any] = {
        **PLAIN, "environment": environment, "num_epochs": 3, "num_envs": 4, "batch_size": 256, "num_minibatches": 4,
        "clip_coef": 0.2, "algorithm": "ppo",
    }  # fmt: skip
    found = []
    for threads in (1, 2):
        trainer = Trainer(Config(**settings, threads=threads))
        for _ in trainer:
            pass
        found.append(trainer.agent.checkpoint({}, {}).digest)
    assert found[0] == found[1]


def test_a_small_cnn_learns_fused() -> None:
    settings: dict[str, Any] = {
        "environment": "Lamp-v0", "algorithm": "ppo", **PLAIN, "num_envs": 8, "batch_size": 512,
        "num_minibatches": 4, "num_epochs": 40, "hidden_layers": 1, "hidden_dim": 64, "activation": "relu",
        "learning_rate": 0.002,
    }  # fmt: skip
    trainer = Trainer(Config(**settings))
    assert trainer.settings.backend == "fused"
    returns = [report.mean_return for report in trainer if report.mean_return is not None]
    assert returns[0] < 6.0 and returns[-1] > 7.5, returns  # 4 of 8 by chance


def test_advantages_are_to_the_bit_those_of_the_reference() -> None:
    random = np.random.default_rng(0)
    for shape in ((1, 1), (7, 3), (128, 8)):
        rewards, values, following = (random.standard_normal(shape, np.float32) for _ in range(3))
        terminated, truncated = random.random(shape) < 0.2, random.random(shape) < 0.1
        arguments = (rewards, values, following, terminated, terminated | truncated)
        found = np.empty(shape, np.float32)
        targets.advantages(*arguments, np.float32(0.97), np.float32(0.97 * 0.91), found)
        np.testing.assert_array_equal(found, generalized_advantage(*arguments, 0.97, 0.91))


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("all_ended", [False, True])
def test_targets_are_the_same(all_ended: bool, pauses: bool) -> None:
    steps, envs = 9, 4
    case = _Case(3, 8, 1, (2, 3), count=(steps + 1) * envs)
    random = np.random.default_rng(1)
    terminated, truncated = random.random((steps, envs)) < 0.2, random.random((steps, envs)) < 0.3
    if all_ended:
        truncated[-1] = True
    at = np.nonzero(truncated)
    finals = torch.from_numpy(random.standard_normal((len(at[0]), 3), np.float32))
    valid = random.random((steps, envs)) < 0.8 if pauses else None
    count = steps * envs
    rewards = random.standard_normal((steps, envs)).astype(np.float32)
    experience = Experience(
        case.features[: count if all_ended else count + envs], case.actions[:count], None, rewards, terminated,
        terminated | truncated, finals, at, None, valid,
    )  # fmt: skip
    eager, fused = (backend.estimate(experience, True, 0.97, 0.9) for backend in case.backends)
    np.testing.assert_allclose(fused.targets.advantages, eager.targets.advantages, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fused.targets.returns, eager.targets.returns, rtol=1e-4, atol=1e-4)
    assert fused.targets.explained_variance == pytest.approx(eager.targets.explained_variance, rel=1e-3)


def _backend_of(**settings: Any) -> tuple[str, Backend]:
    trainer = Trainer(Config(**({"environment": "CartPole-v1"} | settings)))
    trainer.close()
    return trainer.settings.backend, trainer.agent._backend


def test_auto_is_fused_where_that_serves_and_says_so_in_the_settings() -> None:
    assert _backend_of()[0] == "fused"
    assert isinstance(_backend_of()[1], FusedBackend)
    assert isinstance(_backend_of(backend="eager")[1], EagerBackend)
    assert _backend_of(memory="gru")[0] == "eager"
    assert _backend_of(environment="Nested-v0", encoder="small_cnn")[0] == "eager"  # an image among other parts
    assert _backend_of(environment="Nested-v0", encoder="mlp")[0] == "fused"
    assert _backend_of(environment="Nested-v0")[0] == "fused"  # its image is a grid of codes, which needs no CNN
    assert _backend_of(environment="Lamp-v0")[0] == "fused"
    picture = {"environment": "Lamp-v0", "environment_kwargs": {"side": 36}}
    assert _backend_of(**picture)[0] == "eager"
    assert _backend_of(**picture, backend="fused")[0] == "fused"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"memory": "gru"}, 'backend: "fused" does not support memory'),
        (
            {"environment": "Nested-v0", "encoder": "small_cnn"},
            "supports plain numbers or a single image, not embeddings, images with other parts or custom encoders",
        ),
    ],
)
def test_a_fused_backend_that_cannot_serve_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _backend_of(backend="fused", **settings)


@dataclass(frozen=True)
class _WithOneMore(Coefficients):
    extra_coef: float = 0.0


def test_a_coefficient_that_the_fused_backend_does_not_know_is_off_or_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {field.name for field in fields(Coefficients)} == choose._FUSED_COEFFICIENTS
    extra = 0.0

    def coefficients(settings: Any, epoch: int) -> _WithOneMore:
        return _WithOneMore(**vars(coefficients_of(settings, epoch)), extra_coef=extra)

    monkeypatch.setattr(choose, "Coefficients", _WithOneMore)
    monkeypatch.setattr(choose, "coefficients_of", coefficients)
    assert _backend_of()[0] == _backend_of(backend="fused")[0] == "fused"
    extra = 0.1
    assert _backend_of()[0] == "eager"
    words = r'backend: "fused" has no term for extra_coef, which is 0.1 and not 0.0 \(off\); expected "auto" or "eager"'
    with pytest.raises(ConfigError, match=words):
        _backend_of(backend="fused")


def test_without_numba_auto_is_eager_with_a_warning_and_a_fused_run_is_not_resumed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for _ in Trainer(Config(environment="CartPole-v1", **PLAIN, num_epochs=1), tmp_path / "run"):
        pass
    monkeypatch.setattr(choose, "_NEEDED", ("numba", "no_such_package"))
    assert _backend_of()[0] == "eager"
    assert "backend: eager, which is slower, because no_such_package is missing" in caplog.text
    with pytest.raises(ConfigError, match='backend: "fused" needs no_such_package; pip install no_such_package'):
        Trainer.resume(tmp_path / "run", num_epochs=2)


def test_compiled_code_is_kept_in_a_folder_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "numba")  # which is not to look there after this test

    def folder(**names: str) -> Path | None:
        for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        caplog.clear()
        return cache.cache_folder.__wrapped__()

    found = folder(XDG_CACHE_HOME=str(tmp_path))
    assert found.parent == tmp_path / "actor-critic/compiled"
    assert found.stat().st_mode & 0o777 == 0o700
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert found.parent.parent.stat().st_mode & 0o777 == 0o700
    assert folder(NUMBA_CACHE_DIR=str(found)) == found  # as a process is told by the one that started it
    assert os.environ["NUMBA_CACHE_DIR"] == str(found)
    found.chmod(0o777)
    assert folder(XDG_CACHE_HOME=str(tmp_path)) is None
    assert "others may write to it" in caplog.text
    (tmp_path / "file").touch()
    assert folder(NUMBA_CACHE_DIR=str(tmp_path / "file" / "x")) is None
    home = folder(HOME=str(tmp_path / "home"))
    assert home == tmp_path / "home/.cache/actor-critic/compiled" / found.name


def test_code_that_was_compiled_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "numba")  # which is not to look there after this test

    def folder() -> Path | None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "compiled"))
        return cache.cache_folder.__wrapped__()

    package = tmp_path / "actor_critic"
    shutil.copytree(Path(cache.__file__).parents[1], package)
    before = folder()
    monkeypatch.setattr(cache, "__file__", str(package / "compiling" / "cache.py"))
    assert before is not None and folder() == before
    for changed in ("backends/fused/layers.py", "environments/functional/loops.py", "rollouts/compiled.py"):
        with (package / changed).open("a") as file:
            file.write("# anything else")
        after = folder()
        assert after not in (None, before)
        before = after


def test_code_that_no_run_used_for_a_month_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "numba")  # which is not to look there after this test
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    day, now = 24 * 3600, time.time()

    def folder() -> Path:
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        found = cache.cache_folder.__wrapped__()
        assert found is not None
        return found

    ours = folder()
    others = {days: ours.parent / f"{days:016d}" for days in (29, 31)}
    for days, other in others.items():
        (other / "fused_1").mkdir(parents=True)
        (other / "fused_1" / "update.update-1.nbi").touch()
        os.utime(other, (now - days * day,) * 2)
    os.utime(ours, (now - 40 * day,) * 2)
    assert folder() == ours
    assert sorted(ours.parent.iterdir()) == sorted([ours, others[29]])
    assert now - ours.stat().st_mtime < day  # it is used


def test_that_something_is_compiled_is_told_once_before_it_is() -> None:
    told: list[str] = []

    @numba.njit
    def double(number: Any) -> Any:
        return number + number

    with when_compiling(lambda: told.append("compiling")):
        assert told == []
        assert (double(1), told) == (2, ["compiling"])
        assert (double(1.0), told) == (2.0, ["compiling"])
    with when_compiling(lambda: told.append("again")):
        double(2)
    double(1j)
    assert told == ["compiling"]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
def test_a_group_cannot_put_another_folder_in_the_place_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "numba")  # which is not to look there after this test

    def found() -> Path | None:
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        inner = cache.cache_folder.__wrapped__()
        return inner and inner.parent

    ours = tmp_path / "actor-critic"
    ours.mkdir()
    ours.chmod(0o775)  # as an earlier version made it where the group may write by default
    assert found() == ours / "compiled"
    assert ours.stat().st_mode & 0o777 == 0o700
    ours.rename(tmp_path / "elsewhere")
    ours.symlink_to(tmp_path / "elsewhere")  # what a link leads to is somebody's choice, and is not changed
    (tmp_path / "elsewhere").chmod(0o770)
    assert found() is None
    tmp_path.chmod(0o770)  # further up, it is for the user to say who is in the group
    (tmp_path / "elsewhere").chmod(0o700)
    assert found() == tmp_path / "elsewhere/compiled"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
def test_a_folder_that_somebody_else_can_put_something_into_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "compiled"
    inner = folder / "fused_1"
    file = inner / "update.update-1.nbi"
    monkeypatch.delitem(sys.modules, "numba")  # which is not to look there after this test
    inner.mkdir(parents=True)
    file.touch()

    def found(named: Path = folder) -> Path | None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(named))
        used = cache.cache_folder.__wrapped__()
        return used and used.parent

    assert found() == folder
    for path in (folder, inner, file, tmp_path):
        mode = path.stat().st_mode
        path.chmod(0o777)
        assert found() is None, path
        path.chmod(mode)
    assert found() == folder
    inner.chmod(0o775)  # as Numba makes it where the group may write by default
    assert found() is None
    folder.chmod(0o700)
    assert found() == folder
    inner.chmod(0o755)

    link = tmp_path / "link"
    link.symlink_to(folder)
    assert found(link) == folder
    open_one = tmp_path / "open"
    open_one.mkdir()
    open_one.chmod(0o777)
    link.unlink()
    link.symlink_to(open_one)
    assert found(link) is None
    (folder / "planted").symlink_to(open_one)
    assert found() is None
    (folder / "planted").unlink()
    if os.getuid() == 0:  # only root can make what is somebody else's
        for path in (folder, inner, file):
            os.chown(path, 12345, -1)
            assert found() is None, path
            os.chown(path, 0, -1)
    assert found() == folder


@pytest.mark.slow
def test_a_planted_cache_is_never_unpickled(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from actor_critic.backends.fused import layers\n"
        "total = np.zeros(2, np.float32)\n"
        "layers.column_sums(np.ones((3, 2), np.float32), total)\n"
        "print(total)"
    )

    def run(folder: Path) -> str:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout

    folder = tmp_path / "compiled"
    assert run(folder) == "[3. 3.]\n"
    (index,) = folder.rglob("*.nbi")
    version = pickle.dumps(numba.__version__)  # Numba unpickles what follows it where it is right
    index.write_bytes(version + b"cbuiltins\nprint\n(S'planted'\ntR.")
    assert "planted" in run(folder)  # what it can do in a folder that is one's own
    index.parent.chmod(0o777)
    assert run(folder) == "[3. 3.]\n"


@pytest.mark.slow
def test_a_run_without_a_place_for_compiled_code_trains_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = (
        "from actor_critic import Config, Trainer\n"
        "t = Trainer(Config(num_epochs=1))\n"
        "for r in t: print(r.epoch, t.settings.backend)"
    )
    # It compiles everything, which takes less time without optimizing it.
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "x"), "NUMBA_OPT": "0"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "1 fused\n"), result.stderr


@pytest.mark.parametrize("environment", ["Acrobot-v1", "FrozenLake-v1"])
def test_a_run_begins_the_same_on_both_backends(environment: str) -> None:
    settings: dict[str, Any] = {
        **PLAIN, "environment": environment, "num_epochs": 3, "seed": 2, "num_envs": 4, "batch_size": 256,
        "num_minibatches": 4, "normalize_rewards": True,
    }  # fmt: skip
    eager, fused = (list(Trainer(Config(**settings, backend=backend))) for backend in ("eager", "fused"))
    for expected, found in zip(eager, fused, strict=True):
        for name, figure in expected.figures().items():
            if name != "steps_per_second" and figure is not None:
                assert found.figures()[name] == pytest.approx(figure, rel=2e-3, abs=1e-4), name


def test_the_rest_of_scipy_works_beside_the_part_that_is_loaded_alone() -> None:
    code = (
        "import sys\n"
        "from actor_critic import Config, Trainer\n"
        "for report in Trainer(Config(num_epochs=1)): pass\n"
        "assert 'scipy.linalg' not in sys.modules\n"
        "import numpy as np, scipy.linalg, scipy.linalg.cython_blas\n"
        "print(scipy.linalg.solve(np.eye(2) * 2, np.ones(2)))"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "[0.5 0.5]\n"), result.stderr
