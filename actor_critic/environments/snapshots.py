"""States that an environment saves by itself, so that a long episode need not be replayed from its beginning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

INTERVAL = 1024
"""Steps between two snapshots of an episode."""

# Wrappers that remember no more than the last frames and, of TimeLimit, how many steps there were: both are there again
# after a snapshot and the steps since then, which are as many as this interval at least.
_NAMES = frozenset({"OrderEnforcing", "PassiveEnvChecker", "TimeLimit", "AtariPreprocessing"})


@dataclass(frozen=True)
class Snapshot:
    """A running episode at some step of it.

    Attributes:
        step: How many steps it had taken.
        state: What the environment saved.
        checksum: Over the observations up to it.
        total: Sum of the rewards up to it.
    """

    step: int
    state: bytes
    checksum: int
    total: float


class Saver:
    """Saves and restores the state of one environment."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._env = env

    def save(self) -> bytes:
        """The state of the environment beneath its wrappers."""
        return bytes(self._env.unwrapped.clone_state(include_rng=True).serialize())  # type: ignore[attr-defined]

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, after a reset with the episode's seed."""
        bare: Any = self._env.unwrapped
        bare.restore_state(type(bare.clone_state(include_rng=True))(snapshot.state))
        layer: gym.Env[Any, Any] = self._env
        while isinstance(layer, gym.Wrapper):
            if isinstance(layer, gym.wrappers.TimeLimit):
                vars(layer)["_elapsed_steps"] = snapshot.step
            layer = layer.env


def saver_of(env: gym.Env[Any, Any]) -> Saver | None:
    """How an environment's state is saved; None where it cannot be, or a wrapper may remember more than that.

    It can where the environment has ``clone_state(include_rng=True)``, whose result has ``serialize()`` and is made of
    what that returns, and ``restore_state``: as those of the Arcade Learning Environment do.
    """
    layer: Any = env
    while isinstance(layer, gym.Wrapper):
        kind = type(layer)
        is_ours = kind.__module__.startswith("actor_critic.environments.")
        if not is_ours and not (kind.__module__.startswith("gymnasium.wrappers.") and kind.__name__ in _NAMES):
            return None
        layer = layer.env
    methods: list[Callable[..., Any] | None] = [getattr(layer, name, None) for name in ("clone_state", "restore_state")]
    return Saver(env) if all(callable(method) for method in methods) else None


def pack(snapshots: list[Snapshot | None]) -> dict[str, npt.NDArray[Any]]:
    """Snapshots of N episodes as arrays by name; a step of 0 is none."""
    known = [snapshot or Snapshot(0, b"", 0, 0.0) for snapshot in snapshots]
    return {
        "snapshot_steps": np.array([snapshot.step for snapshot in known], np.int64),
        "snapshot_sizes": np.array([len(snapshot.state) for snapshot in known], np.int64),
        "snapshot_checksums": np.array([snapshot.checksum for snapshot in known], np.int64),
        "snapshot_totals": np.array([snapshot.total for snapshot in known], np.float64),
        "snapshots": np.frombuffer(
            bytearray().join(snapshot.state for snapshot in known), np.uint8
        ),  # which can be written to
    }


def unpack(state: dict[str, npt.NDArray[Any]], count: int) -> list[Snapshot | None]:
    """What :func:`pack` made of the snapshots of some episodes, and others put beside it; None for each without one.

    Raises:
        ValueError: The sizes are not those of the states.
    """
    if "snapshots" not in state:
        return [None] * count
    sizes = state["snapshot_sizes"]
    if (sizes < 0).any() or sizes.sum() != len(state["snapshots"]):
        raise ValueError("the snapshots have other sizes than they say")
    states = np.split(state["snapshots"], np.cumsum(sizes)[:-1])
    columns = (state[f"snapshot_{name}"].tolist() for name in ("steps", "checksums", "totals"))
    rows = zip(states, *columns, strict=True)
    return [Snapshot(step, saved.tobytes(), checksum, total) if step else None for saved, step, checksum, total in rows]
