"""Training in one call."""

import contextlib
import logging
from pathlib import Path
from typing import Unpack

from actor_critic.config import Config, PassedObjects, Settings, check_names
from actor_critic.ranks import rank
from actor_critic.report import live_view
from actor_critic.runs.run import Run
from actor_critic.training import EpochReport, Trainer

log = logging.getLogger("actor_critic")


def train(
    config: Config | Settings | None = None,
    run_folder: str | Path | None = None,
    *,
    progress: bool = True,
    **objects: Unpack[PassedObjects],
) -> Run:
    """Train a policy, and show the progress on the terminal or in the notebook.

    Ctrl-C (a notebook's stop button) ends the run after its epoch, and returns the run so far, which
    ``Trainer.resume`` continues if it has a folder. A second Ctrl-C stops at once, with a KeyboardInterrupt.

    Args:
        config: What to train; None takes the default of every setting.
        run_folder: A new folder for checkpoints, metrics and evaluations; None writes nothing.
        progress: Whether to show the progress.
        objects: Your ``environment``, ``wrappers``, ``reward_model``, ``encoder`` or ``evaluation_environment``, as for
            :class:`Trainer`.

    Returns:
        The run.

    Raises:
        ActorCriticError: As :class:`Trainer` and its iteration.
    """
    check_names(objects)
    with contextlib.closing(Trainer(config or Config(), run_folder, **objects)) as trainer:
        return run_to_end(trainer, progress)


def run_to_end(trainer: Trainer, progress: bool = True) -> Run:
    """Train to the end of a run, or until Ctrl-C, and return it.

    Args:
        trainer: A new or resumed run.
        progress: Whether to show the progress.
    """
    reports: list[EpochReport] = []
    with live_view(trainer.settings, trainer.epoch) if progress and rank() == 0 else contextlib.nullcontext() as view:
        try:
            for report in trainer:
                reports.append(report)
                if view:
                    view.show(report)
        except KeyboardInterrupt:  # an Interrupted, or plain if it came between two epochs
            if trainer.epoch == 0 or trainer.epoch_begun > trainer.epoch:  # a second one cut the epoch short
                raise
            if trainer.last_report and trainer.last_report not in reports[-1:]:
                reports.append(trainer.last_report)  # of the epoch that Ctrl-C let end
            trainer.stop("interrupted")
            log.warning("interrupted after epoch %d of %d", trainer.epoch, trainer.settings.num_epochs)
    if rank() == 0 and trainer.run_folder and trainer.evaluation and trainer.settings.report:
        from actor_critic.report import page  # imported here, because it takes long

        page.write_run_page(trainer.run_folder, trainer.agent)
    return Run.of(trainer, reports)
