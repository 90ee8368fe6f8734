"""What a run does beside the loop on rank 0: its records and evaluations."""

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, SupportsFloat
from zlib import crc32

import numpy as np

from actor_critic.errors import ActorCriticError, ConfigError, RankFault
from actor_critic.evaluation import Evaluation
from actor_critic.process import Interrupted, postponed, resume_command
from actor_critic.ranks import is_shared, shared
from actor_critic.storage import periodic, to_documents
from actor_critic.training.control import RunControl
from actor_critic.training.recorder import Recorder
from actor_critic.training.report import METRICS, EpochReport
from actor_critic.training.stopping import FINISHED, INTERRUPTED

log = logging.getLogger("actor_critic")

_LOGGED_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]{0,199}")


class RecordedRun(RunControl):
    """A run with its records and evaluations; :class:`Trainer` adds the loop.

    In a data-parallel run, rank 0 records and evaluates, while the others wait and contribute to checkpoints.
    """

    _is_interrupted = False  # by Ctrl-C, in an epoch or while its records were written

    def log(self, name: str, value: SupportsFloat) -> None:
        """Record a number of your own after the current epoch, beside the metrics of the run.

        With a run folder it is written to ``logged.csv`` and to TensorBoard; ``Run.history`` has a column of this name.
        The next reports show it as ``report.logged[name]``.

        Args:
            name: Its name: letters, digits, spaces and ``_ - . /``; no name of a metric.
            value: A number, or a tensor or array of one.

        Raises:
            ConfigError: The name is not allowed, the value is no number, or the run is over.
            CheckpointError: The disk refused.
        """
        if self.is_over:
            raise ConfigError(f"log: {name!r} cannot be recorded any more, because the run is over")
        if not isinstance(name, str) or not _LOGGED_NAME.fullmatch(name) or name in {*METRICS, "digest"}:
            raise ConfigError(
                f"log: the name {name!r} is not allowed; expected letters, digits, spaces and _ - . /, and no name "
                f"of a metric, such as {METRICS[4]}"
            )
        try:
            number = float(value)
        except (OverflowError, TypeError, ValueError):
            raise ConfigError(f"log: {name}={value!r} is not allowed; expected a number") from None
        self.logged.append((self.epoch, name, number))
        self._last_values[name] = number
        if self._recorder:
            self._recorder.log(self.epoch, name, number)
        elif self._ranks.is_first:
            self._unwritten.append((self.epoch, name, number))

    def together(self) -> AbstractContextManager[None]:
        """Wait at the end of the block for all ranks; if one raises an error in it, all raise it."""
        return self._ranks.joint("ending a block of trainer.together")

    def _open_records(self, stack: contextlib.ExitStack) -> None:
        """Open the files of the run folder, if there is one, until the stack ends."""
        self._ranks.lead(lambda: self._open_files(stack))

    def _open_files(self, stack: contextlib.ExitStack) -> None:
        if self._folder is None:
            return
        self._folder.claim()
        self._recorder = Recorder(self._folder, self.settings, self._counters, self.agent.actions.sizes)
        stack.callback(self._recorder.close)
        while self._unwritten:
            self._recorder.log(*self._unwritten.pop(0))
        self._folder.write_changes(self._state.changes)

    def _evaluate_before(self) -> None:
        """Evaluate the initial weights of a recorded run, if the optimal return is known."""
        if self.epoch == 0:
            self._ranks.lead(self._keep_evaluation_before)

    def _keep_evaluation_before(self) -> None:
        if self._recorder and (evaluation := self._evaluations.before()):
            self._recorder.keep_evaluation_before(evaluation)

    def _goes_on(self) -> bool:
        """Return whether another epoch follows; all ranks come to the same result.

        Raises:
            Interrupted: Ctrl-C reached a rank of a data-parallel run.
            ConfigError: The ranks were changed differently.
        """
        reason = self.stop_reason  # read once, because a signal may set it at any time
        self._wants_snapshot = self._state.wants_snapshot
        if not self._ranks.is_alone:
            reason = self._agreed(reason)
        self._reason = reason
        return reason is None and self.epoch < self.settings.num_epochs

    def _agreed(self, reason: str | None) -> str | None:
        """Return the reason to stop of any rank, compare what the program changed, and agree on a snapshot."""
        changes = crc32(repr(to_documents(self._state.changes)).encode()) if self._state.changes else 0
        mine = [reason is not None, self._is_interrupted, changes, self._wants_snapshot]
        found = self._ranks.rows(np.array(mine, np.float64), "going on with the loop")
        self._wants_snapshot = bool(found[:, 3].any())
        if found[:, 1].any():
            raise shared(Interrupted())
        if (found[:, 2] != found[0, 2]).any():
            other = int(np.argmax(found[:, 2] != found[0, 2]))
            raise shared(
                ConfigError(f"change: rank {other} has made other changes than rank 0; make them on all ranks")
            )
        return next(filter(None, self._ranks.objects(reason))) if found[:, 0].any() else None

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Let Ctrl-C wait for the end of the block where all ranks must stop together."""
        if self._ranks.is_alone:
            yield
            return
        with postponed() as is_interrupted:
            yield
        self._is_interrupted |= is_interrupted()

    def _keep(self, report: EpochReport) -> EpochReport:
        """Evaluate the weights if an evaluation is due, and record the epoch; return its report."""
        if self._folder_path or self._evaluations.is_due(self.epoch):
            evaluation = self._ranks.lead(lambda: self._keep_epoch(report), self._state.contribute)
        else:  # nothing that can fail, or that takes long enough to wait for it
            evaluation = self._keep_epoch(report) if self._ranks.is_first else None
        self.last_report = report = replace(report, evaluation=evaluation) if evaluation else report
        return report

    def _keep_epoch(self, report: EpochReport) -> Evaluation | None:
        evaluation = None
        try:
            if evaluation := self._evaluations.if_due(self.epoch):
                report = replace(report, evaluation=evaluation)
        finally:  # the epoch is recorded even if its evaluation fails
            if self._recorder:
                began = time.perf_counter()
                with postponed() as is_interrupted:
                    is_last = self.epoch == self.settings.num_epochs or self.stop_reason is not None
                    self._recorder.keep(report, self._state.checkpoint, is_last)
                self._is_interrupted |= is_interrupted()
                self._seconds["records"] = time.perf_counter() - began
        if log.isEnabledFor(logging.INFO):
            log.info("%s", report.describe(self.settings.num_epochs))
        if self._recorder and (video := self._videos.if_due(self.epoch)):
            self._recorder.keep_video(self.epoch, video)
        return evaluation

    def _keep_last(self) -> None:
        """Make sure that the last epoch has a checkpoint, unless a rank was lost."""
        if not self._ranks.is_broken:
            self._ranks.lead(self._keep_last_checkpoint, self._state.contribute)

    def _ended_by(self, fault: RankFault) -> RankFault:
        """Return the error for the end of the run because another rank was lost."""
        where = f"{fault}; the run ends in epoch {max(self.epoch, self.epoch_begun)}"
        if self._folder_path is None:
            return RankFault(where)
        newest = max((epoch for epoch, _ in periodic(self._folder_path)), default=None)
        if newest is None:
            return RankFault(f"{where}, before its first checkpoint")
        command = resume_command(self._folder_path, bool(self.settings.code_to_trust))
        return RankFault(f"{where}; it continues after epoch {newest} with: {command}")

    def _fail_later(self, fault: ActorCriticError | None) -> None:
        """Keep the fault of a loop that was left on this rank alone; Python drops an error that is raised there."""
        if isinstance(fault, RankFault) and not is_shared(fault):
            self._ranks.fail_at_the_end(self._ended_by(fault))

    def _keep_last_checkpoint(self) -> None:
        if self._recorder:
            self._recorder.keep_last(self._state.checkpoint)

    def _finish(self) -> None:
        """Note why the run ended, and evaluate the final weights of a recorded run."""
        reason = self.stop_reason if self._ranks.is_alone else self._reason
        self.stop_reason = reason or FINISHED
        self.is_over = True
        if self._folder_path and self.stop_reason != INTERRUPTED:
            self.evaluation = self._ranks.lead(self._evaluate)

    def _evaluate(self) -> Evaluation:
        if self.evaluation and self.is_evaluated:
            return self.evaluation
        assert self._recorder is not None
        evaluation = self._evaluations.after(self.epoch, self._counters.first_return)
        self._recorder.keep_evaluation(evaluation)
        if not self._recorder.has_video(self.epoch) and (video := self._videos.after(self.epoch)):
            self._recorder.keep_video(self.epoch, video)
        return evaluation

    def _abandon_if_alone(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Exchange nothing any more after an error of which the other ranks do not know."""
        if error is not None and ends_this_rank_alone(error):
            self._ranks.abandon()


def ends_this_rank_alone(error: BaseException) -> bool:
    """Return whether the other ranks do not know of what ends the loop; a loop that is left ends on all of them."""
    return not is_shared(error) and not isinstance(error, GeneratorExit)
