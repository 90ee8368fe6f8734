"""The digest of a user's functions, which the cache of compiled code is named by."""

from collections.abc import Callable
from typing import Any

import pytest

from actor_critic.config import Config, Layer, resolve
from actor_critic.environments import choose_vectorization
from actor_critic.environments.functional.compiled.user_code import UserCode
from tests.rollouts.test_compiled import Counting


def _of(pair: tuple[float, float]) -> Callable[[Any], float]:
    def function(random: Any) -> float:
        return random.integers(pair[0], pair[1])

    return function


def _first(random: Any) -> float:
    return random.integers(1, 1200)


def _second(random: Any) -> float:
    return random.integers(11, 200)


def _digest(function: Callable[..., Any]) -> str:
    code = UserCode()
    code.compiled(function)
    return code.digest


@pytest.mark.parametrize(("one", "other"), [(_first, _second), (_of((0.1, 10.5)), _of((0.11, 0.5)))])
def test_constants_that_read_the_same_in_a_row_have_other_digests(
    one: Callable[..., Any], other: Callable[..., Any]
) -> None:
    assert _digest(one) != _digest(other)
    assert _digest(one) == _digest(one)


class Overriding(Counting):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, 2 * reward, *rest


def test_an_environment_with_a_step_of_its_own_is_stepped_in_python() -> None:
    settings = resolve(Layer("test", Config(environment=f"{__name__}:Overriding"))).settings
    assert choose_vectorization(settings).vectorization == "sync"
