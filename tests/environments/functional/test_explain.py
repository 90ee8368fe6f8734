"""Why a function cannot be compiled: one line with the function, the user's line, the reason and a remedy."""

from pathlib import Path
from typing import Any

import pytest

from actor_critic.environments.functional.compiled import Kernel
from actor_critic.environments.functional.compiled.explain import explain
from actor_critic.errors import ConfigError
from tests.environments.functional.problems import line_of, make, source

MISTAKES: dict[str, tuple[str, str, str]] = {
    "a text": (source("x = 'a'.format(1)"), "format(1)", "text has no 'format' in compiled code"),
    "an f-string": (
        source("x = f'{state.position:.2f}'"),
        "f'{",
        "it formats a number in an f-string; leave texts",
    ),
    "a method of its class": (
        source("x = Walk.render(1, 2)"),
        "Walk.render",
        "it uses the class Walk; functions",
    ),
    "a class attribute": (
        source("x = Walk.SCALE"),
        "Walk.SCALE",
        "it uses the class Walk; functions cannot",
    ),
    "self": (source("x = self.SCALE"), "self.SCALE", "the name 'self' is not defined"),
    "a name that is not defined": (source("x = speed"), "= speed", "the name 'speed' is not defined"),
    "print with a file": (source("print(1, file=None)"), "print(1", "print takes only the values to print"),
    "a field": (source("x = state.speed"), "state.speed", "the state has no 'speed'; it has position, stock, steps"),
    "a stored field": (
        source("state.speed = 1.0"),
        "state.speed",
        "the state has no 'speed'; it has position, stock",
    ),
    "a parameter": (source("x = parameters.cost"), "parameters.cost", "parameters has no 'cost'; it has gain, sizes"),
    "a method of random": (
        source("x = random.gauss(0.0, 1.0)"),
        "random.gauss",
        "random has no 'gauss'; it has uniform, integers, normal, exponential, poisson, choice, shuffle",
    ),
    "another library": (
        source("x = json.dumps(1)", top="import json"),
        "json.dumps",
        "json.dumps is not available in compiled code, which may use NumPy and math",
    ),
    "an import": (source("import copy"), "import copy", "it imports a module; import it at the top of the file"),
    "an exception that is caught": (
        source("try:\n    x = 1.0\nexcept ValueError as error:\n    x = str(error)"),
        "except ValueError",
        "it catches an exception; test the values with if",
    ),
    "a with statement": (source("with np.errstate(all='ignore'):\n    x = 1"), "with np", "it uses a with statement"),
    "a global list": (
        source("x = TABLE[action]", top="TABLE = [1, 2]"),
        "TABLE[action]",
        "the global TABLE is a list, which compiled code cannot use; make it a tuple or a NumPy array",
    ),
    "a global dict": (
        source("x = NAMES['a']", top="NAMES = {'a': 1}"),
        "NAMES['a']",
        "the global NAMES is a dict, which compiled code cannot use; make it a tuple or a NumPy array",
    ),
    "an object": (
        source("x = CONFIG.size", top="class C:\n    size = 3\n\n\nCONFIG = C()"),
        "CONFIG.size",
        "the global CONFIG is a C, which compiled code cannot use; expected numbers, tuples of numbers, NumPy arrays",
    ),
    "a star": (source("a, *b = state.stock"), "a, *b", "it unpacks with a star (a, *b = ...); use indices or slices"),
    "a generator": (
        source("x = any(s > 3 for s in state.stock)"),
        "any(",
        "it uses a generator expression; write a",
    ),
    "an empty dict": (source("x = dict()"), "dict()", "the type of an empty dict is unknown; use an array"),
    "two types": (
        source("x = 0\nif action == 1:\n    x = state.stock\ny = x"),
        "y = x",
        "the variable x is 0 in one place and array of float64 in another; give it one type",
    ),
    "results of two types": (
        source("if action == 1:\n    return 1.0, True, 3"),
        "return 1.0, abs",
        "it returns values of different types: ",
    ),
    "NumPy's clip": (source("x = np.clip(state.position, -1, 1)"), "np.clip", "write min(max(x, low), high)"),
    "an argument of NumPy": (
        source("x = np.sum(state.stock, where=True)"),
        "np.sum",
        "sum(array of float64, where",
    ),
    "math of an array": (
        source("x = math.exp(state.stock)"),
        "math.exp",
        "exp(array of float64) is not possible",
    ),
    "an array that is replaced": (
        source("state.stock = state.stock * 0.5"),
        "state.stock =",
        "nothing can replace the array state.stock; write state.stock[:] = ...",
    ),
    "an index of a number": (source("x = action[0]"), "action[0]", "int64 has no entries, so it cannot be indexed"),
    "a mistake in a helper": (
        source(sum="position + (action - 1) * STEP * speed"),
        "* speed",
        "the name 'speed' is not defined",
    ),
}


PARTS = {
    "a part": ("out.sped = 1", "out has no 'sped'; it has image, speed"),
    "an array that is replaced": ("out.image = 3", "nothing can replace the array out.image; write out.image[:] = ..."),
    "a position": (
        "for k in range(2): out[k] = 1",
        "the index of a record is a variable; expected a constant, such as",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_mistake_with_a_part_of_an_observation_is_one_line(name: str, folder: Path) -> None:
    shown, reason = PARTS[name]
    space = "gym.spaces.Dict(image=gym.spaces.Box(0, 9, (2, 3), np.uint8), speed=gym.spaces.Box(0, 1, ()))"
    text = source(space=space, shown=shown)
    found = _explained(make(folder, text), "observation")
    assert found.startswith("environment: Walk.observation (walk_")
    assert f"line {line_of(text, shown)}) cannot be compiled: {reason}" in found


def _explained(environment: Any, function: str = "transition") -> str:
    functions = {function: environment.functions[function]}
    with pytest.raises(ConfigError) as caught:
        explain(functions, environment.layout, ValueError("unknown"))
    return str(caught.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_a_remedy(name: str, folder: Path) -> None:
    text, place, reason = MISTAKES[name]
    found = _explained(make(folder, text))
    assert found.startswith("environment: Walk.transition (walk_")
    assert f".py, line {line_of(text, place)}) cannot be compiled: " in found
    assert reason in found
    assert found.endswith("; --vectorization sync trains in Python as it is")
    assert "\n" not in found
    assert len(found) < 400


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("1.0", "returns float64; expected a number and a bool: return reward, terminated"),
        ("state.stock, True", "returns tuple of (array of float64, True); expected"),
        ("1.0, None", "returns tuple of (float64, None); expected"),
    ],
)
def test_a_result_that_is_no_pair_is_explained(result: str, words: str, folder: Path) -> None:
    assert words in _explained(make(folder, source(result=result)))


@pytest.mark.parametrize(
    ("top", "line"),
    [("", "x = np.random.uniform()"), ("import random as dice", "x = dice.random()"),
     ("from numpy.random import rand", "x = rand()")],
)  # fmt: skip
def test_random_numbers_of_others_are_refused(top: str, line: str, folder: Path) -> None:
    environment = make(folder, source(line, top=top))
    with pytest.raises(ConfigError) as caught:
        Kernel(environment.functions, environment.layout)
    assert "transition (walk_" in str(caught.value)
    assert "draws random numbers that the seed of an episode does not determine; use the argument random" in str(
        caught.value
    )
