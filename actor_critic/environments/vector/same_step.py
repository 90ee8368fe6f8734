"""Single environments side by side, with same-step autoreset and one seed for each episode."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks.reading import KEY
from actor_critic.environments.vector.contract import Observed, State, Step
from actor_critic.environments.vector.single_environments import SingleEnvironments
from actor_critic.environments.vector.snapshots import INTERVAL, Snapshot, unpack
from actor_critic.errors import ReplayFault, describe
from actor_critic.process import Interrupted, boundary

# Usual types of rewards and flags are accepted at once; other types are converted and checked.
_REWARDS = frozenset((float, int, np.float64, np.float32, np.int64))
_FLAGS = frozenset((bool, np.bool_))


class SameStepVectorEnv(SingleEnvironments):
    """N environments stepped one after the other, in same-step autoreset.

    Episode k of environment i begins with ``reset(seed=episode_seed(seed, purpose, i, k))``. So an episode depends only
    on the run's seed and the actions, and it can be rebuilt from its number and its actions so far.
    """

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin episode 0 of every environment.

        Args:
            seed: The run's seed; the seeds of all episodes are derived from it.
            options: Passed to every environment.

        Raises:
            EnvironmentFault: An environment raised, or returned an invalid value.
        """
        self._running.begin(seed, 0)
        return self._begin(options)

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment with its action indices [N, G], each counted from 0.

        Raises:
            EnvironmentFault: An environment raised, or returned an invalid value.
        """
        if boundary.is_crossed():
            with boundary.inside():
                return self._step_all(action_indices)
        return self._step_all(action_indices)

    def _step_all(self, action_indices: npt.NDArray[np.int64]) -> Step:
        any_ended = False
        self._terminated.fill(False)
        self._truncated.fill(False)
        rewards, observations, usual = self._rewards, self._observations, self._usual
        running, rows = self._running, self._rows
        numbers, checksums = running.numbers, running.checksums
        own, lost, keeps_actions = self._own_rewards, self._lives_lost, self._keeps_actions
        running.lengths += 1
        taken, actions = action_indices.tolist(), self.actions.one_by_one(action_indices)
        for index, (step, action, past) in enumerate(zip(self._steps, actions, running.actions, strict=True)):
            if self._quotas is not None and numbers[index] >= self._quotas[index]:
                rewards[index] = 0.0
                if own is not None:
                    own[index] = 0.0
                if lost is not None:
                    lost[index] = False
                continue
            if keeps_actions:
                past.extend(taken[index])
            try:
                returned = step(action)
            except Interrupted:
                raise
            except BaseException as error:  # user code may raise anything
                raise self._fault(index, f"raised {describe(error)}") from error
            is_usual = type(returned) is tuple and len(returned) == 5 and type(returned[1]) in _REWARDS
            is_usual = is_usual and type(returned[2]) in _FLAGS and type(returned[3]) in _FLAGS
            if is_usual and type(returned[4]) is dict:
                observation, reward, terminated, truncated, info = returned
            else:
                observation, reward, terminated, truncated, info = self._read(index, returned)
            try:
                rewards[index] = reward
            except OverflowError:
                raise self._fault(index, "returned from step a reward too large for a 64-bit number") from None
            if own is not None:
                own[index] = self._takes[index]()  # type: ignore[misc]
            if lost is not None:
                lost[index] = self._life_lost[index]() and not (terminated or truncated)  # type: ignore[misc]
            if terminated or truncated:
                any_ended = True
                self._terminated[index], self._truncated[index] = terminated, truncated
                self._write(index, observation, self._final_parts)
                numbers[index] += 1
                if self._quotas is None or numbers[index] < self._quotas[index]:
                    observation = self._reset_one(index)
            elif KEY in info or self._masks is not None:
                self._read_mask(index, info)  # the mask of a final observation may allow nothing, and is never used
            # A plain array of the right type is copied at once; anything else is written part by part.
            if type(observation) is np.ndarray and (observation.dtype, observation.shape) == usual:
                observations[index] = observation
            else:
                self._write(index, observation, self._parts)
            checksums[index] = crc32(rows[index], checksums[index])
        running.totals += rewards
        if self._savers[0]:
            for index in np.flatnonzero(running.lengths % INTERVAL == 0).tolist():
                self._save_snapshot(index)
        if any_ended:
            running.totals[self._terminated | self._truncated] = 0.0
        self._step.masks = self._masks
        self._step.lives_lost = lost if lost is not None and lost.any() else None
        self._step.final_observations = self._final_observations if any_ended else None
        return self._step

    @property
    def is_exact(self) -> bool:
        """Return whether :meth:`load_state` rebuilds the running episodes; otherwise it begins new ones."""
        return self._replay != "none"

    def save_state(self) -> State:
        """Return the running episodes: their numbers, actions so far, checksums and reward sums."""
        return self._running.state()

    def proof(self) -> State:
        """Return checksums and reward sums of the running episodes; see :meth:`RunningEpisodes.proof`."""
        return self._running.proof()

    def load_state(self, state: State, replayed: Callable[[], None] = lambda: None) -> Observed:
        """Rebuild the running episodes by resetting with their seeds and replaying their actions.

        Args:
            state: From :meth:`save_state`.
            replayed: Called after each step.

        Raises:
            ReplayFault: A replayed episode differs from the saved one.
            EnvironmentFault: An environment raised, or returned an invalid value.
        """
        self._running.begin(int(state["seed"][0]), state["episodes"])
        if not self.is_exact:
            return self.begin_anew()
        borders = np.cumsum(state["lengths"])[:-1]
        self._begin(versions=state.get("versions", np.zeros(self.num_envs, np.int64)))
        snapshots = unpack(state, self.num_envs)
        for index, past in enumerate(np.split(state["actions"].astype(np.int64), borders)):
            with boundary.inside():
                if (snapshot := snapshots[index]) is not None:
                    self._restore_one(index, snapshot)
                self._replay_one(index, past, replayed)
            if (self._running.checksums[index], self._running.totals[index]) != (
                state["checksums"][index],
                state["totals"][index],
            ):
                raise self._fault(
                    index, "shows other observations or rewards on replay than it did before", ReplayFault
                )
        return self.observed()

    def begin_anew(self) -> Observed:
        """Drop the running episodes and begin the next one in every environment."""
        self._running.numbers += 1
        return self._begin()

    def _begin(self, options: dict[str, Any] | None = None, versions: npt.NDArray[np.int64] | None = None) -> Observed:
        self._running.totals[:] = 0.0
        with boundary.inside():
            for index in range(self.num_envs):
                version = None if versions is None else int(versions[index])
                self._write(index, self._reset_one(index, options, version), self._parts)
                self._running.checksums[index] = crc32(self._rows[index])
        return self.observed()

    def _save_snapshot(self, index: int) -> None:
        """Save the state of a running episode."""
        saver = self._savers[index]
        if saver is None or self._running.lengths[index] == 0:
            return
        try:
            with boundary.inside():
                state = saver.save()
        except Interrupted:
            raise
        except BaseException as error:  # user code may raise anything
            raise self._fault(index, f"raised in clone_state {describe(error)}") from error
        self._running.add_snapshot(index, state)

    def _restore_one(self, index: int, snapshot: Snapshot) -> None:
        """Restore an environment to a snapshot of its episode, after a reset."""
        saver = self._savers[index]
        if saver is None:
            raise self._fault(index, "does not save its state any more, as it did before", ReplayFault)
        try:
            saver.restore(snapshot.state)
        except Interrupted:
            raise
        except BaseException as error:  # user code may raise anything
            raise self._fault(index, f"raised in restore_state {describe(error)}", ReplayFault) from error
        self._running.go_on_from(index, snapshot)

    def _replay_one(self, index: int, past: npt.NDArray[np.int64], replayed: Callable[[], None]) -> None:
        rows = past.reshape(-1, self.actions.num_groups)
        for row, action in zip(rows.tolist(), self.actions.one_by_one(rows), strict=True):
            self._running.actions[index].extend(row)
            self._running.lengths[index] += 1
            try:
                returned = self._steps[index](action)
            except Interrupted:
                raise
            except BaseException as error:  # user code may raise anything
                raise self._fault(index, f"raised on replay {describe(error)}", ReplayFault) from error
            observation, reward, terminated, truncated, info = self._read(index, returned)
            if terminated or truncated:
                raise self._fault(
                    index, "ended an episode on replay that was still running when it was saved", ReplayFault
                )
            self._read_mask(index, info)
            self._write(index, observation, self._parts)
            self._running.checksums[index] = crc32(self._rows[index], self._running.checksums[index])
            self._running.totals[index] += reward
            if self._running.lengths[index] % INTERVAL == 0:
                self._save_snapshot(index)
            replayed()
        if self._own_rewards is not None:
            self._takes[index]()  # type: ignore[misc]  # these rewards were counted before
        if self._lives_lost is not None:
            self._life_lost[index]()  # type: ignore[misc]  # and so were these lives

    def observed(self) -> Observed:
        """Return the current observations and their masks."""
        return Observed(self._observations, self._masks)
