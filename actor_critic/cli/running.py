"""`train` and `resume` after PyTorch is imported: set-up, signals, training loop, final messages."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from actor_critic.agent import ActorCriticAgent
from actor_critic.cli.console import print_evaluation, print_settings
from actor_critic.cli.continuing import check_is_same, place_of_run, set_aside
from actor_critic.cli.findings import print_findings
from actor_critic.cli.launcher import Launcher
from actor_critic.cli.leaving import noted_signals
from actor_critic.cli.loading import without_collecting
from actor_critic.cli.notes import log, notes
from actor_critic.cli.pages import write_page_at_the_end
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import say, say_as_is
from actor_critic.cli.seeds import run_seeds
from actor_critic.config import Resolution, Settings
from actor_critic.errors import ConfigError
from actor_critic.evaluation import Evaluation
from actor_critic.process import Interrupted, begin_with, resume_command
from actor_critic.ranks import check_is_alone, rank, remember, wait_for_all
from actor_critic.report import live_view
from actor_critic.training import FINISHED, INTERRUPTED, FoundRun, Trainer


def train(
    resolution: Resolution,
    screen: Console,
    seeds: tuple[int, ...],
    again: list[str],
    begin: Callable[[], list[str]],
    is_verbose: bool,
    run_folder: str | None,
    launcher: Launcher,
) -> int:
    """Set up and train a run, or one run per seed.

    Args:
        resolution: The settings and their sources.
        screen: The console.
        seeds: Seeds to train in parallel; empty for a single run.
        again: The command that trains one seed alone, without its last word, the seed.
        begin: Called when the settings are known to be valid; returns messages to print first.
        is_verbose: Whether to print defaults as well.
        run_folder: The folder of the run, which continues a run that it holds; None for a new one.
        launcher: What starts the processes of seeds.

    Returns:
        The exit code.

    Raises:
        ActorCriticError: The run cannot be set up, or failed.
    """
    settings = resolution.settings
    if seeds:
        check_is_alone("train --seeds")
    path, found = place_of_run(run_folder)
    if found:
        if seeds:
            raise ConfigError(f"--run-folder: {as_typed(path)} holds a single run; --seeds needs a new folder")
        is_trusted = check_is_same(found, settings)
        say(screen, f"continuing {as_typed(path)} after epoch {found.checkpoint.counters.get('epoch', 0)}")
        return resume(found, screen, absolute(settings.log_file), trust_code=is_trusted)
    # Frames of imports, and their callers, may stay alive; so no frame that imports holds a trainer.
    with contextlib.ExitStack() as stack:
        heard = stack.enter_context(notes(screen))
        with without_collecting():
            trainer = Trainer(settings)
        stack.callback(trainer.close)
        with trainer.together():  # rank 0 alone writes files
            stack.enter_context(heard.log_to(absolute(settings.log_file)))
            for remark in begin():
                say(screen, remark)
                log.info(remark)
            if rank() == 0 and not seeds and (note := set_aside(path)):
                say(screen, note)
                log.info(note)
        if seeds:
            trainer.close()
            print_settings(screen, trainer.settings, resolution.sources | {"seed": "each of --seeds"}, is_verbose)
            return run_seeds(trainer.settings, seeds, path, screen, again, launcher)
        folder = trainer.keep_in(path)
        remember("run_folder", str(folder))
        log.info("start of %s with settings %s", folder, trainer.settings.to_document())
        log.info("settings come from %s", resolution.sources)
        print_settings(screen, trainer.settings, resolution.sources, is_verbose)
        say_as_is(screen, f"run folder {as_typed(folder)}")
        return _run(trainer, screen)


def resume(found: FoundRun, screen: Console, log_file: Path, **how: Any) -> int:
    """Resume a run and train it to its end.

    Args:
        found: The run.
        screen: The console.
        log_file: The log to append to.
        how: See :meth:`Trainer.resume`.

    Returns:
        The exit code.

    Raises:
        ActorCriticError: The run cannot be resumed, or failed.
    """
    with notes(screen) as heard:
        with without_collecting():
            trainer = Trainer.resume(found, **how)
        with contextlib.closing(trainer), heard.log_to(log_file):
            settings = trainer.settings
            if trainer.epoch < settings.num_epochs or not trainer.is_evaluated:
                return _run(trainer, screen)
            longer = "--num-epochs extends it"
            if settings.is_annealed:
                weights = as_typed(found.folder / "last.safetensors")
                longer = f"it is annealed over these; for more, start a new run with {begin_with(weights)}"
            note = f"the run is finished: {trainer.epoch} of {settings.num_epochs} epochs; {longer}"
            log.info(note)
            say(screen, note)
            return 0


@contextlib.contextmanager
def stopped_by_signals(trainer: Trainer, console: Console) -> Iterator[list[int]]:
    """End a run after its epoch on Ctrl-C, SIGTERM or SIGHUP in the block; then close it.

    Returns:
        The received signals.
    """
    try:
        with noted_signals(console, trainer.interrupt) as received:
            try:
                yield received
            except Interrupted:
                log.info("interrupted in the evaluation of the last weights")
            except OSError as error:
                if not received or error.filename is not None:  # else the terminal closed before its signal arrived
                    raise
    finally:
        trainer.close()


def _run(trainer: Trainer, console: Console) -> int:
    """Train to the end, or to the end of the epoch in which a signal arrived.

    Returns:
        The exit code: 0, or 128 + the signal.
    """
    with contextlib.ExitStack() as stack:
        if trainer.settings.backend == "fused":
            from actor_critic.compiling import when_compiling

            stack.enter_context(when_compiling(lambda: say(console, "compiling: this takes up to half a minute")))
        received = stack.enter_context(stopped_by_signals(trainer, console))
        view = stack.enter_context(live_view(trainer.settings, trainer.epoch, console))
        for report in trainer:
            view.show(report)
    if rank() == 0:
        _print_closing_words(trainer, console)
    wait_for_all()  # a launcher ends the other ranks as soon as one has ended
    if trainer.stop_reason == INTERRUPTED and not received:  # another rank received the signal
        return 128 + signal.SIGTERM
    return 128 + received[0] if received else 0


@dataclass(frozen=True)
class Ended:
    """A run that has ended, in its folder."""

    folder: Path
    settings: Settings
    agent: ActorCriticAgent
    epoch: int
    evaluation: Evaluation | None
    stop_reason: str | None


def _print_closing_words(trainer: Trainer, console: Console) -> None:
    assert trainer.run_folder is not None
    reason = trainer.stop_reason
    run = Ended(trainer.run_folder, trainer.settings, trainer.agent, trainer.epoch, trainer.evaluation, reason)
    print_closing_words(run, console)


def print_closing_words(run: Ended, console: Console) -> None:
    """Print what became of a run, and write its page."""
    folder = as_typed(run.folder)
    log.info("ended after epoch %d: %s", run.epoch, run.stop_reason)
    if run.evaluation:
        console.print()
        print_evaluation(console, run.evaluation, f"last weights, {run.evaluation.episodes} fresh episodes each")
        console.print()
        print_findings(console, run.folder)
    if run.evaluation and run.settings.report:
        write_page_at_the_end(console, run.folder, run.agent)
    if run.stop_reason != FINISHED:
        say(console, f"stopped after epoch {run.epoch}: {run.stop_reason}")
    if run.evaluation and run.settings.is_annealed and run.stop_reason == FINISHED:
        more = begin_with(folder / "last.safetensors")
        say_as_is(console, f"annealed over its length, so resume cannot extend it; train on with {more}")
    say_as_is(console, f"kept in {folder}")
    if not run.evaluation:
        say_as_is(console, f"continue with: {resume_command(folder, bool(run.settings.code_to_trust))}")


def existing(path: str) -> Path:
    """Return an existing path as an absolute path.

    Raises:
        ConfigError: The path does not exist or cannot be read.
    """
    try:
        is_there = absolute(path).exists()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}; expected a readable path") from None
    if not is_there:
        raise ConfigError(f"{path} does not exist; expected a run folder or a checkpoint file")
    return absolute(path)
