"""The records of a run on disk: metrics, checkpoints and evaluations."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actor_critic.config import Settings
from actor_critic.errors import CheckpointError
from actor_critic.evaluation import Evaluation
from actor_critic.process import resume_command
from actor_critic.storage import (
    SECONDS,
    Checkpoint,
    MetricsWriter,
    RunFolder,
    detail_columns,
    make_loggers,
    read_evaluation,
)
from actor_critic.training.counters import Counters
from actor_critic.training.report import METRICS, EpochReport
from actor_critic.training.videos import Video

log = logging.getLogger("actor_critic")


_MOST_OPTIONS = 64  # with more, details.csv leaves out the actions

MakeCheckpoint = Callable[[float | None], Checkpoint]
"""Makes a checkpoint, given the best score so far."""


class Recorder:
    """Writes the records of one run into its folder."""

    def __init__(self, folder: RunFolder, settings: Settings, counters: Counters, sizes: Sequence[int]) -> None:
        """Start, or continue after an epoch; metrics of later epochs are dropped.

        Args:
            folder: The run folder.
            settings: The settings of checkpoints: interval, number and error policy.
            counters: The counters of the run; this class updates the best score.
            sizes: The options of each choice of the action space.

        Raises:
            CheckpointError: The files cannot be written.
        """
        self._folder = folder
        self._settings = settings
        self._counters = counters
        self._seconds = dict.fromkeys(SECONDS, 0.0)
        self._sizes = sizes if sum(sizes) <= _MOST_OPTIONS else ()
        self._saved_epoch = counters.epoch if folder.holds(counters.epoch) else None
        with self._raise_checkpoint_error():
            columns, details = [*METRICS, "digest"], detail_columns(self._sizes)
            document = settings.to_document()
            loggers = make_loggers(settings.logger, folder.path, document)
            steps = counters.env_steps
            try:
                self._metrics = MetricsWriter(folder.path, columns, details, counters.epoch, steps, document, loggers)
            except BaseException:
                for logger in loggers:
                    logger.close()
                raise

    def keep(self, report: EpochReport, make_checkpoint: MakeCheckpoint, is_last: bool) -> None:
        """Write the metrics of an epoch, and a checkpoint if one is due or the epoch is the best so far.

        If no epoch had a score yet, the last checkpoint counts as the best.

        Args:
            report: The report of the epoch.
            make_checkpoint: Makes its checkpoint.
            is_last: Whether the run ends with this epoch.

        Raises:
            CheckpointError: The disk refused, and ``on_checkpoint_error`` is "stop".
        """
        best = self._counters.best
        is_due = report.epoch % self._settings.checkpoint_interval == 0 or is_last
        if self._settings.evaluation_interval is None:
            score = report.mean_return if is_due and self._counters.totals.is_representative else None
        else:
            score = report.evaluation.greedy.mean if report.evaluation else None
        is_best = score is not None and (best is None or score > best)
        checkpoint = make_checkpoint(score if is_best else best) if is_due or is_best else None
        with self._apply_error_policy():
            row = {**report.figures(), "digest": checkpoint.digest if checkpoint else None}
            if self._settings.is_random_states:  # every step is an episode
                self._metrics.write(row)
            else:
                self._metrics.write(row, report.episode_returns.tolist(), report.episode_lengths.tolist())
            self._keep_details(report, is_last)
        if checkpoint:
            with self._apply_error_policy():
                self._save(checkpoint, report.epoch, is_best or (is_last and best is None))

    def _keep_details(self, report: EpochReport, is_last: bool) -> None:
        """Add up the seconds, and write them with the actions of an epoch that were counted."""
        for name in SECONDS:
            self._seconds[name] += report.seconds.get(name, 0.0)
        if report.choices is None and not is_last:
            return
        cells: list[float | None] = [self._seconds[name] for name in SECONDS]
        if self._sizes:
            chosen = report.choices
            cells += [None] * (1 + sum(self._sizes)) if chosen is None else [chosen.forced, *chosen.frequencies]
        self._metrics.write_details(report.epoch, cells)
        self._seconds = dict.fromkeys(SECONDS, 0.0)

    def log(self, epoch: int, name: str, value: float) -> None:
        """Write a number of the user's, after an epoch.

        Raises:
            CheckpointError: The disk refused, and ``on_checkpoint_error`` is "stop".
        """
        with self._apply_error_policy():
            self._metrics.log(epoch, self._counters.env_steps, name, value)

    def has_video(self, epoch: int) -> bool:
        """Return whether an episode of an epoch is recorded."""
        return self._folder.has_video(epoch)

    def keep_video(self, epoch: int, video: Video) -> None:
        """Write a recorded episode of an epoch.

        Raises:
            CheckpointError: The disk refused, and ``on_checkpoint_error`` is "stop".
        """
        with self._apply_error_policy():
            log.info("recorded an episode: %s", self._folder.write_video(epoch, video.suffix, video.data))

    def keep_last(self, make_checkpoint: MakeCheckpoint) -> None:
        """Make sure that the last epoch has a checkpoint, and that there is a best checkpoint.

        Raises:
            CheckpointError: The disk refused.
        """
        best, epoch = self._counters.best, self._counters.epoch
        if self._saved_epoch != epoch or not self._folder.best.exists():
            checkpoint = make_checkpoint(best)
            with self._raise_checkpoint_error():
                self._save(checkpoint, epoch, best is None)

    def keep_evaluation_before(self, evaluation: Evaluation) -> None:
        """Write the evaluation of the initial weights; the evaluation of the final weights is added later.

        Raises:
            CheckpointError: The disk refused.
        """
        with self._raise_checkpoint_error():
            self._folder.write_evaluation({"epoch": 0, "before_training": evaluation.to_document()})

    def keep_evaluation(self, evaluation: Evaluation) -> None:
        """Write the evaluation of the final weights.

        Raises:
            CheckpointError: The disk refused.
        """
        env_steps = self._counters.env_steps
        document: dict[str, Any] = {"epoch": self._counters.epoch, "env_steps": env_steps, **evaluation.to_document()}
        before = (read_evaluation(self._folder.path) or {}).get("before_training")
        metrics = {f"last_{name}": value for name, value in evaluation.figures().items()}
        self._metrics.write_scalars({"env_steps": env_steps, **metrics})
        with self._raise_checkpoint_error():
            self._folder.write_evaluation(document | ({"before_training": before} if before else {}))

    def close(self) -> None:
        """Close the files.

        Raises:
            CheckpointError: The disk refused the last metrics.
        """
        with self._raise_checkpoint_error():
            self._metrics.close()

    def _save(self, checkpoint: Checkpoint, epoch: int, is_best: bool) -> None:
        """Save a checkpoint, then update the best score."""
        try:
            self._metrics.sync()  # first: a resumed run needs the rows up to its checkpoint
        finally:  # if the disk takes only one of them, the checkpoint matters more
            path = self._folder.save(checkpoint, epoch, is_best, self._settings.keep_checkpoints)
            self._saved_epoch = epoch
            self._counters.best = checkpoint.records["best"]
            log.info("checkpoint %s%s", path, " (best so far)" if is_best else "")

    @contextlib.contextmanager
    def _raise_checkpoint_error(self) -> Iterator[None]:
        """Convert a disk error into a CheckpointError that names the file, the reason and the remedy."""
        try:
            yield
        except (OSError, CheckpointError) as error:
            folder = self._folder.path
            command = resume_command(folder, bool(self._settings.code_to_trust))
            then = f"continue with: {command}" if self._folder.periodic() else "begin again"
            why = self._refusal(error)
            raise CheckpointError(f"{why}; make room on the disk or let it be written to, then {then}") from None

    @contextlib.contextmanager
    def _apply_error_policy(self) -> Iterator[None]:
        """Raise as above; only log if ``on_checkpoint_error`` is "continue"."""
        if self._settings.on_checkpoint_error == "stop":
            with self._raise_checkpoint_error():
                yield
            return
        try:
            yield
        except (OSError, CheckpointError) as error:
            log.error("%s; training continues, and the next checkpoint tries again", self._refusal(error))

    def _refusal(self, error: OSError | CheckpointError) -> str:
        if isinstance(error, CheckpointError):
            return str(error)
        return f"{error.filename or self._folder.path} cannot be written: {error.strerror or error}"
