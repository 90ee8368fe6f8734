"""What a run leaves on disk: metrics, checkpoints and evaluations, kept around the loop and never inside it."""

import logging
from collections.abc import Callable
from typing import Any

from actor_critic.checkpoints import Checkpoint
from actor_critic.config import Settings
from actor_critic.epoch_report import FIGURES, EpochReport
from actor_critic.evaluation import Evaluation
from actor_critic.metrics import MetricsWriter
from actor_critic.runs import RunFolder

log = logging.getLogger("actor_critic")


class Recorder:
    """Keeps the records of one run in its folder.

    Attributes:
        best: The best score so far; None before there is one.
    """

    def __init__(self, folder: RunFolder, settings: Settings, epoch: int, best: float | None) -> None:
        """Begin, or go on after an epoch: figures that a stopped run wrote beyond it are dropped.

        Args:
            folder: The run folder.
            settings: How often, and how many checkpoints are kept.
            epoch: Epochs done.
            best: The best score so far.

        Raises:
            OSError: The files cannot be written.
        """
        self._folder = folder
        self._settings = settings
        self._metrics = MetricsWriter(folder.path, FIGURES, epoch)
        self._saved_epoch = epoch if epoch else None
        self.best = best

    def keep(self, report: EpochReport, make_checkpoint: Callable[[], Checkpoint], is_last: bool) -> None:
        """Keep what an epoch reported, and a checkpoint if one is due or it is the best so far.

        Raises:
            CheckpointError: The disk refused.
        """
        self._metrics.write(report.figures())
        is_due = report.epoch % self._settings.checkpoint_interval == 0 or is_last
        if self._settings.evaluation_interval is None:
            score = report.mean_return if is_due else None
        else:
            score = report.evaluation.greedy.mean if report.evaluation else None
        is_best = score is not None and (self.best is None or score > self.best)
        if is_best:
            self.best = score
        if is_due or is_best:
            self._save(make_checkpoint(), report.epoch, is_best)

    def keep_last(self, epoch: int, make_checkpoint: Callable[[], Checkpoint]) -> None:
        """Make sure that the epoch a run was left after has a checkpoint.

        Raises:
            CheckpointError: The disk refused.
        """
        if self._saved_epoch != epoch:
            self._save(make_checkpoint(), epoch, is_best=False)

    def keep_evaluation_before(self, evaluation: Evaluation) -> None:
        """Keep the evaluation of the first weights, to stand beside that of the last."""
        self._folder.write_evaluation({"epoch": 0, "before_training": evaluation.to_document()})

    def keep_evaluation(self, evaluation: Evaluation, epoch: int, env_steps: int) -> None:
        """Keep the evaluation of the last weights."""
        document: dict[str, Any] = {"epoch": epoch, "env_steps": env_steps, **evaluation.to_document()}
        before = (self._folder.read_evaluation() or {}).get("before_training")
        self._folder.write_evaluation(document | ({"before_training": before} if before else {}))

    def _save(self, checkpoint: Checkpoint, epoch: int, is_best: bool) -> None:
        self._metrics.flush()  # first: a resumed run goes on with the rows up to its checkpoint
        checkpoint.records["best"] = self.best
        path = self._folder.save(checkpoint, epoch, is_best, self._settings.keep_checkpoints)
        self._saved_epoch = epoch
        log.info("checkpoint %s%s", path, " (best so far)" if is_best else "")

    def close(self) -> None:
        """Close the files."""
        self._metrics.close()
