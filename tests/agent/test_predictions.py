"""What an agent says about observations: logits, log-probabilities, probabilities and values."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actor_critic import ActionSpec, ActorCriticAgent, Config, ObservationSpec, Trainer
from tests import toys  # noqa: F401 - registers the environments

BOX = ObservationSpec.from_space(gym.spaces.Box(-1, 1, (3,), np.float32))


def _agent(actions: gym.Space[Any] | None = None, spec: ObservationSpec = BOX, **settings: Any) -> ActorCriticAgent:
    space = gym.spaces.Discrete(4) if actions is None else actions
    agent = ActorCriticAgent(Config(hidden_dim=16, **settings), spec, ActionSpec.from_space(space))
    with torch.no_grad():
        agent.policy_network.head.weight.mul_(100)  # far from uniform
    return agent


def _observations(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, 3)).astype(np.float32)


@pytest.mark.parametrize("backend", ["eager", "fused"])
def test_actions_are_sampled_with_the_probabilities_and_the_most_probable_one_is_taken(backend: str) -> None:
    agent = _agent(backend=backend)
    observation = _observations(1)[0]
    found = agent.probabilities(observation)
    counts = np.bincount(agent.act(np.tile(observation, (20_000, 1))), minlength=4) / 20_000
    np.testing.assert_allclose(counts, found, atol=0.015)
    assert agent.act(observation, deterministic=True) == found.argmax()


def test_probabilities_are_of_observations_as_the_environment_returns_them_and_not_of_features() -> None:
    trainer = Trainer(
        Config(environment="CartPole-v1", normalize_observations=True, num_epochs=3, num_envs=2, num_steps=32, seed=1)
    )
    for _ in trainer:
        pass
    agent = trainer.agent
    with torch.no_grad():
        agent.policy_network.head.weight.mul_(50)
    state = agent.state()
    observation = np.array([0.5, -1.0, 0.1, 1.5], np.float32)
    count, mean, squares = (state[f"observation_normalizer.{name}"].numpy() for name in ("count", "mean", "squares"))
    seen = np.clip((observation - mean) / np.sqrt(squares / count + 1e-8), -10, 10).astype(np.float32)
    logits = agent.policy_network(torch.from_numpy(seen[None])).detach().numpy()[0].astype(float)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(agent.probabilities(observation), expected, rtol=1e-5)
    wrong = torch.softmax(agent.policy_network(torch.from_numpy(observation[None])), -1).detach().numpy()[0]
    assert abs(wrong - expected).max() > 0.01


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**32), st.integers(1, 5))
def test_every_choice_has_a_distribution_over_what_is_allowed(sizes: list[int], seed: int, count: int) -> None:
    agent = _agent(gym.spaces.MultiDiscrete(sizes))
    random = np.random.default_rng(seed)
    mask = random.random((count, sum(sizes))) < 0.5
    starts = np.cumsum([0, *sizes])
    for first, size in zip(starts, sizes, strict=False):
        mask[np.arange(count), first + random.integers(0, size, count)] = True
    observations = _observations(count)
    logits, logs = agent.logits(observations), agent.log_probs(observations, action_mask=mask)
    found = agent.probabilities(observations, action_mask=mask)
    assert logits.shape == logs.shape == found.shape == (count, sum(sizes))
    assert (found[~mask] == 0).all() and (logs[~mask] == -np.inf).all()
    for first, size in zip(starts, sizes, strict=False):
        part, allowed = logits[:, first : first + size].astype(float), mask[:, first : first + size]
        weights = np.where(allowed, np.exp(part), 0)
        np.testing.assert_allclose(found[:, first : first + size], weights / weights.sum(1, keepdims=True), rtol=1e-5)
    for row in range(count):
        np.testing.assert_allclose(agent.probabilities(observations[row], action_mask=mask[row]), found[row], rtol=1e-5)


def test_a_mask_inside_an_observation_and_a_dict_space_are_read_as_by_act() -> None:
    space = gym.spaces.Dict({"a": gym.spaces.Box(-1, 1, (3,)), "b": gym.spaces.Discrete(2)})
    agent = _agent(spec=ObservationSpec.from_space(space))
    one = {"a": _observations(1)[0], "b": 1, "action_mask": np.array([0, 1, 0, 1], np.int8)}
    found = agent.probabilities(one)
    assert found.shape == (4,) and found[[0, 2]].tolist() == [0, 0]
    assert found.sum() == pytest.approx(1)
    batch = {"a": _observations(2), "b": np.array([0, 1])}
    assert agent.log_probs(batch).shape == (2, 4)
    assert np.exp(agent.log_probs(batch)) == pytest.approx(agent.probabilities(batch))


@pytest.mark.parametrize("memory", ["gru", "lstm"])
@pytest.mark.parametrize("shared", [True, False])
def test_with_memory_states_are_those_of_act_and_the_critic_has_its_own(memory: str, shared: bool) -> None:
    agent = _agent(memory=memory, shared_encoder=shared, num_envs=2, num_steps=4)
    observations = _observations(6)
    state = own = critic = None
    values = []
    for observation in observations:
        probabilities, own = agent.probabilities(observation, state=own)
        logits, after = agent.logits(observation, state=state)
        action, state = agent.act(observation, state=state, deterministic=True)
        assert action == probabilities.argmax() == logits.argmax()
        np.testing.assert_allclose(own, state, rtol=1e-6)
        np.testing.assert_allclose(after, state, rtol=1e-6)
        value, critic = agent.value(observation, state=critic)
        values.append(value)
    features = torch.from_numpy(observations)
    with torch.no_grad():
        expected, _ = agent.value_network.unroll(features, torch.zeros(1, agent.value_network.trunk.state_dim))
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert isinstance(values[0], float)
    batch, states = agent.value(observations)
    assert batch.shape == (6,) and states.shape == (6, agent.initial_state(1).shape[1])


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
def test_an_empty_batch_has_no_probabilities(memory: str | None) -> None:
    agent = _agent(**({} if memory is None else {"memory": memory, "num_envs": 2, "num_steps": 4}))
    nothing = np.zeros((0, 3), np.float32)
    for method in (agent.logits, agent.log_probs, agent.probabilities):
        found = method(nothing)
        assert (found if memory is None else found[0]).shape == (0, 4)
    for method in (agent.act, agent.value):
        found = method(nothing)
        assert (found if memory is None else found[0]).shape == (0,)


def test_an_observation_whose_mask_allows_nothing_has_logits_and_a_value() -> None:
    agent = _agent()
    last = {"observation": np.zeros(3, np.float32), "action_mask": np.zeros(4, np.int8)}  # at the end of an episode
    assert agent.value(last) == agent.value(last["observation"])
    np.testing.assert_array_equal(agent.logits(last), agent.logits(last["observation"]))
    with pytest.raises(ValueError, match="allows no action"):
        agent.probabilities(last)


def test_any_array_of_states_is_taken_and_one_that_is_not_finite_is_refused() -> None:
    agent = _agent(memory="gru", num_envs=2, num_steps=4)
    observations = _observations(3)
    states = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    expected, _ = agent.probabilities(observations, state=states)
    reverse = states[::-1].copy()[::-1]
    reverse.setflags(write=False)
    np.testing.assert_array_equal(agent.probabilities(observations, state=reverse)[0], expected)
    states[1, 2] = np.nan
    for method in (agent.act, agent.logits, agent.value):
        with pytest.raises(ValueError, match="state: a number in it is not finite"):
            method(observations, state=states)


def test_bad_input_is_refused_with_the_messages_of_act() -> None:
    agent = _agent()
    for method in (agent.logits, agent.log_probs, agent.probabilities, agent.value):
        with pytest.raises(ValueError, match="observation"):
            method(np.zeros(2, np.float32))
        with pytest.raises(ValueError, match="a number in it is not finite"):
            method(np.array([0, np.nan, 0], np.float32))
        with pytest.raises(ValueError, match="state: this policy has no memory"):
            method(np.zeros(3, np.float32), state=np.zeros(16, np.float32))
    with pytest.raises(ValueError, match="action_mask"):
        agent.probabilities(np.zeros(3, np.float32), action_mask=[False] * 4)
