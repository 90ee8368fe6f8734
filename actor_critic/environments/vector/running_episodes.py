"""The record of running episodes: data to rebuild them, and checksums to verify the result."""

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.environments.vector.contract import State
from actor_critic.environments.vector.snapshots import Snapshot, pack, unpack
from actor_critic.spaces import ActionSpec


class RunningEpisodes:
    """Numbers, actions, checksums and reward sums of the running episodes of N environments.

    Attributes:
        seed: The run's seed.
        numbers: [N], number of the running episode in its environment.
        lengths: [N], steps so far.
        actions: Action indices of each episode, flat, since its base snapshot.
        checksums: Checksum of each episode over all observations so far.
        totals: [N], sum of the rewards so far.
        bases: The snapshot at which the replay of each episode begins; None for the start of the episode.
        has_snapshots: Whether a state contains snapshots.
        changes: The number of changes to the environments so far; an episode that begins now has all of them.
        versions: [N], the number of changes when each episode began.
    """

    def __init__(self, num_envs: int, actions: ActionSpec) -> None:
        # One byte per index, if all indices fit.
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
        self.changes = 0
        self.versions = np.zeros(num_envs, np.int64)

    def begin(self, seed: int, numbers: npt.NDArray[np.int64] | int) -> None:
        """Begin the episodes with the given numbers, one in every environment."""
        self.seed = seed
        self.numbers[:] = numbers
        self.totals[:] = 0.0
        for index in range(len(self.actions)):
            self.clear(index)

    def clear(self, index: int) -> None:
        """Delete the steps of an episode."""
        del self.actions[index][:]
        self.bases[index] = self._newest[index] = None
        self.versions[index] = self.changes
        self.lengths[index] = 0
        self.checksums[index] = 0

    def extend(self, action_indices: npt.NDArray[np.int64], ended: npt.NDArray[np.bool_]) -> None:
        """Record a step of action indices [N, G]; where ``ended`` is true, the next episode has begun."""
        rows = zip(self.actions, action_indices.tolist(), ended.tolist(), strict=True)
        for index, (past, taken, has_ended) in enumerate(rows):
            if has_ended:
                del past[:]
                self.bases[index] = None
                self.versions[index] = self.changes
            else:
                past.extend(taken)
        self.numbers += ended

    def add_snapshot(self, index: int, saved: bytes) -> None:
        """Record the saved state of an environment; from now on, a replay begins at the previous snapshot."""
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
            **({"versions": self.versions.copy()} if self.changes else {}),
        }

    def load(self, state: State) -> None:
        """Load the record that :meth:`state` returned."""
        self.begin(int(state["seed"][0]), state["episodes"])
        parts = np.split(state["actions"], np.cumsum(state["lengths"])[:-1])
        for past, part in zip(self.actions, parts, strict=True):
            past.extend(part.tolist())
        self.show(state["checksums"], state["totals"])
        self.bases = unpack(state, len(self.actions))
        self.has_snapshots = "snapshots" in state
        self.versions[:] = state.get("versions", 0)

    def show(self, checksums: npt.NDArray[Any], totals: npt.NDArray[Any]) -> None:
        """Set the checksums and reward sums of the episodes."""
        self.checksums = checksums.tolist()
        self.totals[:] = totals
