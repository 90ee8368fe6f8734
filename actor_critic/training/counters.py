"""Counters and episode statistics of a run."""

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.agent import UpdateResult
from actor_critic.ops.returns import episode_sums
from actor_critic.ranks import Ranks
from actor_critic.rollouts import Rollout
from actor_critic.storage import Checkpoint
from actor_critic.training.choices import Choices
from actor_critic.training.report import EpochReport

_RECENT = 100


class EpisodeTotals:
    """Sums of per-step quantities over episodes: rewards sum to returns, and ones sum to lengths.

    Attributes:
        running: [K, N], the sums of the running episodes.
        recent: [K, M], the sums of the window: the last 100 episodes that ended, or all that ended in the last epoch if
            these are more.
        finished: [K, E], the sums of the episodes that ended in the last epoch.
        since_oldest: Episodes that ended after the last one that began before every running episode.
    """

    def __init__(self, names: list[str], num_envs: int) -> None:
        """Start without episodes.

        Args:
            names: The names of the K quantities; one is "length".
            num_envs: N.
        """
        self._names = names
        self._length = names.index("length")
        self.running: npt.NDArray[np.float64] = np.zeros((len(names), num_envs))
        self.recent: npt.NDArray[np.float64] = np.zeros((len(names), 0))
        self.finished: npt.NDArray[np.float64] = np.zeros((len(names), 0))
        self.since_oldest = 0
        # The means, and the window they belong to: a short epoch often ends no episode.
        self._means: list[float] = []
        self._averaged: npt.NDArray[np.float64] | None = None

    def update(self, quantities: npt.NDArray[np.float32], ended: npt.NDArray[np.bool_]) -> int:
        """Add an epoch of T steps [K, T, N].

        Returns:
            How many episodes ended.
        """
        self.finished, self.running = finished, _ = episode_sums(quantities, ended, self.running)
        count = finished.shape[1]
        if count:
            self.recent = np.concatenate([self.recent, finished], axis=1)[:, -max(_RECENT, count) :]
            begun = np.nonzero(ended)[0] + 1 - finished[self._length]  # first step in this epoch; negative if earlier
            older = np.flatnonzero(begun < len(ended) - self.running[self._length].max())
            self.since_oldest = count - 1 - int(older[-1]) if len(older) else self.since_oldest + count
        elif self.recent.shape[1] > _RECENT:
            self.recent = self.recent[:, -_RECENT:]
        return count

    def load(self, running: npt.NDArray[np.float64], recent: npt.NDArray[np.float64]) -> None:
        """Load saved sums; older checkpoints lack the last quantity, and the first one replaces it."""
        missing = len(self._names) - len(running)
        self.running, self.recent = (np.concatenate([sums, sums[:missing]]) for sums in (running, recent))

    @property
    def count(self) -> int:
        """The number of episodes in a mean."""
        return self.recent.shape[1]

    @property
    def count_is_full(self) -> bool:
        """Whether a mean covers at least 100 episodes."""
        return self.count >= _RECENT

    @property
    def is_representative(self) -> bool:
        """Whether the window is full and holds an episode that began before every running episode.

        Otherwise the window lacks long episodes, because short ones that began at the same time ended first.
        """
        return self.count_is_full and self.since_oldest < self.count

    def mean(self, name: str) -> float | None:
        """Return the mean of a quantity over the window; None before the first episode ended, or if it is unknown."""
        if name not in self._names or not self.recent.shape[1]:
            return None
        if self._averaged is not self.recent:
            self._averaged, self._means = self.recent, self.recent.mean(1).tolist()
        return self._means[self._names.index(name)]


class Outcomes(NamedTuple):
    """What counts of an epoch.

    Attributes:
        quantities: [K, T, N] float32, the quantities that are summed over episodes. The second one is 1 where a step is
            a transition.
        ended: [T, N], whether the environment's own episode ended.
    """

    quantities: npt.NDArray[np.float32]
    ended: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rollout: Rollout, model_rewards: npt.NDArray[np.float32] | None) -> "Outcomes":
        """Return the outcomes of a rollout.

        Args:
            rollout: Its steps.
            model_rewards: [T, N], the reward model's rewards for them; None without one.
        """
        live = np.ones_like(rollout.rewards) if rollout.valid is None else rollout.valid
        if rollout.own_rewards is None:
            sums = [rollout.rewards, live] if model_rewards is None else [rollout.rewards, live, model_rewards]
        else:
            between = [] if model_rewards is None else [model_rewards]
            sums = [rollout.own_rewards, live, *between, rollout.rewards]
        return cls(np.array(sums, np.float32), rollout.game_ended)

    def of_all(self, ranks: Ranks) -> "Outcomes":
        """Return the outcomes of all ranks."""
        if ranks.is_alone:
            return self
        *quantities, ended = ranks.gather(*self.quantities, self.ended)
        return Outcomes(np.array(quantities), ended)


class Counters:
    """Counters, episode statistics and records of a run.

    Attributes:
        epoch: Epochs done.
        env_steps: Environment steps done.
        episodes: Episodes that have ended.
        totals: Returns and lengths of episodes.
        best: The best score so far; None before the first score.
        first_return: The mean return of the first representative window of episodes; None before.
        new_episodes_after: The epoch after which new episodes last replaced the running ones; None if this never
            happened.
    """

    def __init__(self, num_envs: int, names: list[str]) -> None:
        """Begin a run.

        Args:
            num_envs: N.
            names: The quantities that are summed over episodes, as :attr:`Settings.episode_figures` names them.
        """
        self.epoch = 0
        self.env_steps = 0
        self.episodes = 0
        self.totals = EpisodeTotals(names, num_envs)
        self.best: float | None = None
        self.first_return: float | None = None
        self.new_episodes_after: float | None = None
        self._hours = 0.0  # until the clock was last stopped
        self._started: float | None = None

    @property
    def hours(self) -> float:
        """Hours of training since the start of the run."""
        running = 0.0 if self._started is None else (time.monotonic() - self._started) / 3600
        return self._hours + running

    def start_clock(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def stop_clock(self) -> None:
        """Stop the clock, and add the hours since it was started."""
        self._hours, self._started = self.hours, None

    def count(self, outcomes: "Outcomes") -> None:
        """Count an epoch after its update."""
        self.epoch += 1
        self.env_steps += int(outcomes.quantities[1].sum())
        self.episodes += self.totals.update(outcomes.quantities, outcomes.ended)
        if self.first_return is None and self.totals.is_representative:
            self.first_return = self.totals.mean("return")

    def begin_new_episodes(self) -> None:
        """Drop the sums over the running episodes, because new episodes replace them."""
        self.new_episodes_after = self.epoch
        self.totals.running[:] = 0.0

    def report(
        self, result: UpdateResult, steps_per_second: float, seconds: dict[str, float], logged: dict[str, float],
        choices: Choices | None,
    ) -> EpochReport:  # fmt: skip
        """Return the report of the last counted epoch."""
        statistics = dict(vars(result.statistics))
        optimizer_steps = statistics.pop("steps")
        return EpochReport(
            epoch=self.epoch,
            env_steps=self.env_steps,
            episodes=self.episodes,
            mean_episodes=self.totals.count,
            mean_return=self.totals.mean("return"),
            mean_model_return=self.totals.mean("model_return"),
            mean_training_return=self.totals.mean("training_return"),
            mean_length=self.totals.mean("length"),
            explained_variance=result.explained_variance,
            learning_rate=result.learning_rate,
            optimizer_steps=optimizer_steps,
            steps_per_second=steps_per_second,
            seconds=seconds,
            logged=logged,
            episode_returns=self.totals.finished[0],
            episode_lengths=self.totals.finished[1],
            choices=choices,
            **statistics,
        )

    def counts(self) -> dict[str, int]:
        """Return the whole numbers that a checkpoint holds."""
        return {"epoch": self.epoch, "env_steps": self.env_steps, "episodes": self.episodes}

    def tensors(self) -> dict[str, Tensor]:
        """Return the sums over episodes that a checkpoint holds."""
        totals = self.totals
        return {
            "episodes.running": torch.from_numpy(totals.running),
            "episodes.recent": torch.from_numpy(totals.recent),
        }

    def records(self) -> dict[str, float | None]:
        """Return the records that a checkpoint holds, except its own score."""
        return {
            "hours": self.hours,
            "first_return": self.first_return,
            "new_episodes_after": self.new_episodes_after,
            "since_oldest": float(self.totals.since_oldest),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the counts of a checkpoint; hours and the best score stay unchanged.

        Raises:
            KeyError: The checkpoint is no training state.
        """
        self.epoch = checkpoint.counters["epoch"]
        self.env_steps = checkpoint.counters["env_steps"]
        self.episodes = checkpoint.counters["episodes"]
        self.totals.load(*(checkpoint.tensors[f"episodes.{name}"].numpy() for name in ("running", "recent")))
        self.first_return = checkpoint.records.get("first_return")  # older checkpoints have none
        self.new_episodes_after = checkpoint.records.get("new_episodes_after")
        since = checkpoint.records.get("since_oldest")  # older checkpoints have none
        self.totals.since_oldest = self.episodes if since is None else int(since)

    def restore_records(self, checkpoint: Checkpoint) -> None:
        """Restore the hours and the best score of a checkpoint."""
        self.best = checkpoint.records.get("best")
        self._hours = checkpoint.records.get("hours") or 0.0
