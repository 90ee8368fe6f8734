"""What `check` finds: everything it should, in time, with one instance at a time, and never a traceback."""

import time
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

from actor_critic.config import Config, Layer, resolve
from actor_critic.environments import EnvironmentMaker
from actor_critic.environments.trials.check import Finding, check_environment
from actor_critic.errors import ConfigError
from actor_critic.process.interrupts import Interrupted
from tests import toys


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actor_critic.environments.trials.check._SECONDS_OF_SPEED", 0.02)


def _check(make: Any) -> list[Finding]:
    return list(check_environment(make))


def _texts(findings: list[Finding], verdict: str) -> list[str]:
    return [finding.text for finding in findings if finding.verdict == verdict]


def test_an_environment_that_can_exist_only_once_is_tried() -> None:
    class Once(toys.Sampled):
        alive: ClassVar[int] = 0

        def __init__(self) -> None:
            super().__init__()
            assert not Once.alive, "the port is taken"
            Once.alive += 1

        def close(self) -> None:
            Once.alive -= 1

    findings = _check(Once)
    assert _texts(findings, "problem") == []
    assert Once.alive == 0


def test_a_slow_simulator_is_tried_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(toys.Endless):
        def reset(self, **kwargs: Any) -> Any:
            time.sleep(0.02)
            return super().reset(**kwargs)

        def step(self, action: Any) -> Any:
            time.sleep(0.005)
            return super().step(action)

    monkeypatch.setattr("actor_critic.environments.trials.check._SECONDS", 0.3)  # a tenth of all times
    started = time.perf_counter()
    findings = _check(Slow)
    assert time.perf_counter() - started < 2.5
    (kept,) = (finding.text for finding in findings if "kept the contract" in finding.text)
    assert 1 < int(kept.split()[0]) < 100
    assert any("before the time limit" in finding.text for finding in findings)


class Raises(toys.Sampled):
    """Raises something at its third step."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self._error = error
        self._count = 0

    def step(self, action: Any) -> Any:
        self._count += 1
        if self._count == 3:
            if self._error is None:
                assert self._count > 3
            else:
                raise self._error
        return super().step(action)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("the simulator crashed"), "it raised RuntimeError: the simulator crashed (test_check.py, line "),
        (KeyboardInterrupt("q"), "it raised KeyboardInterrupt: q (test_check.py, line "),
        (SystemExit(3), "it raised SystemExit: 3 (test_check.py, line "),
        (GeneratorExit(), "it raised GeneratorExit: raise self._error (test_check.py, line "),
        (None, "it raised AssertionError: assert "),
    ],
)
def test_whatever_an_environment_raises_is_a_problem_with_its_place(error: BaseException | None, words: str) -> None:
    findings = _check(lambda: Raises(error))
    (problem,) = _texts(findings, "problem")
    assert problem.startswith(words)
    assert "test_check.py, line " in problem
    assert findings[-1].verdict == "problem"


def test_control_c_is_no_finding() -> None:
    with pytest.raises(Interrupted):
        _check(lambda: Raises(Interrupted()))


def test_what_is_raised_while_it_is_made_is_one_error() -> None:
    def make() -> Any:
        raise KeyboardInterrupt("q")

    with pytest.raises(
        ConfigError, match=r"^environment: it cannot be made: KeyboardInterrupt: q \(test_check.py, line"
    ):
        _check(make)


def test_what_close_raises_is_a_warning() -> None:
    class Clingy(toys.Sampled):
        def close(self) -> None:
            raise SystemExit("no")

    (warning,) = _texts(_check(Clingy), "warning")
    assert warning.startswith("close raised SystemExit: no (test_check.py, line ")


class Shows(gym.Env[Any, Any]):
    """Shows what it is given, one after the other."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, space: gym.Space[Any], shown: list[Any]) -> None:
        self.observation_space = space
        self._shown = shown

    def _observe(self) -> Any:
        return self._shown[int(self.np_random.integers(len(self._shown)))]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        return self._observe(), 0.0, self._steps == 5, False, {}


def _warnings(space: gym.Space[Any], shown: list[Any]) -> list[str]:
    return _texts(_check(lambda: Shows(space, shown)), "warning")


def test_every_part_is_looked_at_as_the_networks_see_it() -> None:
    grid, picture = gym.spaces.Box(0, 250, (9, 9, 1), np.uint8), gym.spaces.Box(0, 255, (40, 40, 1), np.uint8)
    space = gym.spaces.Dict({"grid": grid, "picture": picture, "hand": gym.spaces.Discrete(900)})
    zero = {"grid": np.zeros((9, 9, 1), np.uint8), "picture": np.full((40, 40, 1), 255, np.uint8), "hand": 899}
    assert _warnings(space, [zero, zero | {"hand": 1}]) == []
    (found,) = _warnings(space, [zero, zero | {"grid": np.full((9, 9, 1), 200, np.uint8)}])
    assert found == 'observations at ["grid"] reach 200: set normalize_observations to true'
    pictures = [np.full((40, 40, 1), value, np.float32) for value in (0.0, 255.0)]
    assert _warnings(gym.spaces.Box(0, 255, (40, 40, 1)), pictures) == []
    (found,) = _warnings(gym.spaces.Box(0, np.inf, (40, 40, 1)), pictures)
    assert found.startswith("observations reach 255")


@pytest.mark.parametrize(
    ("dtype", "numbers", "words"),
    [
        (np.float64, (1.7e9, 1.7e9 + 10), "observations at [1]: 1700000000 and 1700000010 are equal in float32"),
        (np.int64, (2**24, 2**24 + 1), "observations at [1]: 16777216 and 16777217 are equal in float32"),
        (np.int32, (2**30, 2**30 + 1), "observations at [1]: 1073741824 and 1073741825 are equal in float32"),
        (np.float64, (0.5, 0.5 + 2**-26), "observations at [1]: 0.5 and 0.50000001490116119 are"),
        (np.float64, (0.5, 0.5 + 1e-12), None),
        (np.float64, (1.7e9, 1.8e9, 1.7e9 + 10), None),
        (np.float64, (0.0, 1e-30), None),
        (np.float32, (1.7e9, 1.7e9 + 10), None),
    ],
)
def test_numbers_that_networks_cannot_tell_apart_are_told(
    dtype: Any, numbers: tuple[float, ...], words: str | None
) -> None:
    bounds = (-(2**31), 2**31 - 1) if dtype is np.int32 else (-np.inf, np.inf)
    shown = [np.array([0, number], dtype) for number in numbers]
    found = [text for text in _warnings(gym.spaces.Box(*bounds, (2,), dtype), shown) if "float32" in text]
    if words is None:
        assert found == []
    else:
        (text,) = found
        assert text.startswith(words)
        assert "--normalize-observations" in text


def test_episodes_that_only_new_instances_repeat_are_no_warning() -> None:
    class Ages(toys.Sampled):
        age = 0

        def reset(self, **kwargs: Any) -> Any:
            self.age += 1
            observation, info = super().reset(**kwargs)
            return observation + np.float32(self.age % 50), info

    findings = _check(Ages)
    assert _texts(findings, "warning") == []
    assert "a run makes a new instance for every episode" in _texts(findings, "ok")[-1]


def test_a_mask_that_allows_nothing_is_a_problem() -> None:
    class Stuck(toys.Sampled):
        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"action_mask": np.zeros(self.action_space.n, np.int8)}

    (problem,) = _texts(_check(Stuck), "problem")
    assert "a mask that allows no action" in problem


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ((0, None, False, False, {}), "the reward None; expected a finite number"),
        ((0, "1", False, False, []), "info as []; expected a dict"),
        ((0, 1.0, "no", False, {}), "terminated as 'no'; expected true or false"),
    ],
)
def test_what_a_step_returns_in_other_types_is_a_problem(returned: Any, words: str) -> None:
    class Odd(toys.Sampled):
        def step(self, action: Any) -> Any:
            return super().step(action)[0], *returned[1:]

    (problem,) = _texts(_check(Odd), "problem")
    assert words in problem


def test_the_maker_names_an_environment_without_spaces() -> None:
    class Late(gym.Env[Any, Any]):
        pass

    gym.register("Late-v0", Late)
    try:
        with pytest.raises(ConfigError, match=r"^environment: Late-v0: it has no observation_space before"):
            EnvironmentMaker(resolve(Layer("", Config(environment="Late-v0"))).settings)()
    finally:
        del gym.registry["Late-v0"]
