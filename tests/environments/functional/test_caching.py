"""Compiled code of an environment: kept for later processes, and compiled anew when what it uses changes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actor_critic.environments.functional.compiled.user_code import UserCode
from tests.environments.functional.problems import load, source

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

REPORT = """
import json, logging, sys
from numba.core import event

events = []

class Listener(event.Listener):
    def on_start(self, found):
        function = found.data["dispatcher"].py_func
        events.append(f"{function.__module__.rpartition('.')[2]}.{function.__code__.co_name}")
    def on_end(self, found):
        pass

told = []
logging.getLogger("actor_critic").addHandler(type("H", (logging.Handler,), {"emit": lambda s, r: told.append(r.msg)})())
logging.getLogger("actor_critic").setLevel(logging.INFO)
with event.install_listener("numba:compile", Listener()):
    import numpy as np
    from actor_critic.environments.functional import FunctionalVectorEnv, make_executor
    from walk import Walk
    environment = Walk()
    executor = make_executor(environment)
    vector = FunctionalVectorEnv(environment, 2, executor)
    vector.begin(0)
    step = vector.step_indices(np.full((2, 1), 2))
print(json.dumps([executor.was_cached, sorted(set(events)), told, step.observations[:, 0].tolist()]))
"""


def _report(folder: Path) -> Any:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": f"{ROOT}:{folder}"}
    result = subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_a_second_process_compiles_nothing_and_a_changed_helper_compiles_its_environment_only(tmp_path: Path) -> None:
    (tmp_path / "walk.py").write_text(source())
    was_cached, compiled, told, first = _report(tmp_path)
    assert (was_cached, bool(compiled)) == (False, True)
    assert told == ["compiling %s: this takes some seconds, and again only if its functions change"]
    assert _report(tmp_path) == [True, [], [], first]
    (tmp_path / "walk.py").write_text(source(sum="position + (action + 1) * STEP"))
    was_cached, compiled, told, after = _report(tmp_path)
    assert not was_cached
    assert len(told) == 1
    kept = {"random.refill", "random.next_word", "random.episode_seed", "executor._step", "executor._observe"}
    assert not kept & set(compiled)
    assert any(name.startswith("walk.moved") for name in compiled)
    assert after == pytest.approx([position + 0.2 for position in first])


def _digest(folder: Path, text: str) -> str:
    code = UserCode()
    for function in load(folder, text).Walk().functions.values():
        code.compiled(function)
    return code.digest


CHANGES = {
    "a line": source("state.position += 0.5"),
    "an operator": source(result="1.0, abs(state.position) >= 2.0"),
    "a number": source(result="1.5, abs(state.position) > 2.0"),
    "a helper": source(sum="position + (action - 2) * STEP"),
    "a constant": source(step="STEP = 0.2"),
    "the type of a constant": source(step="STEP = np.float32(0.1)"),
    "a default value": source(arguments="transition(state, action, random, parameters, extra=1)"),
    "an attribute": source(shown="out[0] = state.steps"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_functions_use_is_in_the_digest(change: str, folder: Path) -> None:
    assert _digest(folder, CHANGES[change]) != _digest(folder, source())


USED = {
    "an entry of an array": ("TABLE = np.array([1.0, {}])", "state.position += TABLE[1]"),
    "a tuple": ("TABLE = (1, {})", "state.position += TABLE[1]"),
    "an enumeration": ("import enum\n\n\nclass Kind(enum.IntEnum):\n    A = {}", "state.position += Kind.A"),
    "a function in a tuple": (
        "def one(x):\n    return x * {}\n\n\nALL = (one, one)",
        "state.position += ALL[0](1.0)",
    ),
}


@pytest.mark.parametrize("name", USED)
def test_values_of_globals_are_in_the_digest_and_equal_ones_give_the_same(name: str, folder: Path) -> None:
    top, line = USED[name]
    digests = [_digest(folder, source(line, top=top.format(value))) for value in (2, 2, 3)]
    assert digests[0] == digests[1] != digests[2]


UNCHANGED = {
    "an empty line": source().replace("STEP =", "\n\nSTEP ="),
    "a comment": source("# a remark"),
    "what is not used": source(top="OTHER = object()", inside="WIDTH = 4"),
    "another field's name as a global": source(top="position = object()"),
    "render": source().replace('f"at', 'f"now at'),
}


@pytest.mark.parametrize("change", UNCHANGED)
def test_what_functions_do_not_use_is_not_in_the_digest(change: str, folder: Path) -> None:
    assert _digest(folder, UNCHANGED[change]) == _digest(folder, source())
