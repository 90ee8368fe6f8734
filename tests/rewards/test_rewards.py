import hashlib
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest

import tests.toys  # noqa: F401 (registers environments)
from actor_critic import Config, Trainer, evaluate
from actor_critic.errors import CheckpointError, ConfigError, EnvironmentFault
from actor_critic.rewards import LinearReward, RewardModel, RewardRule, compute_rewards, make_reward_model
from actor_critic.storage.checkpoints import load
from tests.plain import PLAIN

DISCRETE = gym.spaces.Discrete(2)


def box(*shape: int) -> gym.spaces.Box:
    return gym.spaces.Box(-np.inf, np.inf, shape)


BOX = box(4)


def normal_states(count: int, dimensions: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(99).standard_normal((count, dimensions), np.float32)


def rewards_of(model: RewardModel, states: npt.NDArray[Any], actions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return model.rewards(states, actions, states, np.ones(len(states), np.bool_), np.zeros(len(states), np.float32))


@pytest.mark.parametrize("seed", [0, 1, 2, 2**32 - 1])
@pytest.mark.parametrize("dimensions", [1, 2, 10, 100])
def test_each_of_two_actions_is_best_in_about_half_of_the_states(dimensions: int, seed: int) -> None:
    model = LinearReward(box(dimensions), DISCRETE, seed=seed)
    best = model.expected_rewards(normal_states(5000, dimensions)).argmax(1)
    assert 0.4 < best.mean() < 0.6


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(("dimensions", "actions"), [(2, 3), (3, 4), (10, 5), (9, 10), (40, 12)])
def test_every_action_is_best_equally_often_where_the_dimensions_allow_it(
    dimensions: int, actions: int, seed: int
) -> None:
    model = LinearReward(box(dimensions), gym.spaces.Discrete(actions), seed=seed)
    best = model.expected_rewards(normal_states(20_000, dimensions)).argmax(1)
    # Deviation of a frequency at most √(⅓ · ⅔ / 20000) = 0.0033.
    np.testing.assert_allclose(np.bincount(best, minlength=actions) / 20_000, 1 / actions, atol=0.015)


@pytest.mark.parametrize(("dimensions", "actions"), [(1, 2), (3, 4), (10, 2), (2, 6)])
def test_directions_have_length_one(dimensions: int, actions: int) -> None:
    directions = LinearReward(box(dimensions), gym.spaces.Discrete(actions)).directions
    assert directions.shape == (actions, dimensions)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("dimensions", "actions"), [(1, 2), (3, 4), (10, 5)])
def test_directions_are_corners_of_a_regular_simplex(dimensions: int, actions: int) -> None:
    # The angle between any two of K corners has cosine −1/(K − 1).
    directions = LinearReward(box(dimensions), gym.spaces.Discrete(actions), seed=3).directions
    expected = np.where(np.eye(actions, dtype=np.bool_), 1, -1 / (actions - 1))
    np.testing.assert_allclose(directions @ directions.T, expected, atol=1e-6)


def test_orientation_depends_on_the_seed_alone() -> None:
    one, same, other = (LinearReward(BOX, DISCRETE, seed=seed).directions for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01


def test_reward_is_bounded_whatever_the_state() -> None:
    model = LinearReward(BOX, DISCRETE)
    found = model.expected_rewards(np.concatenate([normal_states(1000, 4), 1e30 * normal_states(10, 4)]))
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1
    assert np.abs(found[:1000]).mean() > 0.3  # not squashed to nothing either


@pytest.mark.parametrize("start", [0, 1, -3])
def test_rewards_are_the_expected_rewards_of_the_actions_taken(start: int) -> None:
    model = LinearReward(BOX, gym.spaces.Discrete(3, start=start), seed=1)
    states = normal_states(200, 4)
    choices = np.random.default_rng(0).integers(3, size=200)
    found = rewards_of(model, states, choices + start)
    assert found.shape == (200,)
    assert found.dtype == model.expected_rewards(states).dtype == np.float32
    np.testing.assert_allclose(found, model.expected_rewards(states)[np.arange(200), choices], rtol=1e-5, atol=1e-6)


def test_reward_is_tanh_of_the_projection() -> None:
    model = LinearReward(box(1), DISCRETE)
    sign = model.directions[0, 0]
    assert abs(sign) == 1
    found = rewards_of(model, np.array([[0.5], [0.5]], np.float32), np.array([0, 1]))
    np.testing.assert_allclose(found, sign * np.tanh([0.5, -0.5]), rtol=1e-6)


def test_single_action_has_a_finite_reward() -> None:
    found = LinearReward(BOX, gym.spaces.Discrete(1)).expected_rewards(normal_states(10, 4))
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("observations", "actions"),
    [(box(2, 2), DISCRETE), (gym.spaces.Discrete(4), DISCRETE), (BOX, gym.spaces.MultiDiscrete([2, 2])), (BOX, BOX)],
    ids=str,
)
def test_linear_reward_on_other_spaces_is_refused_with_both_named(
    observations: gym.Space[Any], actions: gym.Space[Any]
) -> None:
    with pytest.raises(ConfigError, match='reward_model: "linear" needs flat Box states') as caught:
        make_reward_model("linear", {}, observations, actions)
    assert str(observations) in str(caught.value)
    assert str(actions) in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None])
def test_linear_reward_refuses_a_seed_that_is_none(seed: object) -> None:
    with pytest.raises(ConfigError, match="reward_model_kwargs: seed="):
        make_reward_model("linear", {"seed": seed}, BOX, DISCRETE)


class Misbehaving(RewardModel):
    """Returns what it was told to, or raises it."""

    def __init__(self, *spaces: gym.Space, result: object) -> None:
        super().__init__(*spaces)
        self._result = result

    def rewards(self, states: np.ndarray, *others: np.ndarray) -> np.ndarray:
        if isinstance(self._result, Exception):
            raise self._result
        return np.asarray(self._result)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (1.0, r"returned rewards of shape \(\); expected \(2,\)"),
        ([[1.0], [2.0]], r"returned rewards of shape \(2, 1\); expected \(2,\)"),
        ([0.0, np.nan], "returned nan for transition 1"),
        (["a", "b"], "returned rewards of dtype <U1; expected numbers"),
        (KeyError("x"), "raised KeyError"),
    ],
)
def test_a_reward_model_that_misbehaves_is_a_fault(result: object, words: str) -> None:
    model = Misbehaving(BOX, DISCRETE, result=result)
    zeros = np.zeros(2)
    with pytest.raises(EnvironmentFault, match=f"reward_model Misbehaving {words}"):
        compute_rewards(model, np.zeros((2, 4)), zeros.astype(int), np.zeros((2, 4)), zeros > 0, zeros)


def test_a_reward_model_cannot_change_what_it_is_shown() -> None:
    class Meddling(Misbehaving):
        def rewards(self, states: np.ndarray, *others: np.ndarray) -> np.ndarray:
            states *= 0
            return states[:, 0]

    states = np.ones((2, 4))
    with pytest.raises(EnvironmentFault, match="read-only"):
        compute_rewards(Meddling(BOX, DISCRETE, result=None), states, *[np.zeros(2)] * 4)
    assert states.all()


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of the user's, under a name of its own for each test."""
    name = f"rewards_of_{request.node.name.partition('[')[0]}"
    (tmp_path / f"{name}.py").write_text(
        "import numpy as np\n"
        "from actor_critic.rewards import RewardModel\n"
        "class Scaled(RewardModel):\n"
        "    def __init__(self, observation_space, action_space, *, scale):\n"
        "        super().__init__(observation_space, action_space)\n"
        "        if scale < 0: raise ValueError(f'scale={scale} is negative')\n"
        "        self.scale = scale\n"
        "    def rewards(self, states, actions, next_states, terminated, environment_rewards):\n"
        "        return (self.scale * actions).astype(np.float32)\n"
        "class Abstract(RewardModel): pass\n"
        "class Other: pass\n"
        "def function(): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_user_class_is_built_with_the_spaces_and_its_own_arguments(user_module: str) -> None:
    model = make_reward_model(f"{user_module}:Scaled", {"scale": 2.5}, BOX, DISCRETE)
    assert model.observation_space is BOX
    assert model.action_space is DISCRETE
    np.testing.assert_array_equal(rewards_of(model, np.zeros((2, 4)), np.array([0, 2])), [0, 5])
    assert model.expected_rewards(np.zeros((2, 4))) is None


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("Scaled", {}, "reward_model_kwargs: .* refuses .*scale"),
        ("Scaled", {"scale": 1, "colour": 2}, "reward_model_kwargs: .* refuses .*colour"),
        ("Scaled", {"scale": -1}, "reward_model.*scale=-1 is negative"),
        ("Abstract", {}, "rewards"),
        ("Other", {}, "is not a subclass of actor_critic.RewardModel"),
        ("Missing", {}, "has no class or function 'Missing'"),
        ("function", {}, "has the parameters none; expected two, states and actions"),
    ],
)
def test_user_class_that_cannot_be_built_is_a_config_error(
    user_module: str, name: str, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_reward_model(f"{user_module}:{name}", kwargs, BOX, DISCRETE)


@pytest.mark.parametrize("name", ["no_such_module:Class", "linaer", ":Class", "rewards_that_fail:Class"])
def test_module_that_cannot_be_imported_is_a_config_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rewards_that_fail.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"reward_model: module .* cannot be imported"):
        make_reward_model(name, {}, BOX, DISCRETE)


class Height(RewardModel):
    """Φ(s) = 10 times the first number in the state; pays 0.5 a step where it is asked for rewards."""

    def potentials(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return (10 * states[:, 0]).astype(np.float32)

    def rewards(self, states: npt.NDArray[Any], *others: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.full(len(states), 0.5, np.float32)


class OnlyHeight(RewardModel):
    def potentials(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return states[:, 0]


def test_shaping_pays_the_difference_of_potentials_by_hand() -> None:
    rule = RewardRule(Height(BOX, DISCRETE), "shape", 0.5)
    states, following = np.array([[1.0], [1.0], [2.0]]), np.array([[3.0], [3.0], [0.0]])
    terminated = np.array([False, True, False])
    zeros = np.zeros(3, np.float32)
    paid = rule.model_rewards(states, zeros.astype(int), following, terminated, zeros)
    # 0.5 · 30 − 10; at termination 0 − 10; 0.5 · 0 − 20.
    assert paid.tolist() == [5.0, -10.0, -20.0]
    assert rule.training_rewards(np.array([1, 2, 3], np.float32), paid).tolist() == [6.0, -8.0, -17.0]


@pytest.mark.parametrize(("mode", "expected"), [("replace", [0.5, 0.5]), ("add", [1.5, 2.5])])
def test_a_model_replaces_or_adds(mode: str, expected: list[float]) -> None:
    rule = RewardRule(Height(BOX, DISCRETE), mode, 0.9)
    states, zeros = np.ones((2, 4)), np.zeros(2, np.float32)
    paid = rule.model_rewards(states, zeros.astype(int), states, zeros > 0, zeros)
    assert paid.tolist() == [0.5, 0.5]
    assert rule.training_rewards(np.array([1, 2], np.float32), paid).tolist() == expected


@pytest.mark.parametrize("truncates", [False, True])
def test_shaping_sums_to_what_the_ends_are_worth(truncates: bool) -> None:
    # With γ = 1 an episode's shaping telescopes to Φ(end) − Φ(start), where a terminated end counts 0.
    config = Config(
        environment="Countdown-v0", environment_kwargs={"length": 4, "truncates": truncates}, num_envs=3,
        **PLAIN | {"gamma": 1.0}, num_steps=8, num_epochs=2, seed=1, reward_mode="shape",
        reward_model="tests.rewards.test_rewards:Height",
    )  # fmt: skip
    trainer = Trainer(config)
    reports = list(trainer)
    assert reports[-1].mean_model_return == (40.0 if truncates else 0.0)
    assert reports[-1].mean_return is not None and reports[-1].mean_return > 0  # the environment's own, unshaped
    evaluation = evaluate(trainer.agent, episodes=5)
    for result in evaluation.modes.values():
        assert result.model_returns is not None
        assert (result.model_returns.mean, result.mean_length) == (40.0 if truncates else 0.0, 4.0)
    assert evaluation.to_document()["greedy"]["model_return"]["mean"] == (40.0 if truncates else 0.0)


def test_what_is_learned_is_the_models_wish_and_what_is_reported_is_both() -> None:
    # Countdown pays for action 1; the model pays for action 0, and more.
    settings: dict[str, Any] = {
        "environment": "Countdown-v0", **PLAIN, "num_envs": 8, "num_steps": 12, "num_epochs": 60, "seed": 1,
        "learning_rate": 0.01, "normalize_advantages": True, "gamma": 0.9, "hidden_dim": 16,
    }  # fmt: skip
    for mode, prefers_zero in ((None, False), ("replace", True), ("add", True)):
        model = {} if mode is None else {"reward_mode": mode, "reward_model": "tests.rewards.test_rewards:ForZero"}
        trainer = Trainer(Config(**settings, **model))
        for _ in trainer:
            pass
        evaluation = evaluate(trainer.agent, episodes=10)
        greedy = evaluation.modes["greedy"]
        assert (greedy.returns.mean == 0.0) is prefers_zero
        assert (greedy.model_returns is not None) is (mode is not None)
        if greedy.model_returns is not None:
            assert greedy.model_returns.mean == 6.0


class ForZero(RewardModel):
    def rewards(
        self, states: npt.NDArray[Any], actions: npt.NDArray[np.int64], *others: npt.NDArray[Any]
    ) -> npt.NDArray[np.float32]:
        return np.where(actions == 0, 2.0, 0.0).astype(np.float32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward_mode": "shape"}, "reward_mode=shape .* needs a reward_model"),
        ({"reward_mode": "shape", "reward_model": "tests.rewards.test_rewards:ForZero"}, "does not define potentials"),
        (
            {"reward_model": "tests.rewards.test_rewards:OnlyHeight"},
            'does not define rewards, which reward_mode "replace"',
        ),
        ({"environment": "random-states", "reward_mode": "add"}, "random states have no reward of their own to add"),
    ],
)
def test_a_mode_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(Config(**({"environment": "CartPole-v1"} | settings)))


def test_a_run_is_not_resumed_with_another_version_of_its_model(user_module: str, tmp_path: Path) -> None:
    settings = {"environment": "Countdown-v0", "reward_model_kwargs": {"scale": 2.0}, **PLAIN, "num_epochs": 2}
    for _ in Trainer(Config(**settings, reward_model=f"{user_module}:Scaled"), tmp_path / "run"):
        pass
    checkpoint = load(tmp_path / "run" / "last.safetensors")
    source = tmp_path / f"{user_module}.py"
    assert checkpoint.code == {"reward_model": hashlib.sha256(source.read_bytes()).hexdigest()}
    assert checkpoint.settings["reward_model_kwargs"] == {"scale": 2.0}
    resumed = Trainer.resume(tmp_path / "run", trust_code=True, num_epochs=3)
    resumed.close()
    source.write_text(source.read_text() + "# a changed mind")
    with pytest.raises(CheckpointError, match=f"another version of {user_module}:Scaled"):
        Trainer.resume(tmp_path / "run", trust_code=True, num_epochs=4)
