"""Hypothesis strategies for odd environments and their runs.

Most of an example is plain: a random nested space, a random action space, and a few oddities at most, so that a failure
shows its cause. Problems that take long to learn are not drawn; a comment gives the reason.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.odd.answers import FLAGS, MASK_FORMS, RETURNS, REWARDS
from tests.odd.environment import ENDINGS, MASKS, UNREADABLE, WRAPPERS
from tests.odd.faults import BROKEN, CALLS, EXCEPTIONS
from tests.odd.habits import HABITS
from tests.odd.problems import Box, Discrete, Leaf, MultiBinary, MultiDiscrete, Node, Odd, leaf, leaves_of
from tests.odd.unsupported import SPACES


@dataclass(frozen=True)
class Case:
    """An odd environment and its run.

    Attributes:
        odd: The environment.
        settings: Settings of the run, besides those that make it short.
        wrappers: Names from :data:`WRAPPERS`.
        has_folder: Whether the run is saved.
        is_repeated: Whether the run is repeated with a stop and a resume, and must have the same result.
        is_compared: Whether a plain twin must train to the same weights.
    """

    odd: Odd
    settings: dict[str, Any]
    wrappers: tuple[str, ...] = ()
    has_folder: bool = False
    is_repeated: bool = False
    is_compared: bool = False


FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
BOUNDS = ["close", "far", "half", "none"]
NAMES = ["position", "hand", "0", "a b", "größe", "observation"]

# Middle and spread of numbers, and the dtypes with enough precision for them.
SCALES: list[tuple[float, float, list[str]]] = [
    (0.0, 1.0, FLOATS),
    (0.5, 0.5, FLOATS),
    (100.0, 10.0, FLOATS),
    (0.0, 1e-3, FLOATS),
    (0.0, 1e6, ["float32", "float64"]),
    (1e8, 1e7, ["float32", "float64"]),
    (1.7e9, 10.0, ["float64"]),
    (2, 2, INTEGERS),
    (60, 60, INTEGERS),
    (0, 100, ["int8", "int16", "int32", "int64"]),
    (2**40, 2**30, ["int64", "uint64"]),
    (1_700_000_000, 10, ["int64", "uint64", "uint32", "int32"]),
]
SHAPES = [[], [1], [2], [3], [2, 2], [1, 1, 2]]
GRIDS = [[5, 5, 1], [1, 5, 5], [4, 6, 2], [3, 8, 8], [6, 9, 3]]
PICTURES = [[36, 36], [36, 40, 3], [1, 40, 36]]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Numbers of any dtype, scale and bounds."""
    middle, spread, dtypes = draw(st.sampled_from(SCALES))
    return Box(
        draw(st.sampled_from(SHAPES)),
        draw(st.sampled_from(dtypes)),
        middle,
        spread,
        draw(st.sampled_from(BOUNDS)),
    )


@st.composite
def images(draw: st.DrawFn) -> Box:
    """Grids and, rarely, pictures, which train slowly."""
    shape = draw(st.sampled_from(GRIDS * 6 + PICTURES))
    middle, spread, dtype, bounds = draw(
        st.sampled_from(
            [
                (127.5, 127.5, "uint8", "close"),
                (0.5, 0.5, "uint8", "close"),
                (0.5, 0.5, "float32", "close"),
                (0.0, 1.0, "float32", "none"),
                (0.5, 0.5, "bool", "close"),
                (2, 2, "int64", "close"),
            ]
        )
    )
    return Box(shape, dtype, middle, spread, bounds, is_image=True)


@st.composite
def categories(draw: st.DrawFn) -> Discrete:
    """A category, counted from anywhere."""
    dtype = draw(st.sampled_from(["int64", "int64", "int32", "int8", "uint8"]))
    start = draw(st.sampled_from([0, 0, 1, 5] if dtype[0] == "u" else [0, 0, 1, -3]))
    return Discrete(draw(st.integers(2, 4)), start, dtype)


@st.composite
def several(draw: st.DrawFn) -> MultiDiscrete | MultiBinary:
    """Several choices in one array."""
    if draw(st.booleans()):
        return MultiBinary(draw(st.sampled_from([[1], [3], [2, 2]])))
    sizes = draw(st.sampled_from([[2], [3, 2], [2, 2, 2], [[2, 3], [2, 2]]]))
    dtype = draw(st.sampled_from(["int64", "int64", "int32", "int8", "uint8"]))
    return MultiDiscrete(sizes, draw(st.sampled_from([0, 0, 2])), dtype)


def parts() -> st.SearchStrategy[Leaf]:
    """A part of an observation."""
    return st.one_of(boxes(), boxes(), categories(), several(), st.just(Box([2], "bool", 0.5, 0.5)))


def _nested(leaves: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=2).map(lambda d: {"Dict": d}),
            st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"Tuple": parts}),
        ),
        max_leaves=3,
    )


@st.composite
def observations(draw: st.DrawFn) -> Node:
    """An observation space: three parts at most, and one image at most."""
    match draw(st.integers(0, 11)):
        case 10:
            return leaf(draw(images()))
        case 11:
            return {"Dict": {"camera": leaf(draw(images())), "inside": leaf(draw(parts()))}}
        case _:
            return draw(_nested(parts().map(leaf)))


def actions() -> st.SearchStrategy[Node]:
    """An action space of four choices at most: each more takes longer to learn."""
    nested = _nested(st.one_of(categories(), st.just(MultiBinary([1])), st.just(MultiDiscrete([2]))).map(leaf))
    return st.one_of(categories().map(leaf), several().map(leaf), nested)


def needs_normalization(observation: Node) -> bool:
    """Whether numbers are so large, small or far from zero that `check` says to normalise them."""
    numbers = [part for part in leaves_of(observation) if isinstance(part, Box) and part.dtype != "bool"]
    return any(abs(part.middle) + part.spread > 8 or part.spread < 0.1 for part in numbers)


MASK_PLACES = [place for place in MASKS if place not in (None, UNREADABLE)]
FORMS_IN_OBSERVATIONS = [form for form, (_, dtype) in MASK_FORMS.items() if dtype is not None]


@st.composite
def environments(draw: st.DrawFn) -> Odd:
    """A sound environment with a few odd things."""
    observation = draw(observations())
    odd = Odd(
        observation,
        draw(actions()),
        signal=draw(st.integers(0, len(list(leaves_of(observation))) - 1)),
        length=draw(st.sampled_from([1, 2, 4, 7])),
    )
    oddities = draw(
        st.lists(
            st.sampled_from(["returns", "reward", "flags", "mask", "habits", "ends", "alone"]), max_size=3, unique=True
        )
    )
    for oddity in oddities:
        match oddity:
            case "returns":
                odd = replace(odd, returns=draw(st.sampled_from(list(RETURNS))))
            case "reward":
                odd = replace(odd, reward=draw(st.sampled_from(list(REWARDS))))
            case "flags":
                odd = replace(odd, flags=draw(st.sampled_from(list(FLAGS))))
            case "mask":
                place = draw(st.sampled_from(MASK_PLACES))
                within = place == 'observation["action_mask"]'
                forms = FORMS_IN_OBSERVATIONS if within else list(MASK_FORMS)
                odd = replace(odd, mask=place, mask_form=draw(st.sampled_from(forms)))
            case "habits":
                habit = st.tuples(st.sampled_from(list(HABITS)), st.sampled_from(CALLS[:3]))
                odd = replace(
                    odd, habits=tuple(draw(st.lists(habit, min_size=1, max_size=2, unique_by=lambda h: h[0])))
                )
            case "ends":
                odd = replace(odd, ending=draw(st.sampled_from(ENDINGS)))
            case "alone":
                odd = replace(odd, excludes_another=True)
    if odd.mask == 'info["action_mask"], and of nothing after the last step' and odd.ending.startswith("max"):
        odd = replace(odd, ending="terminated")  # the environment itself does not know which step is the last
    if {"warns", "makes warnings errors"} <= {what for what, _ in odd.habits}:
        odd = replace(odd, habits=odd.habits[:1])  # together they raise an exception
    if odd.reward in ("an int", "a bool"):  # such a reward says too little about several choices
        odd = replace(odd, action=leaf(draw(categories())))
    return odd


@st.composite
def runs(draw: st.DrawFn, odd: Odd) -> dict[str, Any]:
    """Settings of a run, besides those that make it short."""
    settings: dict[str, Any] = {"seed": draw(st.integers(0, 99))}
    has_image = any(isinstance(part, Box) and part.is_image for part in leaves_of(odd.observation))
    if has_image:  # at the learning rate of the others, the units of a CNN die
        settings["learning_rate"] = 0.003
    if odd.excludes_another:
        settings |= {"num_envs": 1, "num_steps": 128}
    if draw(st.integers(0, 3)) == 0 and not has_image:  # images are slow with one optimizer step per epoch
        settings["algorithm"] = "a2c"
    if needs_normalization(odd.observation) or draw(st.integers(0, 4)) == 0:
        settings["normalize_observations"] = True
    extra = draw(st.sampled_from(["", "", "", "stack", "rewards", "gru", "eager", "evaluates", "workers", "shared"]))
    if extra == "stack" and not has_image:  # frames of images are slow
        settings["frame_stack"] = 2
    if extra == "rewards":
        settings["normalize_rewards"] = True
    if extra == "gru" and not has_image and settings.get("algorithm") != "a2c":  # one step per epoch is too slow
        settings |= {"memory": "gru", "learning_rate": 0.004, "num_minibatches": 1 if odd.excludes_another else 4}
    if extra == "eager" and settings.get("algorithm") != "a2c":
        settings["backend"] = "eager"
    if extra == "evaluates":
        settings |= {"evaluation_interval": 2}
    if extra in ("workers", "shared") and not odd.excludes_another and draw(st.integers(0, 2)) == 0:  # slow to start
        settings |= {"vectorization": extra, "workers": 2}
    return settings


@st.composite
def sound_cases(draw: st.DrawFn) -> Case:
    """Environments whose runs reach the optimum."""
    odd = draw(environments())
    settings = draw(runs(odd))
    wrappers: tuple[str, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        wrappers = tuple(draw(st.lists(st.sampled_from(list(WRAPPERS)), min_size=1, max_size=2, unique=True)))
    ways = draw(st.sampled_from(["", "", "folder", "repeated", "compared"]))
    return Case(odd, settings, wrappers, ways in ("folder", "repeated"), ways == "repeated", ways == "compared")


@st.composite
def refused_cases(draw: st.DrawFn) -> Case:
    """Environments that are refused, or that fail."""
    odd = Odd(draw(st.one_of(parts().map(leaf), observations())), draw(actions()))
    kind = draw(st.sampled_from(["exception", "exception", "broken", "unsupported", "masks"]))
    after = draw(st.sampled_from([1, 2, 3, 20, 120, 400]))
    if kind == "exception":
        call = draw(st.sampled_from(CALLS))
        if call == "mask":
            places = [place for place in MASK_PLACES if "observation" not in place]
            odd = replace(odd, mask=draw(st.sampled_from(places)))
        # A run makes few of the other calls.
        after = after if call in ("reset", "step", "mask") else min(after, 3)
        odd = replace(odd, fault=draw(st.sampled_from(EXCEPTIONS)), fault_call=call, fault_after=after)
    elif kind == "broken":
        name = draw(st.sampled_from(list(BROKEN)))
        if "whole numbers" in name:
            odd = replace(
                odd,
                observation=leaf(
                    Box([2], draw(st.sampled_from(["int8", "int16", "int32", "uint8", "uint16", "uint32"])), 2, 2)
                ),
            )
        if "NaN" in name or "infinite" in name:
            odd = replace(odd, observation=leaf(draw(boxes().filter(lambda box: box.dtype in FLOATS))))
        if "mask" in name:
            odd = replace(odd, action=leaf(Discrete(2)), mask='info["action_mask"]')
        call = draw(st.sampled_from(BROKEN[name].calls))
        odd = replace(odd, fault=name, fault_call=call, fault_after=after)
    elif kind == "masks":
        odd = replace(odd, mask=UNREADABLE)
    else:
        odd = replace(odd, unsupported=draw(st.sampled_from(list(SPACES))))
    return Case(odd, draw(runs(odd)), has_folder=draw(st.booleans()))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Two sound environments for each one that is refused."""
    return draw(sound_cases() if draw(st.integers(0, 2)) else refused_cases())
