"""How far a run has come: counted epoch by epoch, reported of each, kept in its checkpoints."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.agent import UpdateResult
from actor_critic.ops.returns import episode_sums
from actor_critic.rollouts import Rollout
from actor_critic.storage import Checkpoint
from actor_critic.training.epoch_report import EpochReport

_RECENT = 100


class EpisodeTotals:
    """Sums of per-step figures over episodes: their returns, say, and with ones for rewards their lengths.

    Attributes:
        running: [K, N], sums over the episodes that are running.
        recent: [K, M], those of the window: the last 100 episodes that ended, or all that ended in the last epoch where
            these are more.
        since_oldest: How many episodes have ended since the last one that had begun before all that still run.
    """

    def __init__(self, names: list[str], num_envs: int) -> None:
        """Begin with no episode.

        Args:
            names: Of the K figures, "length" among them.
            num_envs: N.
        """
        self._names = names
        self._length = names.index("length")
        self.running: npt.NDArray[np.float64] = np.zeros((len(names), num_envs))
        self.recent: npt.NDArray[np.float64] = np.zeros((len(names), 0))
        self.since_oldest = 0
        # The means, and of what: most epochs of a few steps end no episode.
        self._means: list[float] = []
        self._averaged: npt.NDArray[np.float64] | None = None

    def update(self, figures: npt.NDArray[np.float32], ended: npt.NDArray[np.bool_]) -> int:
        """Add an epoch of T steps [K, T, N].

        Returns:
            How many episodes ended.
        """
        finished, self.running = episode_sums(figures, ended, self.running)
        count = finished.shape[1]
        if count:
            self.recent = np.concatenate([self.recent, finished], axis=1)[:, -max(_RECENT, count) :]
            begun = np.nonzero(ended)[0] + 1 - finished[self._length]  # at which step of this epoch; before it below 0
            older = np.flatnonzero(begun < len(ended) - self.running[self._length].max())
            self.since_oldest = count - 1 - int(older[-1]) if len(older) else self.since_oldest + count
        elif self.recent.shape[1] > _RECENT:
            self.recent = self.recent[:, -_RECENT:]
        return count

    def load(self, running: npt.NDArray[np.float64], recent: npt.NDArray[np.float64]) -> None:
        """Take over saved sums; where the last figure is missing, of a run from before it, it is as the first one."""
        missing = len(self._names) - len(running)
        self.running, self.recent = (np.concatenate([sums, sums[:missing]]) for sums in (running, recent))

    @property
    def count(self) -> int:
        """How many episodes a mean covers."""
        return self.recent.shape[1]

    @property
    def count_is_full(self) -> bool:
        """Whether a mean covers as many episodes as are wanted."""
        return self.count >= _RECENT

    @property
    def is_representative(self) -> bool:
        """Whether the window is full, and all episodes that still run began after the first of the window did.

        Else long episodes that began with those of the window are missing in it: the short ones ended first.
        """
        return self.count_is_full and self.since_oldest < self.count

    def mean(self, name: str) -> float | None:
        """Mean of a figure over the window; None before the first episode ended, or where unknown."""
        if name not in self._names or not self.recent.shape[1]:
            return None
        if self._averaged is not self.recent:
            self._averaged, self._means = self.recent, [float(figures.mean()) for figures in self.recent]
        return self._means[self._names.index(name)]


class Progress:
    """Counters and sums of a run.

    Attributes:
        epoch: Epochs done.
        env_steps: Environment steps done.
        episodes: Episodes that have ended.
        totals: Returns and lengths of episodes.
        best: The best score so far; None before there is one.
        hours: Of training, up to the last time that it was left.
        new_episodes_after: The epoch after which running episodes were last left for new ones; None if they never were.
    """

    def __init__(self, num_envs: int, figures: list[str]) -> None:
        """Begin a run.

        Args:
            num_envs: N.
            figures: What is summed up over episodes, as :attr:`Settings.episode_figures` names it.
        """
        self.epoch = 0
        self.env_steps = 0
        self.episodes = 0
        self.totals = EpisodeTotals(figures, num_envs)
        self.best: float | None = None
        self.hours = 0.0
        self.new_episodes_after: float | None = None

    def count(self, rollout: Rollout, model_rewards: npt.NDArray[np.float32] | None) -> None:
        """Count an epoch that has been learned from.

        Args:
            rollout: Its steps.
            model_rewards: [T, N], what a reward model pays for them; None without one.
        """
        live = np.ones_like(rollout.rewards) if rollout.valid is None else rollout.valid
        if rollout.own_rewards is None:
            figures = [rollout.rewards, live] if model_rewards is None else [rollout.rewards, live, model_rewards]
        else:
            between = [] if model_rewards is None else [model_rewards]
            figures = [rollout.own_rewards, live, *between, rollout.rewards]
        self.epoch += 1
        self.env_steps += rollout.num_valid
        self.episodes += self.totals.update(np.array(figures, np.float32), rollout.ended)

    def report(self, learned: UpdateResult, steps_per_second: float) -> EpochReport:
        """What there is to tell of the epoch counted last."""
        statistics = dict(vars(learned.statistics))
        del statistics["steps"]
        return EpochReport(
            epoch=self.epoch,
            env_steps=self.env_steps,
            episodes=self.episodes,
            mean_episodes=self.totals.count,
            mean_return=self.totals.mean("return"),
            mean_model_return=self.totals.mean("model_return"),
            mean_training_return=self.totals.mean("training_return"),
            mean_length=self.totals.mean("length"),
            explained_variance=learned.explained_variance,
            learning_rate=learned.learning_rate,
            steps_per_second=steps_per_second,
            **statistics,
        )

    def counters(self) -> dict[str, int]:
        """The counters, for a checkpoint."""
        return {"epoch": self.epoch, "env_steps": self.env_steps, "episodes": self.episodes}

    def tensors(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint."""
        totals = self.totals
        return {
            "episodes.running": torch.from_numpy(totals.running),
            "episodes.recent": torch.from_numpy(totals.recent),
        }

    def records(self, hours: float) -> dict[str, float | None]:
        """What else a checkpoint keeps; ``hours`` are those up to it. The best score is added where it is saved."""
        return {
            "hours": hours,
            "new_episodes_after": self.new_episodes_after,
            "since_oldest": float(self.totals.since_oldest),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            KeyError: It is no training state.
        """
        self.epoch = checkpoint.counters["epoch"]
        self.env_steps = checkpoint.counters["env_steps"]
        self.episodes = checkpoint.counters["episodes"]
        self.totals.load(*(checkpoint.tensors[f"episodes.{name}"].numpy() for name in ("running", "recent")))
        self.best = checkpoint.records.get("best")
        self.hours = checkpoint.records.get("hours") or 0.0
        self.new_episodes_after = checkpoint.records.get("new_episodes_after")
        since = checkpoint.records.get("since_oldest")  # older checkpoints have none
        self.totals.since_oldest = self.episodes if since is None else int(since)
