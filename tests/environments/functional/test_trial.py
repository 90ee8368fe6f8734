"""What a trial of an environment's functions finds: one line that names the place, the value and what is expected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actor_critic.environments.functional import PythonExecutor, Trial, try_functions
from actor_critic.errors import ConfigError
from tests.environments.functional.problems import line_of, load, make, source


def _try(environment: Any, compiled: Any = None, steps: int = 30) -> Trial:
    return try_functions(environment, compiled, steps=steps, seconds=30.0)


DICT = (
    "gym.spaces.Dict({'image': gym.spaces.Box(0, 200, (2, 3), np.uint8), 'speed': gym.spaces.Box(-1, 1, ()), "
    "'in ner': gym.spaces.Tuple([gym.spaces.Dict(size=gym.spaces.Box(-1, 1, (2,))), gym.spaces.Discrete(4)])})"
)

WRONG = {
    "an index outside a field": (
        source("state.stock[3] = 1.0"),
        "step 1: transition raised IndexError: index 3 is out of bounds for axis 0 with size 3 (walk_",
    ),
    "an index outside an observation": (
        source(observation="out[2] = 1.0"),
        "step 0: observation raised IndexError: index 2 is out of bounds",
    ),
    "a field that is not there": (
        source("state.speed = 1.0"),
        "transition raised AttributeError: 'record' object has no attribute 'speed' (walk_",
    ),
    "a division by zero": (source("x = 1 / 0"), "transition raised ZeroDivisionError: division by zero (walk_"),
    "a method of random that is not there": (
        source("random.gauss()"),
        "AttributeError: 'Random' object has no attribute 'gauss' (walk_",
    ),
    "a reward of NaN": (source(result="math.nan, False"), "returned the reward nan; expected a finite number"),
    "a reward beyond float32": (source(result="1e39, False"), "returned the reward 1e+39; expected a finite number"),
    "a reward beyond every float": (source(result="10**400, False"), "returned the reward 1000000000000000000000000"),
    "no number as reward": (source(result="None, False"), "returned the reward None; expected a finite number"),
    "an array as reward": (source(result="state.stock, False"), "returned the reward array([0., 0., 0.]); expected"),
    "an integer as terminated": (source(result="1.0, 1"), "returned terminated as 1; expected True or False"),
    "a reward alone": (source(result="1.0"), "returned 1.0; expected a pair: return reward, terminated"),
    "three values": (source(result="1.0, False, False"), "returned (1.0, False, False); expected a pair"),
    "nothing returned": (source(result=""), "returned None; expected a pair"),
    "a state of NaN": (
        source("state.stock[1] = np.log(-1.0)"),
        "step 1: transition wrote state.stock[1] = nan; expected a finite number",
    ),
    "an infinite state": (source("state.position = math.inf"), "transition wrote state.position = inf; expected"),
    "an observation of NaN": (source(observation="out[1] = math.nan"), "observation wrote out[1] = nan; expected a fi"),
    "an observation outside its bounds": (
        source(observation="out[1] = 11.0"),
        "observation wrote out[1] = 11.0; expected -10 to 10, the bounds in observation_space",
    ),
    "a category too high": (
        source(space="gym.spaces.MultiDiscrete([3, 4])", shown="out[1] = 4"),
        "observation wrote out[1] = 4; expected 0 to 3, the bounds in observation_space",
    ),
    "a category below its start": (
        source(space="gym.spaces.Discrete(3, start=2)", shown="out[0] = 1"),
        "observation wrote out[0] = 1; expected 2 to 4",
    ),
    "a part outside its bounds": (
        source(space=DICT, shown="out.image[0, 1] = 300 if state.steps else 201"),
        'wrote out.image[0, 1] = 201; expected 0 to 200, the bounds in observation_space["image"]',
    ),
    "a category of a Tuple in a Dict": (
        source(space=DICT, shown='out["in ner"][1] = 4'),
        'wrote out["in ner"][1] = 4; expected 0 to 3, the bounds in observation_space["in ner"][1]',
    ),
    "a part of NaN": (
        source(space=DICT, shown='out["in ner"][0]["size"][1] = math.nan'),
        'wrote out["in ner"][0]["size"][1] = nan; expected a finite number',
    ),
    "a part of one number": (source(space=DICT, shown="out.speed = -math.inf"), "wrote out.speed = -inf; expected a f"),
    "a part whose key is a keyword": (
        source(space="gym.spaces.Dict({'class': gym.spaces.Discrete(3)})", shown='out["class"] = 3'),
        'wrote out["class"] = 3; expected 0 to 2, the bounds in observation_space["class"]',
    ),
    "an index outside a part": (
        source(space=DICT, shown="out.image[2, 0] = 1"),
        "observation raised IndexError: index 2 is out of bounds for axis 0 with size 2 (walk_",
    ),
    "a part that is not there": (
        source(space=DICT, shown="out.sped = 1"),
        "the state has the fields position, stock, steps, "
        'out has out.image, out["in ner"][0]["size"], out["in ner"][1], out.speed, and parameters are in parameters',
    ),
    "a position that is not there": (source(space=DICT, shown='out["in ner"][2] = 1'), "IndexError: invalid index (2)"),
    "a mask of nothing": (
        source(mask="mask[:] = False"),
        "action_mask wrote [0, 0, 0], which allows no action; expected at least one True for every choice",
    ),
    "an observation that changes the state": (
        source(observation="state.steps += 1"),
        "observation changed the state; expected that only initial and transition change it",
    ),
    "changed parameters": (
        source("parameters.gain = 3.0"),
        "transition changed parameters; expected them unchanged",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_line_with_its_place(name: str, folder: Path) -> None:
    text, words = WRONG[name]
    environment = make(folder, text)
    problem = _try(environment).problem
    assert problem is not None
    assert problem.startswith("Walk: environment 0, episode 0, step ")
    assert words in problem
    assert "\n" not in problem


def test_an_exception_names_the_users_line(folder: Path) -> None:
    text = source("state.speed = 1.0")
    problem = _try(make(folder, text)).problem
    assert problem is not None
    assert f"line {line_of(text, 'state.speed')}); the state has the fields position, stock, steps" in problem


def test_the_place_is_the_environment_the_episode_and_the_step(folder: Path) -> None:
    late = source("state.steps += 1\nif state.steps == 3 and state.stock[0] == 1.0:\n    state.position = math.nan",
                  initial="def initial")  # fmt: skip
    late = late.replace(
        "state.position = random", "state.stock[0] = random.integers(0, 2)\n        state.position = random"
    )
    problem = _try(make(folder, late), steps=100).problem
    assert problem is not None
    assert ", step 3: transition wrote state.position = nan" in problem


@pytest.mark.parametrize("written", ["10.000001", "-10.000001", "10.0"])
def test_rounding_at_a_bound_is_no_mistake(written: str, folder: Path) -> None:
    found = _try(make(folder, source(observation=f"out[1] = {written}")))
    assert found.problem is None
    assert found.steps == 90
    assert found.episodes > 0


@pytest.mark.parametrize(
    ("space", "written"),
    [
        ("gym.spaces.Box(0, 2**64 - 1, (2,), np.uint64)", "2**64 - 1"),
        ("gym.spaces.Box(0, 1, (2,), np.bool_)", "True"),
        ("gym.spaces.Box(-np.inf, np.inf, (2,))", "1e38"),
        ("gym.spaces.Box(-128, 127, (2,), np.int8)", "-128"),
        ("gym.spaces.MultiBinary(2)", "1"),
    ],
)
def test_the_bounds_of_every_type_are_inside(space: str, written: str, folder: Path) -> None:
    assert _try(make(folder, source(space=space, shown=f"out[0] = {written}"))).problem is None


def test_a_trial_ends_in_time(folder: Path) -> None:
    slow = make(folder, source("time.sleep(0.01)", top="import time"))
    found = try_functions(slow, None, steps=10_000, seconds=0.1)
    assert 3 <= found.steps <= 60


DIFFERENT = {
    "state.position": "state.position = moved(state.position, action) + 1.0",
    "state.stock[2]": "state.stock[2] = 7.0",
    "state.steps": "state.steps += 1",
    "the number of drawn random numbers": "random.uniform()",
}


@pytest.mark.parametrize("field", DIFFERENT)
def test_the_first_difference_is_named_with_both_values(field: str, folder: Path) -> None:
    one, other = make(folder, source()), make(folder, source(DIFFERENT[field]))
    difference = _try(one, PythonExecutor(other)).difference
    assert difference is not None
    assert difference.text.startswith("Walk: environment 0, episode 0, step 1: " + field + " is ")
    assert " in Python and " in difference.text
    assert not difference.is_rounding


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"result": "2.0, abs(state.position) > 2.0"}, "step 1: reward is 1.0 in Python and 2.0 in compiled code"),
        ({"result": "1.0, True"}, "step 1: terminated is False in Python and True in compiled code"),
        ({"observation": "out[1] = 0.5"}, "step 0: observation[1] is 0.0 in Python and 0.5 in compiled code"),
        ({"mask": "mask[2] = False"}, "step 0: action_mask[2] is True in Python and False in compiled code"),
    ],
)
def test_outputs_are_compared_too(replaced: dict[str, str], words: str, folder: Path) -> None:
    difference = _try(make(folder, source()), PythonExecutor(make(folder, source(**replaced)))).difference
    assert difference is not None
    assert words in difference.text


def _with_an_empty_cell(transition: Any) -> Any:
    def wrapped(state: Any, action: Any, random: Any, parameters: Any) -> Any:
        return transition(state, action, random, parameters) if state.steps >= 0 else never

    if transition is None:
        never = 0.0, True
    return staticmethod(wrapped)


def test_a_function_of_a_variable_that_is_not_set_is_compared(folder: Path) -> None:
    walk = load(folder, source()).Walk
    own = type("Walk", (walk,), {"transition": _with_an_empty_cell(walk.transition)})
    difference = _try(own(), PythonExecutor(make(folder, source("state.steps += 1")))).difference
    assert difference is not None
    assert "state.steps is 0 in Python and 1 in compiled code" in difference.text


def test_a_difference_in_rounding_is_told_apart_with_its_reason(folder: Path) -> None:
    powers = make(folder, source("state.position = 0.5 * state.position ** 3"))
    other = make(folder, source("state.position = 0.5 * (state.position * state.position * state.position)"))
    difference = _try(powers, PythonExecutor(other), steps=100).difference
    assert difference is not None
    assert difference.is_rounding
    assert "round in another way in compiled code: x ** n (write x * x)" in difference.text


def test_small_types_are_the_likely_reason(folder: Path) -> None:
    small = source(state='np.dtype([("position", np.float32), ("stock", float, (3,)), ("steps", int)])')
    other = small.replace("return position +", "return np.float32(1e-7) + position +")
    difference = _try(make(folder, small), PythonExecutor(make(folder, other)), steps=100).difference
    assert difference is not None
    assert difference.is_rounding
    assert difference.text.endswith(
        "Python calculates with state.position in float32, compiled code in 64 bits: use float64 and int64"
    )


CLASSES = {
    "a method": (source(static="def transition"), "Walk.transition is not a static method; expected a static method: "),
    "missing": (source(initial="def begin"), "Walk has no function initial; expected a static method: @staticmethod "),
    "arguments": (
        source(arguments="transition(state, action, parameters)"),
        "Walk.transition takes the arguments (state, action, parameters); expected a static method: @staticmethod def "
        "transition(state, action, random, parameters)",
    ),
    "mask": (source(masking="def action_masks"), "Walk has no function action_masks; expected the name action_mask"),
    "render": (source(drawing="def render"), "Walk.render is not a static method; expected @staticmethod def render("),
    "state of text": (source(state='np.dtype([("name", "U5")])'), "Walk.state.name has the dtype <U5; expected a str"),
    "state of float16": (source(state='np.dtype([("a", np.float16)])'), "Walk.state.a has the dtype float16; expected"),
    "state of flags": (source(state='np.dtype([("a", bool, (2,))])'), "Walk.state.a is an array of bool"),
    "a number as state": (source(state="5"), "Walk.state is 5: Cannot interpret '5' as a data type; expected a struct"),
    "an empty state": (source(state="((0,), float)"), "which is empty; expected a structured dtype"),
    "no state": (source(state="None"), "Walk.state is None; expected a structured dtype"),
    "space": (
        source(space="gym.spaces.Text(3)"),
        "observation_space is Text(1, 3, charset=0123456789ABCDEFGHIJKLMNOPQRS",
    ),
    "an empty space": (
        source(space="gym.spaces.Dict()"),
        "observation_space: the space Dict() is empty; expected at least",
    ),
    "a part of text": (
        source(space="gym.spaces.Dict(a=gym.spaces.Discrete(2), b=gym.spaces.Tuple([gym.spaces.Text(3)]))"),
        'Walk.observation_space["b"][0] is a Text, which functions cannot write; leave it out, or use a Box of numbers',
    ),
    "a part of flags": (
        source(space="gym.spaces.Dict(a=gym.spaces.Box(0, 1, (2,), bool))"),
        'Walk.observation_space["a"] is an array of bool, which compiled code cannot have in a Dict or Tuple; use Mult',
    ),
    "16 bits": (
        source(space="gym.spaces.Box(0, 1, (2,), np.float16)"),
        "Walk.observation_space has the dtype float16; expected bool, integers, float32 or float64; use dtype=np.f",
    ),
    "a part of 16 bits": (
        source(space="gym.spaces.Tuple([gym.spaces.Box(0, 1, (2,), np.float16)])"),
        "Walk.observation_space[0] has the dtype float16; expected bool, integers, float32 or float64; use dtype=np",
    ),
    "a part for the mask": (
        source(space="gym.spaces.Dict(a=gym.spaces.Discrete(2), action_mask=gym.spaces.MultiBinary(3))"),
        'Walk.observation_space["action_mask"] would be the mask; leave it out, and define the function action_mask',
    ),
    "actions": (
        source(actions="gym.spaces.Box(0, 1)"),
        "Walk.action_space is Box(0.0, 1.0, (1,), float32); expected Discrete, MultiDiscrete, MultiBinary",
    ),
    "constructor": (
        source(inside="def __init__(self, render_mode=None):\n    self.size = 3"),
        "the constructor of Walk sets no parameters; expected it to call super().__init__(render_mode, **parameters)",
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_is_not_as_it_should_be_is_one_error(name: str, folder: Path) -> None:
    text, words = CLASSES[name]
    with pytest.raises(ConfigError) as caught:
        _try(make(folder, text))
    assert words in str(caught.value)
    with pytest.raises(ConfigError):
        make(folder, text).reset()


def test_a_difference_names_the_part(folder: Path) -> None:
    for text, words in (
        (
            source(space=DICT, shown="out.image[1, 2] = 7"),
            'observation["image"][1, 2] is 0 in Python and 7 in compiled',
        ),
        (source(space=DICT, shown="out.speed = 0.5"), 'observation["speed"] is 0.0 in Python and 0.5 in compiled'),
    ):
        one = make(folder, source(space=DICT, shown="pass"))
        difference = _try(one, PythonExecutor(make(folder, text))).difference
        assert difference is not None
        assert f"step 0: {words}" in difference.text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speed": 1.0}, "environment_kwargs: Walk has no parameter 'speed'; its parameters: gain, sizes"),
        ({"gain": "fast"}, "environment_kwargs: gain='fast' of Walk; expected float64"),
        ({"gain": [1.0]}, "environment_kwargs: gain=[1.0] of Walk; expected float64"),
        ({"gain": float("nan")}, "environment_kwargs: gain=nan of Walk; expected finite numbers"),
        ({"sizes": 3}, "environment_kwargs: sizes=3 of Walk; expected int64 with 1 axes"),
        ({"sizes": [1.5]}, "environment_kwargs: sizes=[1.5] of Walk; expected int64 with 1 axes"),
        ({"sizes": []}, "environment_kwargs: sizes=[] of Walk; expected int64 with 1 axes"),
    ],
)
def test_wrong_parameters_are_one_error(given: dict[str, Any], words: str, folder: Path) -> None:
    kind = load(folder, source()).Walk
    with pytest.raises(ConfigError) as caught:
        kind(**given)
    assert str(caught.value) == words
    assert kind(gain=3, sizes=[4, 5]).parameters.sizes.tolist() == [4, 5]


def test_a_default_that_is_no_number_is_one_error(folder: Path) -> None:
    for default in ("'fast'", "[True, False]", "None"):
        text = source().replace('"gain": 2.0', f'"gain": {default}')
        with pytest.raises(
            ConfigError, match=r"the parameter 'gain' of Walk is .* by default; expected a bool, an int"
        ):
            make(folder, text)


def test_an_instance_is_a_gymnasium_environment(folder: Path) -> None:
    environment = make(folder, source(), render_mode="ansi")
    assert environment.render() is None
    observation, info = environment.reset(seed=3)
    assert environment.observation_space.contains(observation)
    assert info["action_mask"].tolist() == [True, True, True]
    assert environment.render() == f"at {observation[0]:.1f}"
    first = [environment.step(2) for _ in range(20)]
    assert [truncated for _, _, _, truncated, _ in first] == [False] * 19 + [True]
    environment.reset(seed=3)
    again = [environment.step(np.int64(2)) for _ in range(20)]
    assert all(
        np.array_equal(one[0], other[0]) and one[1:4] == other[1:4] for one, other in zip(first, again, strict=True)
    )
