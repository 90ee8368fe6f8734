"""What `train` and `resume` share: the log file, signals, the loop with its progress, the closing words."""

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console

from actor_critic.cli.console import ProgressView, print_evaluation
from actor_critic.cli.options import CONFIG_FILE
from actor_critic.cli.screen import say
from actor_critic.commands import command_line
from actor_critic.config import Settings
from actor_critic.errors import ConfigError
from actor_critic.trainer import INTERRUPTED, Trainer

log = logging.getLogger("actor_critic")


class _LogFile(logging.FileHandler):
    """A log file whose disk may refuse it: the first line must be written, and what is lost later ends no run."""

    def __init__(self, path: str, first_line: str) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._may_refuse = False
        self._has_refused = False
        try:
            self.emit(log.makeRecord(log.name, logging.INFO, __file__, 0, first_line, (), None))
        except OSError:
            self.close()
            raise
        self._may_refuse = True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the standard library's
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._may_refuse:
            raise error
        elif not self._has_refused:
            self._has_refused = True
            with contextlib.suppress(OSError):
                print(f"the log {self.baseFilename} cannot be written: {error.strerror or error}", file=sys.stderr)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def log_to(path: str) -> Iterator[None]:
    """Append the log to a file while the block runs.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        if Path(path).exists() and Path(CONFIG_FILE).exists() and Path(path).samefile(CONFIG_FILE):
            raise ConfigError(f"log_file: {path} is the settings file; expected another path")
        handler = _LogFile(path, f"command {sys.argv[1:]}")
    except OSError as error:
        raise ConfigError(
            f"log_file: {path} cannot be written: {error.strerror or error}; expected a writable path"
        ) from None
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    except Exception as error:
        log.error("stopped by %s: %s", type(error).__name__, error)
        raise
    finally:
        log.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def stopped_by_signals(trainer: Trainer) -> Iterator[list[int]]:
    """End a run after its epoch where Ctrl-C or SIGTERM comes while the block runs, and close it.

    Returns:
        The signals that came.
    """
    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)  # a second one, of either kind, ends the process at once
        if trainer.is_over and trainer.evaluation is None:
            raise KeyboardInterrupt  # only an evaluation is cut short
        trainer.stop(INTERRUPTED)

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    except KeyboardInterrupt:
        log.info("interrupted in the evaluation of the last weights")
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
        received = stack.enter_context(stopped_by_signals(trainer))
        view = stack.enter_context(ProgressView(console, trainer.settings, trainer.epoch))
        for report in trainer:
            view.show(report)
    _print_closing_words(trainer, console)
    return 128 + received[0] if received else 0


def _print_closing_words(trainer: Trainer, console: Console) -> None:
    folder = trainer.run_folder
    assert folder is not None
    log.info("ended after epoch %d: %s", trainer.epoch, trainer.stop_reason)
    if trainer.evaluation:
        console.print()
        print_evaluation(
            console, trainer.evaluation, f"last weights, {trainer.evaluation.episodes} fresh episodes each"
        )
        console.print()
    if trainer.stop_reason != "finished":
        say(console, f"stopped after epoch {trainer.epoch}: {trainer.stop_reason}")
    say(console, f"kept in {folder}")
    if not trainer.evaluation:
        say(console, f"go on with: {resume_command(folder, trainer.settings)}")


def resume_command(folder: Path, settings: Settings) -> str:
    """The command that goes on with a run."""
    return command_line("resume", folder, *(["--trust-code"] if settings.code_to_trust else []))


def existing(path: str) -> Path:
    """A path that is there.

    Raises:
        ConfigError: It is not, or nobody may look.
    """
    try:
        is_there = Path(path).exists()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}; expected a readable path") from None
    if not is_there:
        raise ConfigError(f"{path} does not exist; expected a run folder or a checkpoint file")
    return Path(path)
