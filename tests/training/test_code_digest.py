"""Digests of code that was typed into a prompt, a notebook's cell or ``python -c``."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actor_critic.training.code_digest import source_digest
from tests import toys
from tests.nursery import Nursery

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
from actor_critic.training.code_digest import source_digest
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


CONSTANTS = """
import collections, dataclasses, enum, random, re, threading, types
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
import numpy as np
class Colour(enum.Enum):
    RED = 1
@dataclasses.dataclass(slots=True)
class Options:
    weight: int
class Slotted:
    __slots__ = ("y",)
    def __init__(self, y):
        self.y = y
class Ring:
    pass
RING = Ring()
RING.itself, RING.among = RING, {Path("r")}
PATTERN, PATH, DECIMAL, PART = re.compile("a+"), Path("p"), Decimal("1.5"), Fraction(1, 3)
DEQUE, BYTES, PROXY = collections.deque([1, 2], 3), bytearray(b"ab"), types.MappingProxyType({"a": 1})
GROUPS = collections.defaultdict(list, a=[1])
DATACLASS, SLOTS, SET = Options(4), Slotted(7), {Path("q"), Fraction(1, 2), Options, Colour.RED, (1, "a")}
RANDOM, NUMPY = random.Random(), np.random.default_rng()
def of_names(x):
    return x in {"a", "b", "c"}, ("k", 1, (2, 3))
class Scaled:
    pair = ("k", 1, (2, 3))
    def rewards(self):
        used = PATTERN, PATH, DECIMAL, PART, DEQUE, BYTES, PROXY, GROUPS, DATACLASS, SLOTS, SET, RANDOM, NUMPY, RING
        return used, of_names("rewards"), ("k", 1, (2, 3))
"""
OTHER_CONSTANTS = {
    "pattern": ('"a+"', '"b+"'), "path": ('Path("p")', 'Path("o")'), "decimal": ('"1.5"', '"1.6"'),
    "fraction": ("(1, 3)", "(1, 4)"), "deque": ("[1, 2], 3", "[1, 3], 3"), "its length": ("[1, 2], 3", "[1, 2], 4"),
    "bytes": ('b"ab"', 'b"ac"'), "proxy": ('{"a": 1}', '{"a": 2}'), "defaultdict": ("a=[1]", "a=[2]"),
    "dataclass with slots": ("Options(4)", "Options(5)"), "slots": ("Slotted(7)", "Slotted(8)"),
    "path in a set": ('Path("q")', 'Path("o")'), "enum": ("RED = 1", "RED = 2"),
    "in a ring": ('Path("r")', 'Path("s")'),
}  # fmt: skip


def _typed(sources: list[str], nursery: Nursery, tmp_path: Path) -> list[str]:
    """What a prompt says of sources that are typed in one after the other: the digest of each, and warnings."""
    script = f"""
import logging, sys
from actor_critic.training.code_digest import source_digest
logging.basicConfig(stream=sys.stdout, format="%(message)s")
for source in {sources!r}:
    exec(source)
    print(source_digest(Scaled))
"""
    return _said(nursery, tmp_path, script).splitlines()


def _said(nursery: Nursery, folder: Path, code: str, *arguments: str) -> str:
    process = nursery.python(folder, "-c", code, *arguments)
    assert process.wait() == 0, process.err
    return process.out


def test_a_digest_tells_constants_of_any_kind_apart_and_is_the_same_every_time(
    nursery: Nursery, tmp_path: Path
) -> None:
    others = [CONSTANTS.replace(*change) for change in OTHER_CONSTANTS.values()]
    known, again, *found = _typed([CONSTANTS, CONSTANTS, *others], nursery, tmp_path)
    assert known == again == _digest(CONSTANTS, tmp_path)
    assert len({known, *found}) == len(others) + 1


def test_a_value_that_a_digest_cannot_cover_is_told_once(nursery: Nursery, tmp_path: Path) -> None:
    source = CONSTANTS.replace("Options(4)", "threading.Lock()")
    warning, digest, again = _typed([source, source], nursery, tmp_path)
    assert warning == "code that was typed in uses a _thread.lock; the digest does not cover its value"
    assert digest == again


def test_a_digest_is_another_one_wherever_the_code_is(known: str, nursery: Nursery, tmp_path: Path) -> None:
    cases = CHANGES | UNCHANGED
    sources = [BASE.replace(*change) for change in cases.values()]
    assert all(source != BASE for source in sources)
    script = f"""
from actor_critic.training.code_digest import source_digest
for source in {sources!r}:
    exec(source)
    print(source_digest(Scaled))
"""
    found = dict(zip(cases, _said(nursery, tmp_path, script).split(), strict=True))
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


def test_a_run_is_resumed_with_the_code_it_began_with_and_refused_with_another(
    nursery: Nursery, tmp_path: Path
) -> None:
    assert _said(nursery, tmp_path, RUN, "train") == "resumed\n"
    assert _said(nursery, tmp_path, RUN, "resume") == "resumed\n"
    other = _said(nursery, tmp_path, RUN.replace("x / SCALE", "-x"), "resume")
    assert other.startswith("CheckpointError ")
    assert "was trained with another version of __main__:Scaled: its code has changed since" in other


def test_a_class_of_a_file_has_the_digest_of_that_file() -> None:
    assert source_digest(toys.Countdown) == hashlib.sha256(Path(toys.__file__).read_bytes()).hexdigest()
