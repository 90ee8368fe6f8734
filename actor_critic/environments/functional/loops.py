"""The loops over N functional environments: one source, run in plain Python or compiled.

Each template uses the names of an environment's functions and constants as global variables. ``bind`` returns the
templates with these set.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from actor_critic.environments.functional.layout import Layout
from actor_critic.spaces import BYTE_SCALE

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
random_at: Any = None
start: Any = None
episode_seed: Any = None
SIZES: Any = None
ACTION_SHAPE: Any = None
HAS_MASKS: Any = None


def observe(
    first: int, last: int, parameters: Any, versions: Any, states: Any, observations: Any, features: Any, masks: Any
) -> int:
    """Write observations, features and masks of environments ``first`` to ``last`` − 1.

    Returns:
        The first environment whose mask allows nothing, or ``OUTSIDE`` plus the first one whose observation has a
        category outside its space; −1 if there is none.
    """
    bad = -1
    for i in range(first, last):
        observations[i] = 0
        observation(states[i], observations[i], parameters[versions[i]])
        if not encode(observations[i], features[i]) and bad < 0:
            bad = i + OUTSIDE
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
    return bad


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
            finals[i] = 0
            observation(states[i], finals[i], parameter)
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
        **names,
    }
    for name in LOOPS:  # reset comes first, since step calls it
        loop = types.FunctionType(globals()[name].__code__, dict(scope), name)
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


def feature_maker(layout: Layout) -> Callable[[Any, Any], Any]:
    """Return the function that writes the features [F] of an observation, as ``networks.encode`` computes them.

    It returns whether all categories are in their space.
    """
    part = layout.observations.parts[0]
    if layout.observations.is_plain:

        def nothing(observation: Any, features: Any) -> bool:  # the features are the observations
            return True

        return nothing
    if part.kind == "categories":
        offsets, starts = np.cumsum([0, *part.sizes[:-1]]), np.array(part.starts, np.int64)
        sizes = np.array(part.sizes, np.int64)

        def one_hot(observation: Any, features: Any) -> bool:
            flat = observation.reshape(-1)
            features[:] = 0.0
            for k in range(flat.size):
                category = flat[k] - starts[k]
                if category < 0 or category >= sizes[k]:
                    return False
                features[category + offsets[k]] = 1.0
            return True

        return one_hot
    if part.codes:
        channels, height, width = part.grid
        indices = np.arange(channels * height * width).reshape(part.shape)
        sources = (indices.transpose(part.order) if part.order else indices).reshape(-1).copy()
        area, codes, lowest, planes = height * width, part.codes, part.lowest, part.planes
        has_others, brightness = part.has_other_numbers, np.float32(BYTE_SCALE)

        def one_hot_codes(observation: Any, features: Any) -> bool:
            flat = observation.reshape(-1)
            features[:] = 0.0
            for k in range(flat.size):
                number = flat[sources[k]]
                code, first = np.int64(number) - lowest, k // area * planes * area + k % area
                if 0 <= code < codes:
                    features[first + code * area] = 1.0
                elif has_others:
                    features[first + codes * area] = np.float32(number) * brightness
                else:
                    return False
            return True

        return one_hot_codes
    places = np.arange(part.num_features).reshape(part.shape)
    if part.order:
        places = places.transpose(part.order)
    order, scale = places.reshape(-1).copy(), np.float32(part.scale)

    def converted(observation: Any, features: Any) -> bool:
        flat = observation.reshape(-1)
        for k in range(flat.size):
            features[k] = np.float32(flat[order[k]]) * scale
        return True

    return converted
