"""The record of running episodes: what rebuilds them, and the proof that they were rebuilt."""

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.environments.vector.contract import State
from actor_critic.environments.vector.snapshots import Snapshot, pack, unpack
from actor_critic.spaces import ActionSpec


class RunningEpisodes:
    """Numbers, actions and proof of the running episodes of N environments.

    Attributes:
        seed: The run's seed.
        numbers: [N], which episode of its environment each is.
        lengths: [N], steps so far.
        actions: Action indices of each, flat, since the snapshot that a replay begins at.
        checksums: Of each, over all observations so far.
        totals: [N], sum of the rewards so far.
        bases: The snapshot that the replay of each begins at; None for the episode's beginning.
        has_snapshots: Whether a state contains snapshots.
    """

    def __init__(self, num_envs: int, actions: ActionSpec) -> None:
        # A byte for each index where all fit into one.
        typecode = "B" if max(actions.sizes) <= 1 << 8 else "i"
        self._num_groups = actions.num_groups
        self.seed = 0
        self.numbers = np.zeros(num_envs, np.int64)
        self.lengths = np.zeros(num_envs, np.int64)
        self.actions = [array(typecode) for _ in range(num_envs)]
        self.checksums = [0] * num_envs
        self.totals = np.zeros(num_envs, np.float64)
        self.bases: list[Snapshot | None] = [None] * num_envs
        self._newest: list[Snapshot | None] = [None] * num_envs
        self.has_snapshots = False

    def begin(self, seed: int, numbers: npt.NDArray[np.int64] | int) -> None:
        """Begin in every environment the episode of a number."""
        self.seed = seed
        self.numbers[:] = numbers
        self.totals[:] = 0.0
        for index in range(len(self.actions)):
            self.clear(index)

    def clear(self, index: int) -> None:
        """Forget the steps of an episode."""
        del self.actions[index][:]
        self.bases[index] = self._newest[index] = None
        self.lengths[index] = 0
        self.checksums[index] = 0

    def extend(self, action_indices: npt.NDArray[np.int64], ended: npt.NDArray[np.bool_]) -> None:
        """Record a step of action indices [N, G]; where an episode ended, the next one has begun."""
        rows = zip(self.actions, action_indices.tolist(), ended.tolist(), strict=True)
        for index, (past, taken, has_ended) in enumerate(rows):
            if has_ended:
                del past[:]
                self.bases[index] = None
            else:
                past.extend(taken)
        self.numbers += ended

    def add_snapshot(self, index: int, saved: bytes) -> None:
        """Record what an environment saved; from now on, a replay begins at the snapshot before this one."""
        base, newest = self.bases[index], self._newest[index]
        if newest is not None:
            del self.actions[index][: (newest.step - (base.step if base else 0)) * self._num_groups]
            self.bases[index] = newest
        step, total = int(self.lengths[index]), float(self.totals[index])
        self._newest[index] = Snapshot(step, saved, self.checksums[index], total)

    def go_on_from(self, index: int, snapshot: Snapshot) -> None:
        """Record that an episode was restored from a snapshot."""
        self.bases[index] = snapshot
        self.lengths[index], self.checksums[index] = snapshot.step, snapshot.checksum
        self.totals[index] = snapshot.total

    def proof(self) -> State:
        """Return the checksums [N] over the observations and the sums [N] of the rewards."""
        return {"checksums": np.array(self.checksums, np.int64), "totals": self.totals.copy()}

    def state(self) -> State:
        """Return the arrays that rebuild the episodes."""
        return {
            "seed": np.array([self.seed], np.int64),
            "episodes": self.numbers.copy(),
            "lengths": np.array([len(past) for past in self.actions], np.int64),
            "actions": np.concatenate([np.array(past, past.typecode) for past in self.actions]),
            **self.proof(),
            **(pack(self.bases) if self.has_snapshots else {}),
        }

    def load(self, state: State) -> None:
        """Take over the record that :meth:`state` returned."""
        self.begin(int(state["seed"][0]), state["episodes"])
        parts = np.split(state["actions"], np.cumsum(state["lengths"])[:-1])
        for past, part in zip(self.actions, parts, strict=True):
            past.extend(part.tolist())
        self.show(state["checksums"], state["totals"])
        self.bases = unpack(state, len(self.actions))
        self.has_snapshots = "snapshots" in state

    def show(self, checksums: npt.NDArray[Any], totals: npt.NDArray[Any]) -> None:
        """Record the proof of the episodes."""
        self.checksums = checksums.tolist()
        self.totals[:] = totals
