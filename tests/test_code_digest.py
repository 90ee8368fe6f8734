"""Digests of code that was typed into a prompt, a notebook's cell or ``python -c``."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actor_critic.imports import source_digest
from tests import toys

BASE = """
import functools, types
import numpy as np
from actor_critic import RewardModel
SCALE, TABLE, SEEN = 100, np.array([1.0, 2.0]), 0
NAMES = {"a": [1, (2, 3)], "b": {"x", "y", "z"}}
OPTIONS = types.SimpleNamespace(weight=3)
def helper(x, power=2):
    return inner(x) ** power
def inner(x):
    return x / SCALE
def twice(function):
    @functools.wraps(function)
    def wrapped(*args):
        return function(*args) * 2
    return wrapped
class Parent(RewardModel):
    bonus = 1
    def extra(self):
        return self.bonus
class Scaled(Parent):
    def rewards(self, states, actions, next_states, terminated, environment_rewards):
        global SEEN
        SEEN += 1
        def of_names(name):
            return TABLE[0] * len(NAMES) * OPTIONS.weight
        return helper(environment_rewards) + self.extra() + of_names("a")
    @property
    def shown(self):
        return 1
    @staticmethod
    @twice
    def doubled(x):
        return x
"""
END = """
from actor_critic.imports import source_digest
print(source_digest(Scaled))
"""


def _digest(source: str, tmp_path: Path, how: str = "command") -> str:
    command = [sys.executable] + (["-c", source + END] if how == "command" else ["-"])
    done = subprocess.run(
        command, input=None if how == "command" else source + END, cwd=tmp_path, capture_output=True, text=True,
        check=True, env=os.environ | {"PYTHONHASHSEED": "random"},
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _digest(BASE, tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("how", ["command", "prompt"])
def test_the_same_source_has_the_same_digest_in_every_process(how: str, known: str, tmp_path: Path) -> None:
    assert known.startswith("code:")
    assert _digest("# of another place\n\n" + BASE, tmp_path, how) == known


CHANGES = {
    "constant in a helper's helper": ("x / SCALE", "x / -SCALE"),
    "global number": ("SCALE, TABLE, SEEN = 100", "SCALE, TABLE, SEEN = 50"),
    "global array": ("np.array([1.0, 2.0])", "np.array([1.0, 2.5])"),
    "inside a global dict": ("(2, 3)", "(2, 4)"),
    "inside a set": ('"z"', '"w"'),
    "inside a namespace": ("weight=3", "weight=4"),
    "default": ("power=2", "power=3"),
    "attribute of a parent": ("bonus = 1", "bonus = 2"),
    "method of a parent": ("return self.bonus", "return -self.bonus"),
    "nested function": ("TABLE[0] * len", "TABLE[1] * len"),
    "property": ("return 1\n", "return 2\n"),
    "decorator": ("(*args) * 2", "(*args) * 3"),
    "what a decorated function does": ("def doubled(x):\n        return x", "def doubled(x):\n        return -x"),
    "name that is called": ("+ self.extra()", "+ self.doubled(1)"),
}
UNCHANGED = {
    "comment": ("global SEEN", "global SEEN  # a counter"),
    "what the code assigns itself": ("np.array([1.0, 2.0]), 0", "np.array([1.0, 2.0]), 7"),
    "what nothing refers to": ("SCALE, TABLE", "OTHER = 3\nSCALE, TABLE"),
}


def test_a_digest_is_another_one_wherever_the_code_is(known: str, tmp_path: Path) -> None:
    cases = CHANGES | UNCHANGED
    sources = [BASE.replace(*change) for change in cases.values()]
    assert all(source != BASE for source in sources)
    script = f"""
from actor_critic.imports import source_digest
for source in {sources!r}:
    exec(source)
    print(source_digest(Scaled))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    found = dict(zip(cases, done.stdout.split(), strict=True))
    assert {name for name, digest in found.items() if digest == known} == set(UNCHANGED)
    assert len(set(found.values())) == len(CHANGES) + 1


RUN = (
    BASE
    + """
import sys
from actor_critic import Config, Trainer
config = Config(environment="CartPole-v1", num_envs=2, num_steps=16, num_minibatches=1, num_epochs=3, anneal_lr=False,
                hidden_dim=8, evaluation_episodes=1, replay="reset", reward_model="__main__:Scaled")
if sys.argv[1] == "train":
    for report in Trainer(config, run_folder="run"): pass
try:
    Trainer.resume("run", num_epochs=5, trust_code=True).close()
    print("resumed")
except Exception as error:
    print(type(error).__name__, error)
"""
)


def test_a_run_is_resumed_with_the_code_it_began_with_and_refused_with_another(tmp_path: Path) -> None:
    def said(source: str, what: str) -> str:
        command = [sys.executable, "-c", source, what]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert said(RUN, "train") == "resumed\n"
    assert said(RUN, "resume") == "resumed\n"
    other = said(RUN.replace("x / SCALE", "-x"), "resume")
    assert other.startswith("CheckpointError ")
    assert "was trained with another version of __main__:Scaled: its code has changed since" in other


def test_a_class_of_a_file_has_the_digest_of_that_file() -> None:
    assert source_digest(toys.Countdown) == hashlib.sha256(Path(toys.__file__).read_bytes()).hexdigest()
