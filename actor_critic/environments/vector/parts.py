"""The saved state of running episodes: the part of some environments, and the whole of several parts."""

from collections.abc import Sequence

import numpy as np

from actor_critic.environments.vector.contract import State

_OF_ALL = frozenset({"seed", "functional.seed", "native"})
"""Arrays that are the same for all environments. Any other has one row for each environment, or a length for each."""

_LENGTHS = {"actions": "lengths", "snapshots": "snapshot_sizes"}
"""Arrays that contain several numbers for each environment, and the arrays that say how many."""


def part_of(state: State, share: slice) -> State:
    """Return the part of a state that belongs to the environments of a slice."""
    part: State = {}
    for name, array in state.items():
        if name in _OF_ALL:
            part[name] = array
        elif name in _LENGTHS:
            borders = np.concatenate([[0], np.cumsum(state[_LENGTHS[name]])])
            part[name] = array[borders[share.start] : borders[share.stop]]
        else:
            part[name] = array[share]
    return part


def whole_of(parts: Sequence[State]) -> State:
    """Return the state of all environments from its parts, in order."""
    return {
        name: array if name in _OF_ALL else np.concatenate([part[name] for part in parts])
        for name, array in parts[0].items()
    }
