"""Exceptions of others, described in a line."""

import gymnasium as gym
import pytest

from actor_critic import Config, ConfigError, Trainer
from actor_critic.errors import describe


def _caught(code: str) -> BaseException:
    try:
        exec(compile(code, "/somewhere/mine.py", "exec"))
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("code", "described"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (mine.py, line 1)"),
        ("\n\nraise RuntimeError('two\\n  lines')", "RuntimeError: two lines (mine.py, line 3)"),
        ("raise SystemExit", "SystemExit (mine.py, line 1)"),
        (
            "class Bad(Exception):\n def __str__(self): return 1 / 0\nraise Bad",
            "Bad: its text cannot be shown: ZeroDivisionError (mine.py, line 3)",
        ),
    ],
)
def test_an_exception_is_its_class_its_text_and_its_place(code: str, described: str) -> None:
    assert describe(_caught(code)) == described


def test_a_bare_assertion_is_described_by_its_line() -> None:
    try:
        assert len("abc") == 4
    except AssertionError as error:
        error.args = ()  # what pytest wrote into it
        line = error.__traceback__.tb_lineno if error.__traceback__ else 0
        assert describe(error) == f'AssertionError: assert len("abc") == 4 (test_errors.py, line {line})'


class Needs(gym.Env):
    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, size: int, **rest: int) -> None:
        len(size)  # type: ignore[arg-type]


class Many:
    """What PettingZoo's environments look like."""

    possible_agents = ("a", "b")


gym.register("Needs-v0", Needs)
gym.register("Many-v0", Many)


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("Needs-v0", None, r"^environment: 'Needs-v0' cannot be made: TypeError: .*missing 1 .*'size'.*_kwargs$"),
        ("Needs-v0", {"size": 3}, r"^environment: .* TypeError: object of .* no len\(\) \(test_errors.py, line \d+\)$"),
        ("CartPole-v1", {"weight": 3}, r"^environment_kwargs: 'CartPole-v1' refuses \{'weight': 3\}: .*'weight'$"),
        ("Many-v0", None, r"^environment: .*a multi-agent environment, as in PettingZoo: wrap it"),
    ],
)  # fmt: skip
def test_what_fails_while_an_environment_is_made_is_named_with_its_mend(name: str, kwargs: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Trainer(Config(environment=name, environment_kwargs=kwargs))  # type: ignore[arg-type]
