"""Python objects instead of names: classes and functions of a program, in every process, and again on resume."""

import functools
import threading
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import ActorCriticAgent, Config, RewardModel, Trainer, evaluate, verify
from actor_critic.config import Layer, resolve
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError, EnvironmentFault
from tests.line import OBJECTS, RUN, Line, Scaled
from tests.nursery import ROOT, Nursery


def _trained(folder: Path | None = None, epochs: int | None = None, objects: Any = None, **settings: Any) -> Trainer:
    trainer = Trainer(Config(**RUN | settings), folder, **(OBJECTS if objects is None else objects))
    for report in trainer:
        if report.epoch == epochs:
            break
    trainer.close()
    return trainer


@pytest.mark.parametrize("where", [{"workers": 2}, {"vectorization": "workers", "workers": 2}], ids=str)
def test_objects_give_the_same_bits_in_workers(where: dict[str, Any]) -> None:
    assert _trained(**where).digest == _trained().digest


def test_the_settings_have_the_names_of_the_objects() -> None:
    settings = _trained().settings
    assert settings.environment == "tests.line:Line"
    assert settings.wrappers == [{"tests.line:Scaled": {"by": 3.0}}, "tests.line:<lambda>"]
    assert (settings.reward_model, settings.encoder) == ("tests.line:bonus", "tests.line:Small")


def test_two_objects_of_one_name_are_numbered_and_both_used() -> None:
    wrappers = [lambda env: Scaled(env, 2.0), lambda env: Scaled(env, 5.0)]
    trainer = _trained(objects={"environment": Line, "wrappers": wrappers})
    name = trainer.settings.wrappers[0]
    assert trainer.settings.wrappers == [name, f"{name}#2"]
    report = next(iter(trainer := Trainer(Config(**RUN), environment=Line, wrappers=wrappers)))
    trainer.close()
    assert report.mean_training_return == pytest.approx(10 * report.mean_return, rel=1e-5)


def test_names_and_objects_are_the_same_run(tmp_path: Path) -> None:
    named = Config(
        **RUN, environment="tests.line:Line", wrappers=[{"tests.line:Scaled": {"by": 3}}],
        reward_model="tests.line:bonus", encoder="tests.line:Small",
    )  # fmt: skip
    trainer = Trainer(named)
    digests = [trainer.digest for _ in trainer]
    assert _trained(objects=OBJECTS | {"wrappers": [(Scaled, {"by": 3})]}).digest == digests[-1]


def test_a_resumed_run_takes_the_objects_again_and_refuses_others(tmp_path: Path) -> None:
    whole = _trained(tmp_path / "whole")
    _trained(tmp_path / "run", epochs=2)
    with pytest.raises(ConfigError, match=r"has no class or function '<lambda>'; .* pass it again, as wrappers="):
        Trainer.resume(tmp_path / "run", trust_code=True)
    with pytest.raises(CheckpointError, match=r"names code to import: .*tests\.line:bonus.* or pass the class"):
        Trainer.resume(tmp_path / "run", environment=Line)
    others: list[tuple[dict[str, Any], str]] = [
        ({"environment": "CartPole-v1"}, "environment: CartPole-v1 is not allowed; the run has tests.line:Line"),
        ({"evaluation_environment": Line}, "evaluation_environment: tests.line:Line is not allowed; the run has none"),
        ({"wrappers": [Scaled]}, "wrappers: 1 given, and the run has 2"),
        ({"wrappers": [(Scaled, {"by": 4.0}), OBJECTS["wrappers"][1]]}, "wrappers: {'tests.line:Scaled': {'by': 4.0}}"),
        ({"reward_model": functools.partial(OBJECTS["reward_model"])}, "another version of tests.line:bonus"),
    ]
    for other, message in others:
        with pytest.raises(ActorCriticError) as caught:
            Trainer.resume(tmp_path / "run", **OBJECTS | other)
        assert message in str(caught.value)
    resumed = Trainer.resume(tmp_path / "run", **OBJECTS)
    assert [report.epoch for report in resumed] == [3, 4]
    assert resumed.digest == whole.digest
    assert verify(tmp_path / "run", from_epoch=0, **OBJECTS).last == 4


SCRIPT = """
import sys
from tests.line import RUN
from actor_critic import *
from actor_critic.errors import CheckpointError
{source}
if __name__ == "__main__":
    what, folder, *_ = sys.argv[1:]
    if what == "train":
        for report in Trainer(Config(**RUN, workers=2), folder, **OBJECTS):
            if report.epoch == 2:
                break
    else:
        try:
            trainer = Trainer.resume(folder, **OBJECTS)
            print([(report.epoch, trainer.digest) for report in trainer])
            print(verify(folder, from_epoch=0, **OBJECTS).compared)
        except CheckpointError as error:
            print(error)
"""


@pytest.mark.slow
def test_a_script_resumes_in_a_new_process_though_other_lines_of_it_have_changed(
    nursery: Nursery, tmp_path: Path
) -> None:
    source = (ROOT / "tests/line.py").read_text().partition("RUN:")[0]
    for what, script in (
        ("train", SCRIPT.format(source=source)),
        ("resume", "# another line" + SCRIPT.format(source=source).replace("import sys", "import os, sys")),
    ):
        (tmp_path / "script.py").write_text(script)
        process = nursery.python(tmp_path, "script.py", what, "run")
        assert process.wait() == 0, process.err
    compared = process.out.splitlines()
    assert [epoch for epoch, _ in eval(compared[0])] == [3, 4]
    assert compared[1] == "2"
    changed = SCRIPT.format(
        source=source.replace("return np.where(actions == 1, 1.0", "return np.where(actions == 1, 2.0")
    )
    (tmp_path / "script.py").write_text(changed)
    process = nursery.python(tmp_path, "script.py", "resume", "run")
    assert process.wait() == 0, process.err
    assert "was trained with another version of __main__:bonus: its code has changed since" in process.out


@pytest.mark.slow
def test_an_environment_registered_in_a_program_goes_to_its_workers(nursery: Nursery, tmp_path: Path) -> None:
    source = (ROOT / "tests/line.py").read_text().partition("RUN:")[0]
    (tmp_path / "script.py").write_text(f"""
{source}
from tests.line import RUN
from actor_critic import *
gym.register("Mine-v0", Line)
gym.register("Named-v0", "__main__:Line")
if __name__ == "__main__":
    digests = []
    for name in ("Mine-v0", "Named-v0"):
        for settings in ({{}}, {{"vectorization": "workers", "workers": 2}}):
            trainer = Trainer(Config(**RUN, environment=name, **settings))
            digests.append([trainer.digest for _ in trainer])
    print(digests[0] == digests[1], digests[2] == digests[3])
""")
    process = nursery.python(tmp_path, "script.py")
    assert process.wait() == 0, process.err
    assert process.out == "True True\n"


# --- evaluation ---


def test_an_evaluation_takes_other_arguments_another_environment_or_the_same_class_again(tmp_path: Path) -> None:
    agent = _trained(objects={"environment": Line}, environment_kwargs={"length": 5}).agent

    def length(agent: ActorCriticAgent, **how: Any) -> float:
        return evaluate(agent, episodes=2, **how).modes["greedy"].mean_length

    assert length(agent) == length(agent, environment=Line) == 5
    assert length(agent, environment_kwargs={"length": 7}) == 7
    assert length(agent, environment=lambda: Line(3)) == 3
    agent.save(tmp_path / "agent.safetensors")
    loaded = ActorCriticAgent.load(tmp_path / "agent.safetensors")
    with pytest.raises(CheckpointError, match=r"names code to import: tests\.line:Line"):
        evaluate(loaded)
    assert length(loaded, environment=Line) == 5
    with pytest.raises(ConfigError, match=r"^environment: CartPole-v1: the policy was built for"):
        evaluate(agent, environment="CartPole-v1")


def test_evaluations_in_training_use_their_own_environment_and_leave_the_bits_alone() -> None:
    settings: dict[str, Any] = {"evaluation_interval": 2, "evaluation_environment_kwargs": {"length": 20}}
    trainer = Trainer(Config(**RUN, **settings), environment=Line)
    evaluations = [report.evaluation for report in trainer if report.evaluation]
    assert [found.modes["greedy"].mean_length for found in evaluations] == [20.0, 20.0]
    assert trainer.digest == _trained(objects={"environment": Line}).digest
    trainer = Trainer(Config(**RUN, evaluation_interval=2), environment=Line, evaluation_environment=lambda: Line(9))
    assert [r.evaluation.modes["greedy"].mean_length for r in trainer if r.evaluation] == [9.0, 9.0]
    with pytest.raises(ConfigError, match=r"^evaluation_environment: CartPole-v1: the policy was built for"):
        Trainer(Config(**RUN), environment=Line, evaluation_environment="CartPole-v1")


def test_objects_of_one_name_do_not_take_the_place_of_others() -> None:
    first = _trained(objects={"environment": lambda: Line(5)})
    other = Trainer(first.settings, evaluation_environment=lambda: Line(20))
    assert [set(report.episode_lengths.tolist()) for report in other] == [{5.0}] * 4
    agent = _trained(objects={"environment": lambda: Line(5), "reward_model": lambda s, a: s[:, 0]}).agent
    found = evaluate(agent, environment=lambda: Line(7), reward_model=lambda s, a: 0 * s[:, 0], episodes=2)
    assert found.modes["greedy"].mean_length == 7
    assert found.modes["greedy"].model_returns is not None and found.modes["greedy"].model_returns.mean == 0
    wrapped = evaluate(agent, wrappers=[lambda env: Scaled(env, 0.0)], episodes=2)
    assert wrapped.greedy.mean != 0  # its own rewards, below the wrappers


def test_an_evaluation_leaves_the_state_of_a_reward_model_alone() -> None:
    digests = set()
    for interval in (None, 1):
        model = Counting(Line.observation_space, Line.action_space)
        trainer = Trainer(Config(**RUN, evaluation_interval=interval), environment=Line, reward_model=model)
        digests.add([trainer.digest for _ in trainer][-1])
    assert len(digests) == 1


def test_what_a_function_closes_over_is_part_of_its_version(tmp_path: Path) -> None:
    def pays(sign: float) -> Any:
        return lambda states, actions: sign * states[:, 0]

    _trained(tmp_path / "run", epochs=2, objects={"environment": Line, "reward_model": pays(1.0)})
    with pytest.raises(CheckpointError, match="another version"):
        Trainer.resume(tmp_path / "run", environment=Line, reward_model=pays(-1.0))
    Trainer.resume(tmp_path / "run", environment=Line, reward_model=pays(1.0)).close()


class Outer:
    class Inner(Line):
        pass


def test_a_class_within_a_class_is_found_by_its_name_and_a_local_one_is_not(tmp_path: Path) -> None:
    class Local(Line):
        pass

    _trained(tmp_path / "inner", epochs=2, objects={"environment": Outer.Inner})
    assert Trainer.resume(tmp_path / "inner", trust_code=True).epoch == 2
    _trained(tmp_path / "local", epochs=2, objects={"environment": Local})
    with pytest.raises(ConfigError, match=r"was an object of a Python program: pass it again, as environment="):
        Trainer.resume(tmp_path / "local", trust_code=True)


def test_a_callable_of_a_known_package_is_no_registered_environment() -> None:
    for kwargs in ({}, {"evaluation_environment_kwargs": {"env_id": "evil:X"}}):
        settings = resolve(Layer("test", Config(environment="gymnasium:make", **kwargs))).settings
        assert settings.code_to_trust == ["gymnasium:make", *(["evil:X"] if kwargs else [])]


# --- bad input ---

_one = Line()
_lock = threading.Lock()


class Locked(Line):
    guard = _lock


class Several:
    possible_agents = ("a", "b")


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"environment": _one}, "environment: an object of Line is not allowed, .* pass the class, or a function"),
        ({"environment": lambda: _one}, "returned the same Line twice; it must make a new one at every call"),
        ({"environment": lambda: 3}, "cannot be made: TypeError: The environment must inherit from"),
        ({"environment": 3}, "environment: 3 is not allowed; expected a class, a function"),
        ({"environment": Several}, "is no subclass of gymnasium.Env; it is a multi-agent environment"),
        ({"environment": Nursery}, "is no subclass of gymnasium.Env; derive from it, or pass a function"),
        ({"environment": lambda size: Line(size)}, "missing 1 required positional argument: 'size'; give it in"),
        ({"environment": Line, "wrappers": Scaled}, "wrappers: .* expected a list of classes, functions or names"),
        ({"environment": Line, "wrappers": [_one]}, "wrappers: .* expected a class or function that takes"),
        ({"environment": Line, "wrappers": [(Scaled, {"bye": 1})]}, "wrappers: .* with {'bye': 1} fails on"),
        ({"environment": Line, "reward_model": 3}, "reward_model: 3 is not allowed; expected a function of states"),
        ({"environment": Line, "encoder": lambda shape: 3}, "encoder: .* gives a int; expected a torch.nn.Module"),
    ],
)
def test_what_is_no_such_object_is_refused(objects: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(Config(**RUN), **objects)


@pytest.mark.parametrize("environment", [Locked, functools.partial(Locked, 4), lambda: Locked() if _lock else None])
def test_what_cannot_be_sent_to_a_worker_is_named(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Locked, "__module__", "__main__")  # as in a notebook
    if not isinstance(environment, type):
        monkeypatch.setattr(environment, "__module__", "__main__", raising=False)
    with pytest.raises(ConfigError, match=r"workers: .*(guard|_lock) \(lock\) cannot be sent to another process"):
        Trainer(Config(**RUN, workers=2), environment=environment)


def test_arguments_that_no_file_can_hold_stay_in_the_object() -> None:
    trainer = _trained(objects={"environment": Line, "wrappers": [functools.partial(Scaled, by=np.array(3.0))]})
    assert trainer.settings.wrappers == [{"tests.line:Scaled": {"by": 3.0}}]
    holder = functools.partial(gym.wrappers.TransformReward, func=lambda reward: 2 * reward)
    trainer = _trained(objects={"environment": Line, "wrappers": [holder]})
    assert trainer.settings.wrappers == ["gymnasium.wrappers.transform_reward:TransformReward"]


# --- reward functions and models ---


def test_a_reward_function_takes_what_its_parameters_name() -> None:
    seen: dict[str, Any] = {}

    def by_name(next_states: Any, environment_rewards: Any, factor: float = 1.0) -> Any:
        seen["shapes"] = next_states.shape, environment_rewards.shape
        return next_states[:, 0] * factor

    paid = []
    for factor in (1.0, 2.0):  # the first epoch collects the same transitions
        config = Config(**RUN, reward_model_kwargs={"factor": factor})
        trainer = Trainer(config, environment=Line, reward_model=by_name)
        paid.append(next(iter(trainer)).mean_model_return)
        trainer.close()
    assert seen["shapes"] == ((128, 2), (128,))
    assert paid[1] == pytest.approx(2 * paid[0])


def test_a_reward_function_may_take_states_alone_by_name() -> None:
    trainer = _trained(objects={"environment": Line, "reward_model": lambda states: states[:, 0]}, num_epochs=1)
    assert trainer.epoch == 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s, a, x: 1, "has the parameters s, a, x; expected two, states and actions, or any of states,"),
        (lambda s, a: (a == s.argmax()) * 1.0, "gives a transition alone another reward than the same transition"),
        (lambda obs, terminated: 1.0, "has the parameters obs, terminated; expected two, states and actions"),
        (lambda next_states, a: 1.0, "has the parameters next_states, a; expected two"),
    ],
)
def test_a_reward_function_of_the_wrong_kind_is_refused_before_the_run(function: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(Config(**RUN), environment=Line, reward_model=function)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s, a: 1.0, r"returned rewards of shape \(\); expected \(128,\), one for each of the 128 transitions"),
        (lambda s, a: ["x"] * len(a), "returned rewards of dtype <U1; expected numbers"),
        (lambda s, a: s[:, 0] * np.nan, "returned nan for transition 0"),
        (lambda s, a: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_a_reward_function_that_returns_something_else_is_one_error(function: Any, message: str) -> None:
    with pytest.raises(EnvironmentFault, match=message):
        _trained(objects={"environment": Line, "reward_model": function})


class Counting(RewardModel):
    """Pays the number of its calls."""

    calls = 0

    def rewards(self, states: Any, actions: Any, *others: Any) -> Any:
        self.calls += 1
        return np.full(len(actions), self.calls, np.float32)


class Paid(RewardModel):
    def __init__(self, observation_space: Any, action_space: Any, pay: float = 1.0) -> None:
        super().__init__(observation_space, action_space)
        self.pay = pay

    def rewards(self, states: Any, actions: Any, *others: Any) -> Any:
        return np.full(len(actions), self.pay, np.float32)


def test_an_instance_of_a_reward_model_keeps_its_state_and_is_another_version_with_another(tmp_path: Path) -> None:
    model = Paid(Line.observation_space, Line.action_space, pay=3.0)
    objects = {"environment": Line, "reward_model": model}
    run = _trained(tmp_path / "run", epochs=2, objects=objects)
    assert run.agent.settings.reward_model == f"{__name__}:Paid"
    with pytest.raises(CheckpointError, match="another version"):
        Trainer.resume(tmp_path / "run", environment=Line, reward_model=Paid)
    with pytest.raises(CheckpointError, match="another version"):
        Trainer.resume(
            tmp_path / "run", environment=Line, reward_model=Paid(Line.observation_space, Line.action_space, pay=4.0)
        )
    reports = list(Trainer.resume(tmp_path / "run", **objects))
    assert reports[-1].mean_model_return == pytest.approx(3.0 * 8)
    with pytest.raises(ConfigError, match="was made for action_space Discrete"):
        Trainer(Config(**RUN), environment=Line, reward_model=Paid(Line.observation_space, gym.spaces.Discrete(5)))
