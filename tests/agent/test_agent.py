"""ActorCriticAgent: acting, learning, keeping."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import ActionSpec, ActorCriticAgent, Config, ObservationSpec, Trainer
from actor_critic.backends import choose_device
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.rollouts import Rollout
from tests import toys  # noqa: F401 - registers the environments

FOUR = gym.spaces.Discrete(4)
BOX = ObservationSpec.from_space(gym.spaces.Box(-1, 1, (3,), np.float32))


def _agent(actions: gym.Space = FOUR, spec: ObservationSpec = BOX, **settings: object) -> ActorCriticAgent:
    return ActorCriticAgent(Config(hidden_dim=16, **settings), spec, ActionSpec.from_space(actions))


def test_one_observation_gives_an_int_and_a_batch_gives_an_array() -> None:
    agent = _agent()
    assert type(agent.act(np.zeros(3))) is int
    assert agent.act([0.0, 0.5, 1.0], deterministic=True) in range(4)
    actions = agent.act(np.zeros((5, 3), np.float32))
    assert actions.shape == (5,)
    assert isinstance(agent.value(np.zeros(3, np.float32)), float)
    assert agent.value(np.zeros((5, 3), np.float32)).shape == (5,)


@pytest.mark.parametrize("backend", ["eager", "fused"])
def test_an_empty_batch_gives_nothing(backend: str) -> None:
    agent = _agent(backend=backend)
    assert agent.act(np.zeros((0, 3))).shape == agent.value(np.zeros((0, 3))).shape == (0,)


def test_actions_are_named_as_the_environment_names_them() -> None:
    agent = _agent(gym.spaces.Discrete(2, start=10))
    assert set(agent.act(np.zeros((100, 3)))) == {10, 11}
    vector = _agent(gym.spaces.MultiDiscrete([2, 3]))
    assert vector.act(np.zeros(3)).shape == (2,)
    assert vector.act(np.zeros((7, 3))).shape == (7, 2)


def test_deterministic_is_the_most_probable_action_and_sampling_follows_the_probabilities() -> None:
    agent = _agent()
    with torch.no_grad():
        agent.policy_network.head.bias.copy_(torch.tensor([0.0, 3.0, 2.0, -50.0]))
        probabilities = torch.softmax(agent.policy_network(torch.zeros(1, 3)), -1)[0].numpy()
    assert agent.act(np.zeros(3), deterministic=True) == 1
    counts = np.bincount(agent.act(np.zeros((20_000, 3))), minlength=4) / 20_000
    np.testing.assert_allclose(counts, probabilities, atol=0.015)


def test_a_masked_action_is_never_taken() -> None:
    agent = _agent()
    with torch.no_grad():
        agent.policy_network.head.bias.copy_(torch.tensor([50.0, 0.0, 0.0, 0.0]))
    mask = np.array([False, True, False, True])
    assert set(agent.act(np.zeros((500, 3)), action_mask=np.tile(mask, (500, 1)))) == {1, 3}
    assert agent.act(np.zeros(3), action_mask=mask, deterministic=True) in (1, 3)


NUMBERS = np.zeros(3, np.float32)


def _raw(mask: object, count: int | None = None, **more: object) -> dict[str, object]:
    """An observation as a PettingZoo environment returns it, or a batch of them."""
    lead = () if count is None else (count,)
    return {"observation": np.zeros((*lead, 3), np.float32), "action_mask": mask} | more


def _headstrong(actions: gym.Space = FOUR, spec: ObservationSpec = BOX, **settings: object) -> ActorCriticAgent:
    """One that always takes the first choice where it may."""
    agent = _agent(actions, spec, **settings)
    with torch.no_grad():
        agent.policy_network.head.bias[0] = 50.0
    return agent


@pytest.mark.parametrize(
    "mask",
    [np.array([0, 0, 1, 0], np.int8), np.array([False, False, True, False]), [0, 0, 1, 0], (0, 0, 1, 0),
     torch.tensor([0, 0, 1, 0])],
)  # fmt: skip
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_mask_inside_an_observation_holds(mask: object, deterministic: bool) -> None:
    agent = _headstrong()
    assert agent.act(_raw(mask), deterministic=deterministic) == 2
    batch = np.array([[0, 0, 1, 0], [0, 1, 0, 0]], np.int8)
    assert agent.act(_raw(batch, 2), deterministic=deterministic).tolist() == [2, 1]
    assert agent.act(_raw(batch.tolist(), 2), deterministic=deterministic).tolist() == [2, 1]
    assert isinstance(agent.value(_raw(mask)), float)
    assert agent.value(_raw(batch, 2)).shape == (2,)


def test_a_mask_inside_a_dict_of_more_holds() -> None:
    inner = gym.spaces.Dict({"a": gym.spaces.Box(-1, 1, (3,)), "b": gym.spaces.Discrete(2)})
    agent = _headstrong(spec=ObservationSpec.from_space(inner))
    mask = np.array([0, 1, 0, 0], np.int8)
    assert agent.act({"a": NUMBERS, "b": 1, "action_mask": mask}) == 1  # beside its entries
    assert agent.act({"observation": {"a": NUMBERS, "b": 1}, "action_mask": mask}) == 1  # beside the whole
    batch = {"a": np.zeros((2, 3), np.float32), "b": np.array([0, 1]), "action_mask": np.array([mask, mask])}
    assert agent.act(batch).tolist() == [1, 1]
    only = _headstrong(spec=ObservationSpec.from_space(gym.spaces.Dict({"a": gym.spaces.Box(-1, 1, (3,))})))
    assert only.act({"a": NUMBERS, "action_mask": mask}) == 1


def test_a_mask_inside_may_come_in_parts_and_frames() -> None:
    agent = _headstrong(gym.spaces.MultiDiscrete([2, 3]))
    parts = (np.array([0, 1]), np.array([0, 0, 1]))
    assert agent.act(_raw(parts)).tolist() == [1, 2]
    both = tuple(np.stack([part, part]) for part in parts)
    assert agent.act(_raw(both, 2)).tolist() == [[1, 2], [1, 2]]
    frames = ObservationSpec.from_space(gym.spaces.Box(-1, 1, (2, 3)))
    masks = np.array([[1, 0, 0, 0], [0, 0, 0, 1]], np.int8)  # that of the last frame counts
    stacked: list[dict[str, object]] = [{"environment": "CartPole-v1", "frame_stack": 2}, {}]
    for settings in stacked:  # by the setting, and by a wrapper
        agent = _headstrong(spec=frames, **settings)
        assert agent.act({"observation": np.zeros((2, 3), np.float32), "action_mask": masks}) == 3
        assert agent.act({"observation": np.zeros((2, 3), np.float32), "action_mask": masks.tolist()}) == 3
        batch = {"observation": np.zeros((5, 2, 3), np.float32), "action_mask": np.stack([masks] * 5)}
        assert agent.act(batch).tolist() == [3] * 5


@pytest.mark.parametrize(
    ("observation", "mask", "words"),
    [
        (_raw([1, 0, 0]), None, r"action_mask in the observation: shape \(3,\) does not fit; expected \(4,\)"),
        (_raw([[1, 1, 1, 1]], 2), None, "does not fit"),
        (_raw([2, 0, 0, 1]), None, "expected only 0 and 1"),
        (_raw(["a", "b", "c", "d"]), None, "expected only 0 and 1"),
        (_raw([0, 0, 0, 0]), None, "row 0 allows no action"),
        (_raw([1, 0, 0, 1]), [1, 1, 0, 1], "contradicts the mask inside"),
        (_raw([1, 0, 0, 1], more=1), None, "does not fit"),
    ],
)
def test_a_mask_inside_that_does_not_fit_is_refused(observation: object, mask: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _agent().act(observation, action_mask=mask)  # type: ignore[arg-type]


def test_a_mask_inside_and_the_same_one_beside_agree() -> None:
    assert _headstrong().act(_raw([0, 0, 0, 1]), action_mask=[False, False, False, True]) == 3


def test_an_action_is_one_of_its_space() -> None:
    for space in (gym.spaces.MultiDiscrete([2, 3], dtype=np.int8), gym.spaces.MultiBinary(3)):
        agent = _agent(space)
        assert space.contains(agent.act(NUMBERS))
        assert agent.act(np.zeros((2, 3))).dtype == space.dtype
    uneven = gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.MultiBinary(3)])
    assert uneven.contains(_agent(uneven).act(NUMBERS))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"observation": np.zeros(4)}, r"shape \(4,\) does not fit; expected \(3,\)"),
        ({"observation": np.zeros((2, 2, 3))}, "does not fit"),
        ({"observation": np.zeros(3, complex)}, "dtype complex128 does not fit; expected float32"),
        (
            {"observation": np.zeros(3), "action_mask": [True]},
            r"action_mask: shape \(1,\) does not fit; expected \(4,\)",
        ),
        ({"observation": np.zeros(3), "action_mask": [False] * 4}, "row 0 allows no action"),
        ({"observation": np.zeros(3), "state": 0}, "no memory"),
        ({"observation": [0, np.nan, 0]}, "not finite"),
        ({"observation": [0, 1e39, 0]}, "not finite"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _agent().act(**arguments)


def test_the_same_seed_builds_the_same_agent_whatever_torch_was_seeded_with() -> None:
    torch.manual_seed(1)
    first = _agent(seed=3)
    torch.manual_seed(2)
    assert torch.equal(first.parameters.values, _agent(seed=3).parameters.values)
    assert not torch.equal(first.parameters.values, _agent(seed=4).parameters.values)


def test_a_shared_encoder_is_shared_and_counted_once() -> None:
    separate, shared = _agent(), _agent(shared_encoder=True)
    assert shared.policy_network.trunk is shared.value_network.trunk
    trunk = sum(parameter.numel() for parameter in shared.policy_network.trunk.parameters())
    assert len(separate.parameters.values) - len(shared.parameters.values) == trunk


def test_an_agent_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    config = Config(
        environment="Countdown-v0", num_epochs=3, num_envs=2, num_steps=8, num_minibatches=2,
        update_epochs=4, target_kl="off", normalize_observations=True, normalize_rewards=True, seed=1,
    )  # fmt: skip
    trainer = Trainer(config)
    for _ in trainer:
        pass
    trainer.agent.save(tmp_path / "agent.safetensors")
    loaded = ActorCriticAgent.load(tmp_path / "agent.safetensors")
    observations = np.random.default_rng(0).uniform(-1, 5, (50, 2)).astype(np.float32)
    np.testing.assert_array_equal(loaded.value(observations), trainer.agent.value(observations))
    for name, tensor in trainer.agent.state().items():
        assert torch.equal(loaded.state()[name], tensor), name
    assert loaded.optimizer_steps == trainer.agent.optimizer_steps == 3 * 4 * 2
    assert loaded.settings == trainer.agent.settings


def test_an_agent_that_never_trained_is_saved_and_loaded_too(tmp_path: Path) -> None:
    agent = _agent(environment="CartPole-v1")
    agent.save(tmp_path / "agent.safetensors")
    loaded = ActorCriticAgent.load(tmp_path / "agent.safetensors")
    assert torch.equal(loaded.parameters.values, agent.parameters.values)


def test_weights_of_another_shape_are_refused_by_name_and_nothing_is_changed() -> None:
    agent = _agent()
    before = agent.parameters.values.clone()
    with pytest.raises(CheckpointError, match=r"policy\.head\.weight: expected \(4, 16\).*found \(2, 16\)"):
        agent.load_weights(_agent(gym.spaces.Discrete(2)).state())
    assert torch.equal(agent.parameters.values, before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_dim": 10**6}, r"policy\.trunk\.hidden\.0\.weight: expected \(1000000, 3\)"),
        ({"hidden_layers": 64}, r"policy\.trunk\.hidden\.4\.weight: expected \(16, 16\).*found nothing"),
        ({"num_envs": 65536, "batch_size": 65536}, r"value_memory: expected \(65536, 0\)"),
        ({"input_dim": 10**6}, r"its spaces say \(3, 4\), its settings \(1000000, 4\)"),
        ({"hidden_dim": -1}, "hidden_dim: -1 is not allowed"),
        ({f"setting_{number}": 1 for number in range(1000)}, r"10\d\d settings; there are \d+"),
    ],
)
def test_settings_that_ask_for_more_than_the_file_holds_are_refused_before_anything_is_made(
    changes: dict, words: str
) -> None:
    checkpoint = _agent(environment="CartPole-v1").checkpoint({}, {})
    checkpoint.settings.update(changes)
    with pytest.raises(CheckpointError, match=f"^file cannot be used: .*{words}"):
        ActorCriticAgent.from_checkpoint(checkpoint, "file")


def test_weights_that_are_not_finite_are_refused_by_name() -> None:
    checkpoint = _agent(environment="CartPole-v1").checkpoint({}, {})
    checkpoint.tensors["optimizer.second_moment"][3] = torch.nan
    with pytest.raises(CheckpointError, match=r"^file cannot be used: optimizer\.second_moment is not finite"):
        ActorCriticAgent.from_checkpoint(checkpoint, "file")


def test_a_device_that_is_not_there_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match='"cuda:99" is not there'):
        _agent(device="cuda:99")
    with pytest.raises(ConfigError, match='"gpu" is not allowed; expected "auto", "cpu"'):
        choose_device("gpu")
    checkpoint = _agent(environment="CartPole-v1").checkpoint({}, {})
    for name in ("cuda:99", "gpu"):
        with pytest.raises(ConfigError, match=f'^device: "{name}" is not '):
            ActorCriticAgent.from_checkpoint(checkpoint, "file", name)


@pytest.mark.parametrize(
    ("terminates", "value"), [(False, 1 / (1 - 0.9)), (True, np.mean([(1 - 0.9**k) / (1 - 0.9) for k in range(1, 6)]))]
)
def test_the_critic_learns_the_value_that_truncation_and_termination_imply(terminates: bool, value: float) -> None:
    # Reward 1 a step in one state that shows nothing of the time. Cut off after five steps it is worth 1/(1 - γ) = 10.
    # Terminated, the critic can only learn the mean over the five steps of what is left, (1 - γ^k)/(1 - γ) for k = 1…5.
    config = Config(
        environment="Steady-v0", environment_kwargs={"terminates": terminates}, algorithm="a2c", gamma=0.9,
        gae_lambda=1.0 if terminates else 0.95, num_envs=5, num_steps=5, num_epochs=600, learning_rate=0.01,
        hidden_dim=8, max_grad_norm="off", anneal_lr=True,
    )  # fmt: skip
    trainer = Trainer(config)
    for _ in trainer:
        pass
    assert trainer.agent.value(np.ones(1, np.float32)) == pytest.approx(value, rel=0.02)


def test_advantages_are_not_scaled_up_before_the_first_reward() -> None:
    def smallest_deviation(agent: ActorCriticAgent, reward: float) -> float:
        rewards = np.zeros((4, 2), np.float32)
        rewards[1, 0] = reward
        nothing = np.zeros((4, 2), bool)
        rollout = Rollout(
            np.ones((5, 2, 3), np.float32), np.zeros((4, 2, 1), np.int64), None, rewards, nothing, nothing,
            np.zeros((0, 3), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((2, 0), np.float32),
        )  # fmt: skip
        return agent.prepare(rollout, rewards, 1, agent.actor).coefficients.min_advantage_std

    sizes = {"num_envs": 2, "num_steps": 4, "normalize_rewards": True}
    agent = _agent(**sizes, min_advantage_std=0.05)
    found = [smallest_deviation(agent, reward) for reward in (0.0, 0.0, 1.0, 0.0)]
    assert found == [1.0, 1.0, 0.05, 0.05]
    assert smallest_deviation(_agent(**sizes, min_advantage_std=2.0), 0.0) == 2.0
    assert smallest_deviation(_agent(**sizes, min_advantage_std=0.0), 0.0) == 0.0
    raw = _agent(num_envs=2, num_steps=4, normalize_rewards=False, min_advantage_std=0.05)
    assert smallest_deviation(raw, 0.0) == 0.05
