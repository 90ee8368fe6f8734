"""Memory: a sequence trained at once is what acting step by step computed, and the past is forgotten at an end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from actor_critic import ActorCriticAgent, Config, Trainer, evaluate
from actor_critic.algorithm import Sequences, minibatches
from actor_critic.backends import EagerBackend
from actor_critic.networks.networks import PolicyNetwork, Trunk, ValueNetwork
from actor_critic.networks.parameters import FlatParameters
from actor_critic.rollouts.collector import Collector
from actor_critic.rollouts.sources import Sequential
from tests import toys  # noqa: F401 - registers the environments
from tests.backends.estimating import estimate
from tests.plain import PLAIN

RECALL = {
    "environment": "Recall-v0",
    "algorithm": "ppo",
    **PLAIN,
    "num_envs": 8,
    "num_steps": 16,
    "num_minibatches": 2,
    "update_epochs": 4,
    "hidden_dim": 16,
    "hidden_layers": 1,
    "learning_rate": 0.01,
    "clip_coef": 0.2,
    "normalize_advantages": True,
    "seed": 1,
}


def _train(**changes: Any) -> Trainer:
    trainer = Trainer(Config(**(RECALL | changes)))
    for _ in trainer:
        pass
    return trainer


def _backend(memory: str, is_shared: bool) -> EagerBackend:
    random = torch.Generator().manual_seed(0)

    def trunk() -> Trunk:
        return Trunk(3, 4, hidden_layers=1, memory=memory, generator=random)

    policy = PolicyNetwork(3, 5, trunk=trunk(), generator=random)
    with torch.no_grad():
        policy.head.weight.mul_(100)
    value = ValueNetwork(3, trunk=policy.trunk if is_shared else trunk(), generator=random)
    return EagerBackend(policy, value, FlatParameters([policy, value]), (2, 3))


@given(
    hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 4))),
    st.sampled_from(["gru", "lstm"]),
    st.booleans(),
    st.integers(0, 2**31),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_sequence_at_once_is_one_step_after_another_with_resets_anywhere(
    starts: np.ndarray, memory: str, is_shared: bool, seed: int
) -> None:
    steps, count = starts.shape
    backend = _backend(memory, is_shared)
    random = torch.Generator().manual_seed(seed)
    width = 4 if memory == "gru" else 8
    features = torch.randn(steps, count, 3, generator=random)
    actions = torch.stack([torch.randint(2, (steps, count), generator=random)] * 2, -1)
    policy_state = torch.randn(count, width, generator=random)
    value_state = policy_state if is_shared else torch.randn(count, width, generator=random)
    sequences = Sequences(policy_state, value_state, torch.from_numpy(starts))
    following = torch.randn(count, 3, generator=random)
    whole = torch.cat([features.flatten(0, 1), following])
    at_once = estimate(backend, whole, actions.flatten(0, 1), None, sequences)
    assert at_once.value_states is not None
    assert at_once.log_probs is not None
    alone = backend.policy.log_probs(features.flatten(0, 1), actions.flatten(0, 1), None, sequences)
    torch.testing.assert_close(alone, at_once.log_probs)
    for t in range(steps):
        kept = torch.from_numpy(~starts[t]).unsqueeze(1)
        policy_state, value_state = policy_state * kept, value_state * kept
        logits, states = backend._policy.unroll(features[t], policy_state)
        greedy, after = backend.policy.act(features[t], None, None, policy_state.numpy())
        policy_state = torch.from_numpy(after)
        torch.testing.assert_close(policy_state, states[0])
        values, value_state = backend.values(features[t], value_state)
        rows = slice(t * count, (t + 1) * count)
        log_probs = [logits[:, :2].log_softmax(1), logits[:, 2:].log_softmax(1)]
        expected = sum(part.gather(1, actions[t][:, g : g + 1]).squeeze(1) for g, part in enumerate(log_probs))
        assert isinstance(expected, torch.Tensor)
        torch.testing.assert_close(at_once.log_probs[rows], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(at_once.values[rows], values, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(at_once.value_states[t], value_state, rtol=1e-4, atol=1e-5)
        assert np.array_equal(greedy[:, 0], logits[:, :2].argmax(1))
    bootstrapped = torch.from_numpy(at_once.targets.returns[-1])
    torch.testing.assert_close(bootstrapped, 0.99 * backend.values(following, value_state)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_cell_is_the_one_of_torch(kind: str) -> None:
    trunk = Trunk(3, 4, hidden_layers=0, memory=kind, generator=torch.Generator().manual_seed(0))
    reference: Any = (torch.nn.GRU if kind == "gru" else torch.nn.LSTM)(3, 4)
    assert trunk.memory is not None
    reference.load_state_dict({f"{name}_l0": tensor for name, tensor in trunk.memory.state_dict().items()})
    features = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(1))
    outputs, states = trunk.unroll(features.flatten(0, 1), torch.zeros(2, trunk.state_dim), None)
    expected, last = reference(features)
    torch.testing.assert_close(outputs.reshape(6, 2, 4), expected)
    wanted = last[0] if kind == "gru" else torch.cat([last[0][0], last[1][0]], 1)
    torch.testing.assert_close(states[-1], wanted)


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_trained_on_is_what_was_acted_with(shared: bool) -> None:
    trainer = Trainer(Config(**(RECALL | {"num_steps": 13, "memory": "lstm", "shared_encoder": shared})))
    agent = trainer.agent
    collection = trainer._environments.open(trainer._state)
    assert isinstance(collection, Sequential)
    collector = collection._collector
    for epoch in (1, 2):  # the second rollout begins in the middle of memories
        acted: list[np.ndarray] = []

        def choose(observations: Any, uniforms: Any, mask: Any, states: Any, acted: Any = acted) -> Any:
            acted.append(states.copy())
            return agent.choose(observations, uniforms, mask, states)

        rollout = collector.collect(choose, agent.action_noise)
        sequences = agent._learner._sequences(rollout)
        features = agent._features(rollout.observations[:-1].reshape(-1, 2))
        with torch.no_grad():
            _, states = agent.policy_network.unroll(features, sequences.policy_state, sequences.starts)
        np.testing.assert_array_equal(rollout.states, acted[0])
        for t in range(1, 13):
            before = np.where(rollout.ended[t - 1][:, None], 0, states[t - 1].numpy())
            np.testing.assert_allclose(acted[t], before, rtol=1e-5, atol=1e-6)
        agent.update(rollout, rollout.rewards, epoch)
        carried = agent._learner.value_states
        assert carried.any() and not carried[rollout.ended[-1]].any()
    trainer.close()


def test_minibatches_are_whole_environments() -> None:
    trainer = Trainer(Config(**RECALL, memory="gru"))
    trainer.close()
    parts = minibatches(trainer.settings, 1)
    assert len(parts) == 8
    for first, second in zip(parts[::2], parts[1::2], strict=True):
        envs = [set((part % 8).tolist()) for part in (first, second)]
        assert len(envs[0]) == len(envs[1]) == 4 and not envs[0] & envs[1]
        for part in (first, second):
            np.testing.assert_array_equal(part.reshape(16, 4) // 8, np.arange(16)[:, None].repeat(4, 1))


@pytest.mark.slow
def test_with_memory_the_hint_is_recalled_and_without_it_is_a_coin_toss() -> None:
    with_memory = evaluate(_train(memory="gru", num_epochs=40).agent).greedy.mean
    without = evaluate(_train(num_epochs=40).agent).greedy.mean
    assert with_memory == 1.0
    assert without < 0.75


def test_act_hands_the_state_on() -> None:
    agent = _train(memory="gru", num_epochs=40).agent
    env_hints = (-1.0, 1.0)
    for hint in env_hints:
        state, action = None, None
        for observation in ([hint, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]):
            action, state = agent.act(np.array(observation, np.float32), state=state, deterministic=True)
            assert state.shape == (16,)
        assert action == (hint + 1) / 2
    actions, states = agent.act(np.zeros((5, 2), np.float32))
    assert actions.shape == (5,)
    assert states.shape == (5, 16)


@pytest.mark.parametrize(
    ("memory", "state", "message"),
    [
        ("off", np.zeros(16, np.float32), "has no memory"),
        ("gru", np.zeros(15, np.float32), r"state: \(15,\) float32 does not fit; expected \(16,\) float32"),
        ("gru", np.zeros(16), r"\(16,\) float64 does not fit"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(memory: str, state: np.ndarray, message: str) -> None:
    trainer = Trainer(Config(**RECALL, memory=memory))
    with pytest.raises(ValueError, match=message):
        trainer.agent.act(np.zeros(2, np.float32), state=state)
    trainer.close()


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_a_run_with_memory_resumes_to_the_same_bits(memory: str, tmp_path: Path) -> None:
    straight = _train(memory=memory, num_epochs=6, num_steps=5, num_minibatches=4)
    config = Config(**(RECALL | {"memory": memory, "num_epochs": 3, "num_steps": 5, "num_minibatches": 4}))
    for _ in Trainer(config, tmp_path / "run"):
        pass
    resumed = Trainer.resume(tmp_path / "run", num_epochs=6)
    for _ in resumed:
        pass
    assert torch.equal(resumed.agent.parameters.values, straight.agent.parameters.values)
    loaded = ActorCriticAgent.load(tmp_path / "run" / "last.safetensors")
    assert loaded.has_memory


def test_a_nested_environment_is_trained_and_resumed_to_the_same_bits(tmp_path: Path) -> None:
    settings = {
        "environment": "Nested-v0", **PLAIN, "num_envs": 4, "num_steps": 16, "num_minibatches": 2,
        "update_epochs": 4, "hidden_dim": 32, "learning_rate": 0.003, "clip_coef": 0.2, "normalize_advantages": True,
        "normalize_observations": True, "seed": 3,
    }  # fmt: skip
    straight = Trainer(Config(**settings, num_epochs=60))
    for _ in straight:
        pass
    # Three choices of three, seven steps: 7 by chance, 21 at best; 15 is twice what chance gives.
    assert evaluate(straight.agent, episodes=20).greedy.mean > 15
    for _ in Trainer(Config(**settings, num_epochs=31), tmp_path / "run"):
        pass
    resumed = Trainer.resume(tmp_path / "run", num_epochs=60)
    for _ in resumed:
        pass
    assert torch.equal(resumed.agent.parameters.values, straight.agent.parameters.values)
    observation, _ = straight._environments.current.envs[0].reset(seed=1)
    action = ActorCriticAgent.load(tmp_path / "run" / "last.safetensors").act(observation, deterministic=True)
    assert straight._environments.current.single_action_space.contains((action[0], action[1]))


def test_collector_forgets_at_an_end() -> None:
    trainer = Trainer(Config(**RECALL, memory="gru"))
    collector = Collector(trainer._environments.current, trainer.agent.observations, trainer.agent.actions, 4, 16)
    collector.reset(seed=0)
    seen = []

    def mark(observations: Any, uniforms: Any, mask: Any, states: Any) -> Any:
        seen.append(states.copy())
        return np.zeros((8, 1), np.int64), states + 1

    collector.collect(mark, lambda _: np.zeros((4, 8, 1), np.float32))
    assert [state[0, 0] for state in seen] == [0, 1, 2, 3]
    assert not collector._states.any()  # the fourth step ended every episode
    trainer.close()
