"""Snapshots of environments that can save their state, so that a long episode is not replayed from its beginning."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.wrappers.layers import layers
from actor_critic.environments.wrappers.stacking import FrameStack

INTERVAL = 1024
"""Steps between two snapshots of an episode."""

# Gymnasium's wrappers without a state that lasts for more than a step, except the count of TimeLimit, which is saved.
_WRAPPERS = frozenset({"OrderEnforcing", "PassiveEnvChecker", "TimeLimit", "AtariPreprocessing"})
PACKAGES = {"ale_py"}
"""Packages whose environments save and restore their whole state with ``clone_state`` and ``restore_state``."""


@dataclass(frozen=True)
class Snapshot:
    """A running episode at one of its steps.

    Attributes:
        step: Number of steps so far.
        state: Saved state of the environment.
        checksum: Checksum over the observations so far.
        total: Sum of the rewards so far.
    """

    step: int
    state: bytes
    checksum: int
    total: float


class Saver:
    """Saves and restores one environment: the step count of each TimeLimit, stacked frames, and its own state."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._bare: Any = env.unwrapped
        self._limits = [vars(layer) for layer in layers(env) if isinstance(layer, gym.wrappers.TimeLimit)]
        self._stacks = [layer for layer in layers(env) if isinstance(layer, FrameStack)]

    def save(self) -> bytes:
        """Return the current state."""
        counts = np.array([limit["_elapsed_steps"] for limit in self._limits], np.int64)
        frames = b"".join(stack.save() for stack in self._stacks)
        return counts.tobytes() + frames + bytes(self._bare.clone_state(include_rng=True).serialize())

    def restore(self, state: bytes) -> None:
        """Restore a saved state, after a reset with the episode's seed."""
        counts, rest = np.frombuffer(state[: 8 * len(self._limits)], np.int64), state[8 * len(self._limits) :]
        for stack in self._stacks:
            stack.restore(rest[: stack.num_bytes])
            rest = rest[stack.num_bytes :]
        self._bare.restore_state(type(self._bare.clone_state(include_rng=True))(rest))
        for limit, count in zip(self._limits, counts.tolist(), strict=True):
            limit["_elapsed_steps"] = count


def saver_of(env: gym.Env[Any, Any]) -> Saver | None:
    """Return the saver of an environment; None if its state cannot be saved, or a wrapper may have more state.

    Environments of the Arcade Learning Environment can be saved. ``clone_state(include_rng=True)`` returns a state
    object, its ``serialize()`` returns bytes, its class takes these bytes, and ``restore_state`` takes the object.
    """
    *wrappers, bare = layers(env)
    for layer in wrappers:
        module, name = type(layer).__module__, type(layer).__name__
        is_known = module.startswith("gymnasium.wrappers.") and name in _WRAPPERS
        if not is_known and not module.startswith("actor_critic.environments."):
            return None
    return Saver(env) if type(bare.unwrapped).__module__.partition(".")[0] in PACKAGES else None


def pack(snapshots: list[Snapshot | None]) -> dict[str, npt.NDArray[Any]]:
    """Write the snapshots of N episodes as arrays by name; step 0 means no snapshot."""
    known = [snapshot or Snapshot(0, b"", 0, 0.0) for snapshot in snapshots]
    return {
        "snapshot_steps": np.array([snapshot.step for snapshot in known], np.int64),
        "snapshot_sizes": np.array([len(snapshot.state) for snapshot in known], np.int64),
        "snapshot_checksums": np.array([snapshot.checksum for snapshot in known], np.int64),
        "snapshot_totals": np.array([snapshot.total for snapshot in known], np.float64),
        "snapshots": np.frombuffer(
            bytearray().join(snapshot.state for snapshot in known), np.uint8
        ),  # a writable array
    }


def unpack(state: dict[str, npt.NDArray[Any]], count: int) -> list[Snapshot | None]:
    """Read the snapshots that :func:`pack` wrote, one for each episode; None for an episode without one.

    Raises:
        ValueError: The sizes do not match the states.
    """
    if "snapshots" not in state:
        return [None] * count
    sizes = state["snapshot_sizes"]
    if (sizes < 0).any() or sizes.sum() != len(state["snapshots"]):
        raise ValueError("the snapshots do not match snapshot_sizes")
    states = np.split(state["snapshots"], np.cumsum(sizes)[:-1])
    columns = (state[f"snapshot_{name}"].tolist() for name in ("steps", "checksums", "totals"))
    rows = zip(states, *columns, strict=True)
    return [Snapshot(step, saved.tobytes(), checksum, total) if step else None for saved, step, checksum, total in rows]
