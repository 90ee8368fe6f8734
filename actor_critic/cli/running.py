"""What `train` and `resume` share: signals, the loop with its progress, the closing words."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console

from actor_critic.cli.console import ProgressView, print_evaluation
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import say, say_as_is
from actor_critic.commands import command_line
from actor_critic.config import Settings
from actor_critic.errors import ConfigError
from actor_critic.interrupts import Interrupted
from actor_critic.trainer import INTERRUPTED, Trainer

log = logging.getLogger("actor_critic")


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and where there is one and nobody ignores it (nohup does) the one of a closed terminal."""
    hang_up = getattr(signal, "SIGHUP", None)
    is_ignored = hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if is_ignored else (hang_up,)))


@contextlib.contextmanager
def stopped_by_signals(trainer: Trainer, console: Console) -> Iterator[list[int]]:
    """End a run after its epoch where Ctrl-C, SIGTERM or SIGHUP comes while the block runs, and close it.

    Returns:
        The signals that came.
    """
    received: list[int] = []
    numbers = ending_signals()

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)  # a second one, of any kind, ends the process at once
        if number not in (signal.SIGINT, signal.SIGTERM):
            console.quiet = True  # the terminal is gone
        if trainer.is_over and trainer.evaluation is None:
            raise Interrupted  # only an evaluation is cut short
        trainer.stop(INTERRUPTED)

    previous = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield received
    except Interrupted:
        log.info("interrupted in the evaluation of the last weights")
    except OSError as error:
        if not received or error.filename is not None:  # else it is the terminal, which went before its signal came
            raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        trainer.close()


def run(trainer: Trainer, console: Console) -> int:
    """Train to the end, or to the end of the epoch in which a signal came.

    Returns:
        The exit code: 0, or 128 + the signal.
    """
    with contextlib.ExitStack() as stack:
        if trainer.settings.backend == "fused":
            from actor_critic.backends.fused.compiling import when_compiling

            stack.enter_context(when_compiling(lambda: say(console, "compiling: this takes up to half a minute")))
        received = stack.enter_context(stopped_by_signals(trainer, console))
        view = stack.enter_context(ProgressView(console, trainer.settings, trainer.epoch))
        for report in trainer:
            view.show(report)
    _print_closing_words(trainer, console)
    return 128 + received[0] if received else 0


def _print_closing_words(trainer: Trainer, console: Console) -> None:
    assert trainer.run_folder is not None
    folder = as_typed(trainer.run_folder)
    log.info("ended after epoch %d: %s", trainer.epoch, trainer.stop_reason)
    if trainer.evaluation:
        console.print()
        print_evaluation(
            console, trainer.evaluation, f"last weights, {trainer.evaluation.episodes} fresh episodes each"
        )
        console.print()
    if trainer.stop_reason != "finished":
        say(console, f"stopped after epoch {trainer.epoch}: {trainer.stop_reason}")
    say_as_is(console, f"kept in {folder}")
    if not trainer.evaluation:
        say_as_is(console, f"go on with: {resume_command(folder, trainer.settings)}")


def resume_command(folder: Path, settings: Settings) -> str:
    """The command that goes on with a run."""
    return command_line("resume", folder, *(["--trust-code"] if settings.code_to_trust else []))


def existing(path: str) -> Path:
    """A path that is there, wherever an environment goes.

    Raises:
        ConfigError: It is not, or nobody may look.
    """
    try:
        is_there = absolute(path).exists()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}; expected a readable path") from None
    if not is_there:
        raise ConfigError(f"{path} does not exist; expected a run folder or a checkpoint file")
    return absolute(path)
