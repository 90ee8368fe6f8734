"""What a run leaves on disk: metrics, checkpoints and evaluations, kept around the loop and never inside it."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from actor_critic.config import Settings
from actor_critic.errors import CheckpointError
from actor_critic.evaluation import Evaluation
from actor_critic.process import resume_command
from actor_critic.storage import Checkpoint, MetricsWriter, RunFolder
from actor_critic.training.epoch_report import FIGURES, EpochReport

log = logging.getLogger("actor_critic")


class Recorder:
    """Keeps the records of one run in its folder.

    Attributes:
        best: The best score so far; None before there is one.
    """

    def __init__(self, folder: RunFolder, settings: Settings, epoch: int, env_steps: int, best: float | None) -> None:
        """Begin, or go on after an epoch: figures that a stopped run wrote beyond it are dropped.

        Args:
            folder: The run folder.
            settings: How often, how many checkpoints are kept, and what follows where one cannot be written.
            epoch: Epochs done.
            env_steps: Environment steps done.
            best: The best score so far.

        Raises:
            CheckpointError: The files cannot be written.
        """
        self._folder = folder
        self._settings = settings
        self._saved_epoch = epoch if folder.holds(epoch) else None
        self.best = best
        with self._loudly():
            self._metrics = MetricsWriter(folder.path, [*FIGURES, "digest"], epoch, env_steps)

    def keep(
        self, report: EpochReport, make_checkpoint: Callable[[], Checkpoint], is_last: bool, is_representative: bool
    ) -> None:
        """Keep what an epoch reported, and a checkpoint if one is due or it is the best so far.

        Where no score was one to choose by until the last epoch, the last checkpoint is the best one.

        Args:
            report: Of the epoch.
            make_checkpoint: Makes one of it.
            is_last: Whether no epoch follows.
            is_representative: Whether its mean return is one to choose by, where no evaluations are.

        Raises:
            CheckpointError: The disk refused, and ``on_checkpoint_error`` is "stop".
        """
        is_due = report.epoch % self._settings.checkpoint_interval == 0 or is_last
        if self._settings.evaluation_interval is None:
            score = report.mean_return if is_due and is_representative else None
        else:
            score = report.evaluation.greedy.mean if report.evaluation else None
        is_best = score is not None and (self.best is None or score > self.best)
        checkpoint = make_checkpoint() if is_due or is_best else None
        with self._as_wished():
            self._metrics.write({**report.figures(), "digest": checkpoint.digest if checkpoint else None})
        if checkpoint:
            with self._as_wished():
                self._save(checkpoint, report.epoch, is_best or (is_last and self.best is None), score)

    def keep_last(self, epoch: int, make_checkpoint: Callable[[], Checkpoint]) -> None:
        """Make sure that the epoch a run was left after has a checkpoint, and that some checkpoint is the best one.

        Raises:
            CheckpointError: The disk refused.
        """
        if self._saved_epoch != epoch or not self._folder.best.exists():
            checkpoint = make_checkpoint()
            with self._loudly():
                self._save(checkpoint, epoch, self.best is None)

    def keep_evaluation_before(self, evaluation: Evaluation) -> None:
        """Keep the evaluation of the first weights, to stand beside that of the last.

        Raises:
            CheckpointError: The disk refused.
        """
        with self._loudly():
            self._folder.write_evaluation({"epoch": 0, "before_training": evaluation.to_document()})

    def keep_evaluation(self, evaluation: Evaluation, epoch: int, env_steps: int) -> None:
        """Keep the evaluation of the last weights.

        Raises:
            CheckpointError: The disk refused.
        """
        document: dict[str, Any] = {"epoch": epoch, "env_steps": env_steps, **evaluation.to_document()}
        before = (self._folder.read_evaluation() or {}).get("before_training")
        figures = {f"last_{name}": figure for name, figure in evaluation.figures().items()}
        self._metrics.write_scalars({"env_steps": env_steps, **figures})
        with self._loudly():
            self._folder.write_evaluation(document | ({"before_training": before} if before else {}))

    def close(self) -> None:
        """Close the files.

        Raises:
            CheckpointError: The disk refused figures to the end.
        """
        with self._loudly():
            self._metrics.close()

    def _save(self, checkpoint: Checkpoint, epoch: int, is_best: bool, score: float | None = None) -> None:
        """Save a checkpoint, and its score where it is the best so far."""
        checkpoint.records["best"] = score if is_best else self.best
        try:
            self._metrics.sync()  # first: a resumed run goes on with the rows up to its checkpoint
        finally:  # which are less than it, if the disk takes only one of them
            path = self._folder.save(checkpoint, epoch, is_best, self._settings.keep_checkpoints)
            self._saved_epoch = epoch
            self.best = checkpoint.records["best"]
            log.info("checkpoint %s%s", path, " (best so far)" if is_best else "")

    @contextlib.contextmanager
    def _loudly(self) -> Iterator[None]:
        """Where the disk refuses, say what it was, why, and what to do."""
        try:
            yield
        except (OSError, CheckpointError) as error:
            folder = self._folder.path
            command = resume_command(folder, bool(self._settings.code_to_trust))
            then = f"go on with: {command}" if self._folder.periodic() else "begin again"
            why = self._refusal(error)
            raise CheckpointError(f"{why}; make room on the disk or let it be written to, then {then}") from None

    @contextlib.contextmanager
    def _as_wished(self) -> Iterator[None]:
        """The same, or where ``on_checkpoint_error`` says so a line of the log and no more."""
        if self._settings.on_checkpoint_error == "stop":
            with self._loudly():
                yield
            return
        try:
            yield
        except (OSError, CheckpointError) as error:
            log.error("%s; training goes on, and it is tried again with the next checkpoint", self._refusal(error))

    def _refusal(self, error: OSError | CheckpointError) -> str:
        if isinstance(error, CheckpointError):
            return str(error)
        return f"{error.filename or self._folder.path} cannot be written: {error.strerror or error}"
