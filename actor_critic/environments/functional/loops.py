"""The loops over N functional environments: one source, run in plain Python or compiled.

Each template uses the names of an environment's functions and constants as global variables. ``bind`` returns the
templates with these set. Where an argument is an array of records, another one has the same memory as bytes, since
compiled code cannot set a whole record to 0.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from actor_critic.environments.functional.layout import Layout

LOOPS = ("reset", "step", "observe")

OUTSIDE = 2**32
"""What ``observe`` adds to the index of an environment whose observation has a category outside its space."""

FAILED = 2**40
"""What a compiled loop returns if a function raised an exception."""

# Set by `bind`: functions of the environment and of its random numbers, and constants of its layout.
initial: Any = None
transition: Any = None
observation: Any = None
action_mask: Any = None
number_of: Any = None
encode: Any = None
show: Any = None
random_at: Any = None
start: Any = None
episode_seed: Any = None
SIZES: Any = None
ACTION_SHAPE: Any = None
HAS_MASKS: Any = None
OUT: Any = None
OUT_SIZE: Any = None
PIECES: Any = None


def show_all(state: Any, out: Any, seen: Any, parameters: Any) -> None:
    """Write an observation; ``seen`` is the memory of ``out``, as bytes."""
    seen[:] = 0
    observation(state, out, parameters)


def show_chosen(state: Any, out: Any, seen: Any, parameters: Any) -> None:
    """Write an observation elsewhere, and copy the bytes of the chosen parts into ``seen``."""
    whole = np.zeros(OUT_SIZE, np.uint8)
    observation(state, whole.view(OUT)[0], parameters)
    for begin, end, target in PIECES:
        seen[target : target + end - begin] = whole[begin:end]


def observe(
    first: int, last: int, parameters: Any, versions: Any, states: Any, observations: Any, seen: Any, features: Any,
    masks: Any,
) -> int:  # fmt: skip
    """Write observations, features and masks of environments ``first`` to ``last`` − 1.

    Returns:
        ``OUTSIDE`` plus an environment whose observation has a category outside its space; else the first one whose
        mask allows nothing; else −1.
    """
    bad = -1
    for i in range(first, last):
        show(states[i], observations[i], seen[i], parameters[versions[i]])
        if HAS_MASKS:
            masks[i] = True
            action_mask(states[i], masks[i], parameters[versions[i]])
            place = 0
            for size in SIZES:
                allowed = False
                for j in range(place, place + size):
                    allowed = allowed or masks[i, j]
                place += size
                if not allowed and bad < 0:
                    bad = i
    outside: int = encode(first, last, seen, features)
    return bad if outside < 0 else outside + OUTSIDE


def reset(
    first: int, last: int, num_versions: int, stream: Any, parameters: Any, versions: Any, states: Any, memory: Any,
    random: Any, counts: Any,
) -> int:  # fmt: skip
    """Begin the episodes that ``counts`` [N, 2] (episode, steps) names in environments ``first`` to ``last`` − 1.

    They have the last of the ``num_versions`` parameters.
    """
    for i in range(first, last):
        counts[i, 1] = 0
        versions[i] = num_versions - 1
        memory[i] = 0
        start(random[i], episode_seed(stream[0], stream[1], stream[2], stream[3], stream[4] + i, counts[i, 0]))
        initial(states[i], random_at(random[i]), parameters[num_versions - 1])
    return -1


def step(
    first: int, last: int, num_versions: int, limit: int, stream: Any, parameters: Any, versions: Any, states: Any,
    memory: Any, random: Any, counts: Any, actions: Any, rewards: Any, terminated: Any, truncated: Any, finals: Any,
    finals_seen: Any,
) -> int:  # fmt: skip
    """Step environments ``first`` to ``last`` − 1, and begin the next episode where one ended.

    Returns:
        How many episodes ended.
    """
    number = np.empty(ACTION_SHAPE, np.int64)
    ended = 0
    for i in range(first, last):
        parameter = parameters[versions[i]]
        reward, is_terminal = transition(states[i], number_of(actions[i], number), random_at(random[i]), parameter)
        counts[i, 1] += 1
        rewards[i] = reward
        terminated[i] = is_terminal
        truncated[i] = counts[i, 1] >= limit
        if terminated[i] or truncated[i]:
            ended += 1
            show(states[i], finals[i], finals_seen[i], parameter)
            counts[i, 0] += 1
            reset(i, i + 1, num_versions, stream, parameters, versions, states, memory, random, counts)
    return ended


def bind(layout: Layout, names: Mapping[str, Any], wrap: Callable[[Any], Any] = lambda loop: loop) -> dict[str, Any]:
    """Return the loops over environments of a layout, by name.

    Args:
        layout: The types and shapes of the arrays.
        names: The functions of the environment, of its random numbers, and those below.
        wrap: Called with each loop, such as a compiler.
    """
    scope = {
        "np": np,
        "OUTSIDE": OUTSIDE,
        "SIZES": np.array(layout.actions.sizes, np.int64),
        "ACTION_SHAPE": layout.action_shape or (1,),
        "HAS_MASKS": layout.has_masks,
        "OUT": np.dtype((np.record, layout.written.dtype)) if layout.is_chosen else None,
        "OUT_SIZE": layout.written.dtype.itemsize,
        "PIECES": layout.pieces,
        **names,
    }
    shown = show_chosen if layout.is_chosen else show_all
    for name, template in (("show", shown), ("reset", reset), ("step", step), ("observe", observe)):
        loop = types.FunctionType(template.__code__, dict(scope), name)  # with those before, which it calls
        loop.__module__ = __name__
        scope[name] = wrap(loop)
    return {name: scope[name] for name in LOOPS}


def number_maker(layout: Layout) -> Callable[[Any, Any], Any]:
    """Return the function that turns action indices [G] into the environment's numbers."""
    starts = np.array([start for part in layout.actions.parts for start in part.starts], np.int64)
    first = int(starts[0])

    def one(indices: Any, number: Any) -> Any:
        return indices[0] + first

    def several(indices: Any, number: Any) -> Any:
        flat = number.reshape(-1)
        for g in range(indices.size):
            flat[g] = indices[g] + starts[g]
        return number

    return one if layout.is_discrete else several
