"""FunctionalReward: one function of a state and an action, compiled for random states."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
import torch

from actor_critic import Config, ConfigError, EnvironmentFault, FunctionalReward, RewardModel, Trainer, evaluate
from actor_critic.environments import make_vector_environment
from actor_critic.environments.functional import PythonExecutor, try_functions
from actor_critic.environments.functional.random_states import random_spaces, random_states_with
from actor_critic.rewards import make_reward_model
from actor_critic.rollouts.compiled import CompiledCollector
from actor_critic.training import setup
from tests.cli.running import Shell

HERE = __name__
SIZES: dict[str, Any] = {"input_dim": 4, "output_dim": 3, "batch_size": 16, "num_epochs": 6, "seed": 3}


def _penalty(action: Any) -> float:
    return 0.25 * action


class Margin(FunctionalReward):
    parameters = {"scale": 2.0, "offsets": np.zeros(3)}  # noqa: RUF012

    @staticmethod
    def reward(state: Any, action: Any, parameters: Any) -> float:
        return parameters.scale * state[action] + parameters.offsets[action] - _penalty(action)


class SameInNumPy(RewardModel):
    def rewards(self, states: npt.NDArray[Any], actions: npt.NDArray[np.int64], *rest: Any) -> npt.NDArray[np.float32]:
        chosen = states[np.arange(len(states)), actions].astype(np.float64)
        return (2.0 * chosen + 0.0 - 0.25 * actions).astype(np.float32)


class Overridden(Margin):
    def rewards(self, states: npt.NDArray[Any], *rest: Any) -> npt.NDArray[np.float32]:
        return np.ones(len(states), np.float32)


class Missing(FunctionalReward):
    pass


class OfAnInstance(FunctionalReward):
    def reward(self, state: Any, action: Any, parameters: Any) -> float:
        return 0.0


class NotFinite(FunctionalReward):
    @staticmethod
    def reward(state: Any, action: Any, parameters: Any) -> float:
        return np.inf if state[0] > 1.0 else 0.0


class NotCompiled(FunctionalReward):
    @staticmethod
    def reward(state: Any, action: Any, parameters: Any) -> float:
        return float(f"{action:.2f}")


def _run(model: str, **settings: Any) -> Trainer:
    trainer = Trainer(Config(reward_model=f"{HERE}:{model}", **SIZES | settings))
    for _ in trainer:
        pass
    return trainer


@pytest.mark.parametrize("backend", ["fused", "eager"])
def test_a_compiled_reward_trains_like_the_same_reward_in_numpy(backend: str) -> None:
    ours, same = (_run(model, backend=backend) for model in ("Margin", "SameInNumPy"))
    assert torch.equal(ours.agent.parameters.values, same.agent.parameters.values)


def test_it_is_compiled_for_random_states_unless_rewards_is_overridden() -> None:
    for model, is_compiled in (("Margin", True), ("SameInNumPy", False), ("Overridden", False)):
        trainer = Trainer(Config(reward_model=f"{HERE}:{model}", **SIZES))
        source = trainer._environments.open(trainer._state)
        assert isinstance(source._collector, CompiledCollector) is is_compiled, model
        trainer.close()
    assert _run("Overridden").agent is not None
    report = list(Trainer(Config(reward_model=f"{HERE}:Overridden", **SIZES)))[-1]
    assert report.mean_return == 1.0


def test_parameters_come_from_reward_model_kwargs() -> None:
    offsets = [1.0, 2.0, 3.0]
    config = Config(reward_model=f"{HERE}:Margin", reward_model_kwargs={"scale": 0.0, "offsets": offsets}, **SIZES)
    environment = make_vector_environment(Trainer(config).settings)
    environment.reset(seed=0)
    actions = np.arange(16)[:, None] % 3
    np.testing.assert_allclose(environment.step_indices(actions).rewards, np.take([1.0, 1.75, 2.5], actions[:, 0]))
    with pytest.raises(ConfigError, match=r"reward_model_kwargs: Margin has no parameter 'slope'; .* scale, offsets"):
        Trainer(Config(reward_model=f"{HERE}:Margin", reward_model_kwargs={"slope": 1.0}, **SIZES))
    with pytest.raises(ConfigError, match=r"reward_model_kwargs: scale='x' of Margin; expected float64"):
        Trainer(Config(reward_model=f"{HERE}:Margin", reward_model_kwargs={"scale": "x"}, **SIZES))


def test_a_model_without_the_function_is_refused() -> None:
    for model in ("Missing", "OfAnInstance"):
        with pytest.raises(ConfigError, match=rf"reward_model: {model} has no static method reward"):
            _run(model)


def test_an_evaluation_knows_the_optimum() -> None:
    assert evaluate(_run("Overridden").agent, episodes=5).reference is None
    reference = evaluate(_run("Margin").agent, episodes=50).reference
    assert reference is not None
    box = gym.spaces.Box(-9, 9, (4,), np.float32)
    model = make_reward_model(f"{HERE}:Margin", {}, box, gym.spaces.Discrete(3))
    states = np.array([[1, 0, 0, 0], [0, 0, 1, 5]], np.float32)
    np.testing.assert_allclose(model.expected_rewards(states), [[2, -0.25, -0.5], [0, -0.25, 1.5]])  # type: ignore[arg-type]
    pairs = gym.spaces.MultiDiscrete([2, 2])
    assert make_reward_model(f"{HERE}:Margin", {}, box, pairs).expected_rewards(states) is None


def test_on_another_environment_it_runs_in_python() -> None:
    trainer = Trainer(
        Config(environment="CartPole-v1", reward_model=f"{HERE}:Margin", num_epochs=2, num_envs=2, num_steps=8, seed=1)
    )
    reports = list(trainer)
    assert len(reports) == 2 and np.isfinite(reports[-1].value_loss)


def test_a_wrong_reward_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "try_new_environment", lambda settings: None)  # which finds it before the run
    with pytest.raises(EnvironmentFault, match=r"the reward of step 0 of this rollout is not finite"):
        _run("NotFinite")
    with pytest.raises(
        ConfigError, match=r"^reward_model: .*:NotCompiled \(test_reward.py, line \d+\) .*; derive from RewardModel"
    ) as found:
        _run("NotCompiled")
    assert len(str(found.value).splitlines()) == 1, Path(HERE)


class Wrong(FunctionalReward):
    """A mistake in the reward of states that a trial soon finds."""

    parameters = {"scale": 1.0}  # noqa: RUF012


def _of(function: Any) -> type[FunctionalReward]:
    return type("Wrong", (Wrong,), {"reward": staticmethod(function)})


def _outside(state: Any, action: Any, parameters: Any) -> float:
    return state[action + 2]


def _changes_the_state(state: Any, action: Any, parameters: Any) -> float:
    state[0] = 0.0
    return 1.0


def _changes_parameters(state: Any, action: Any, parameters: Any) -> float:
    parameters.scale = 2.0
    return 1.0


WRONG: dict[str, tuple[Any, str]] = {
    "an index outside the state": (
        _outside, r"reward raised IndexError: index 4 is out of bounds for axis 0 with size 4 \(test_reward",
    ),
    "a number that is not finite": (lambda *given: np.nan, "reward returned nan; expected a finite number$"),
    "a number beyond float32": (lambda *given: 1e39, "reward returned 1e\\+39; expected a finite number$"),
    "a text": (lambda *given: "much", "reward returned 'much'; expected a finite number$"),
    "a changed state": (_changes_the_state, "reward changed the state; expected it unchanged$"),
    "changed parameters": (_changes_parameters, "reward changed parameters; expected them unchanged$"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_trial_finds_what_is_wrong_before_the_run(name: str) -> None:
    function, words = WRONG[name]
    with pytest.raises(EnvironmentFault, match=rf"^Wrong: environment \d, episode \d+, step 1: {words}"):
        Trainer(Config(**SIZES), reward_model=_of(function))


def test_a_reward_that_rounds_in_another_way_is_told_apart() -> None:
    def made(function: Any) -> Any:
        spaces = random_spaces(4, 3)
        return random_states_with(_of(function)(*spaces), "own:Wrong", 4, 3)

    exact, rounded, other = (
        made(lambda state, action, parameters: 100.0 * float(state[0]) - 100.0 * float(state[1])),
        made(lambda state, action, parameters: 100.0 * state[0] - 100.0 * state[1]),
        made(lambda state, action, parameters: 100.0 * state[0] - 99.0 * state[1]),
    )
    for environment, is_rounding in ((rounded, True), (other, False)):
        found = try_functions(environment, PythonExecutor(exact), steps=100, seconds=30.0).difference
        assert found is not None
        assert (found.is_rounding, found.text.startswith("Wrong: environment ")) == (is_rounding, True)
        assert found.text.endswith("compiled code in 64 bits: write float(state[k])")


def test_only_rewards_may_differ_by_a_thousandth() -> None:
    def shifted(state: Any, out: Any, parameters: Any) -> None:
        out[:] = state + np.float32(1e-4)

    spaces = random_spaces(4, 3)
    environment = random_states_with(_of(lambda *given: 1.0)(*spaces), "own:Wrong", 4, 3)
    other = type("Shifted", (type(environment),), {"observation": staticmethod(shifted)})(4, 3)
    found = try_functions(environment, PythonExecutor(other), steps=3, seconds=30.0).difference
    assert found is not None
    assert ("step 0: observation[0] is " in found.text, found.is_rounding) == (True, False)
    assert "float(state[k])" not in found.text


def test_check_tries_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in (("_SECONDS", 0.3), ("_SECONDS_OF_SPEED", 0.05)):
        monkeypatch.setattr(f"actor_critic.environments.trials.functions.{name}", seconds)
    shell = Shell(tmp_path, monkeypatch, capsys)
    sizes = ("--input-dim", "4", "--output-dim", "3")
    good = shell("check", "random-states", "--reward-model", f"{HERE}:Margin", *sizes)
    assert good.code == 0
    assert "Python and compiled functions agree bit by bit over" in good.out
    assert good.out.endswith("random-states can be trained on\n")
    bad = shell("check", "random-states", "--reward-model", f"{HERE}:Margin", "--input-dim", "4", "--output-dim", "6")
    assert bad.code == 3
    assert "problem Margin: environment " in bad.out and "reward raised IndexError: index " in bad.out
    plain = shell("check", "random-states", "--reward-model", f"{HERE}:SameInNumPy")
    assert (plain.code, "only a run tries a reward model that is not compiled" in plain.out) == (0, True)
    other = shell("check", "CartPole-v1", "--output-dim", "3")
    assert (other.code, other.err) == (2, "error: output_dim: 3 is checked with random-states only; leave it out\n")
