"""Run: what a training run leaves behind, in memory or in its folder."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.config import Passed, PassedObjects, Settings
from actor_critic.display import html_table
from actor_critic.evaluation import Evaluation, evaluate
from actor_critic.process import recognized
from actor_critic.report import Finding, Records, changed_settings, find, read_records
from actor_critic.runs.table import Table
from actor_critic.storage import check_is_run, find_checkpoint, here, read_episodes, read_logged
from actor_critic.training import METRICS, EpochReport, Trainer

_EPISODES = ("epoch", "return", "length")


class Run:
    """What a training run leaves behind: its last weights, the evaluation of them, and its history.

    :func:`actor_critic.train` returns one, and :meth:`open` reads one from its folder.

    Attributes:
        settings: The resolved settings.
        agent: The agent with the last weights.
        folder: The run folder; None without one.
        stop_reason: Why the run ended; "finished" after its last epoch, None if it is not known.
    """

    def __init__(
        self,
        agent: ActorCriticAgent,
        records: Records,
        history: Table,
        episodes: Table,
        folder: Path | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """Take the parts of a run; users call :func:`actor_critic.train` or :meth:`open`."""
        self.agent = agent
        self.settings: Settings = agent.settings
        self.folder = folder
        self.stop_reason = stop_reason
        self._records = records
        self._history = history
        self._episodes = episodes
        self._evaluation = records.evaluation

    @classmethod
    def of(cls, trainer: Trainer, reports: Sequence[EpochReport]) -> "Run":
        """Return what a trainer has done.

        Args:
            trainer: The trainer; it may be closed.
            reports: The reports of its epochs; not used if it has a run folder, which holds earlier epochs too.
        """
        folder = trainer.run_folder
        if folder is not None:
            return cls._in(folder, trainer.agent, trainer.stop_reason)
        figures = [report.figures() for report in reports]
        metrics = {name: np.array([_number(row[name]) for row in figures], np.float64) for name in METRICS}
        changed = changed_settings(trainer.changes)
        records = Records(trainer.settings, metrics, trainer.evaluation, changed=changed)
        history = _with_logged(metrics, trainer.logged)
        return cls(trainer.agent, records, history, _episodes_of(reports), None, trainer.stop_reason)

    @classmethod
    def _in(cls, folder: Path, agent: ActorCriticAgent, stop_reason: str | None) -> "Run":
        records = read_records(folder)
        history = _with_logged(records.metrics, read_logged(folder))
        return cls(agent, records, history, Table(read_episodes(folder)), folder, stop_reason)

    @classmethod
    @recognized()
    def open(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        trust_code: bool = False,
        **objects: Unpack[PassedObjects],
    ) -> "Run":
        """Read a run from its folder; nothing in it is changed. The run may still be training.

        Args:
            path: The run folder.
            device: The device of the agent.
            trust_code: Whether code that the run's settings name as ``module:Class`` may be imported.
            objects: As for :meth:`Trainer.resume`; an evaluation needs them.

        Raises:
            ConfigError: The path is no run folder, or the run has no such object.
            CheckpointError: A file is missing, damaged or not readable, or names an encoder that was not given.
        """
        folder = here() / path
        check_is_run(folder)
        file, checkpoint = find_checkpoint(folder)
        agent = ActorCriticAgent.from_checkpoint(checkpoint, file, device, Passed.of(objects), trust_code)
        return cls._in(folder, agent, None)

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return self._records.epochs

    @property
    def env_steps(self) -> int:
        """Environment steps done."""
        steps = self._records.metrics["env_steps"]
        return int(steps[-1]) if len(steps) else 0

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the last weights; made at first use, unless the run has made it.

        Raises:
            ActorCriticError: As :func:`actor_critic.evaluate`.
        """
        if self._evaluation is None:
            self._evaluation = evaluate(self.agent)
        return self._evaluation

    def history(self) -> Table:
        """Return the metrics of every epoch: the fields of :class:`EpochReport`, and those of ``trainer.log``.

        The evaluations during the run have the columns ``evaluation_greedy_return``, ``evaluation_sampled_return`` and,
        with a reward model, ``evaluation_greedy_model_return`` and ``evaluation_sampled_model_return``.
        """
        return self._history

    def episodes(self) -> Table:
        """Return ``epoch``, ``return`` and ``length`` of every training episode, in the order in which they ended.

        A run folder holds them, except those of random states, where every step is an episode.
        """
        return self._episodes

    def findings(self) -> list[Finding]:
        """Return what an expert would notice about the run, the most important first."""
        records = self._records
        return find(replace(records, evaluation=self._evaluation))

    def __repr__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        return f"<Run of {self.settings.environment}: {self.epochs} epochs, {self.env_steps} steps{where}>"

    def _repr_html_(self) -> str:
        rows: list[tuple[object, ...]] = [
            ("environment", self.settings.environment),
            ("algorithm", self.settings.algorithm),
            ("epochs", f"{self.epochs} of {self.settings.num_epochs}"),
            ("environment steps", f"{self.env_steps:,}"),
        ]
        if self.stop_reason:
            rows.append(("ended", self.stop_reason))
        if self._evaluation:
            for name, mode in self._evaluation.modes.items():
                rows.append(
                    (f"{name} return", f"{mode.returns.mean:.4g} [{mode.returns.low:.4g}, {mode.returns.high:.4g}]")
                )
        if self.folder:
            rows.append(("folder", self.folder))
        rows += [("finding", finding.describe()) for finding in self.findings()]
        return html_table(rows)


def _number(value: float | int | None) -> float:
    return np.nan if value is None else float(value)


def _episodes_of(reports: Sequence[EpochReport]) -> Table:
    epochs = [np.full(len(report.episode_returns), float(report.epoch)) for report in reports]
    parts = (epochs, [report.episode_returns for report in reports], [report.episode_lengths for report in reports])
    return Table({name: np.concatenate([np.zeros(0), *part]) for name, part in zip(_EPISODES, parts, strict=True)})


def _with_logged(metrics: dict[str, npt.NDArray[np.float64]], logged: Iterable[tuple[int, str, float]]) -> Table:
    """Return the metrics with a column for each name that the user logged; the last value of an epoch counts."""
    table = dict(metrics)
    places = {int(epoch): place for place, epoch in enumerate(metrics["epoch"])}
    for epoch, name, value in logged:
        if epoch not in places:  # before the first epoch
            continue
        column = table.setdefault(name, np.full(len(metrics["epoch"]), np.nan))
        column[places[epoch]] = value
    return Table(table)
