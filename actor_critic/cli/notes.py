"""Log messages: shown on the screen at once, and written to the log file from the first one on."""

import contextlib
import logging
import logging.handlers
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console

from actor_critic.cli.options import CONFIG_FILE
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import console, say
from actor_critic.errors import ConfigError
from actor_critic.ranks import rank

log = logging.getLogger("actor_critic")


class Notes:
    """Collects the messages of a run's set-up, and writes them to a file when the run begins.

    A failed set-up therefore writes no file.
    """

    def __init__(self, screen: Console, speaker: str) -> None:
        self._shown = _Screen(screen, speaker) if rank() == 0 else _ScreenOfRank()
        self._kept = logging.handlers.MemoryHandler(10**6, logging.CRITICAL + 1, flushOnClose=False)
        self._errors = sys.stderr
        self._kept.buffer.append(_record(logging.INFO, f"command {sys.argv[1:]}"))

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Listen to the logger while the block runs."""
        log.setLevel(logging.INFO)
        handlers = (self._kept, self._shown)
        for handler in handlers:
            log.addHandler(handler)
        try:
            yield
        finally:
            for handler in handlers:
                log.removeHandler(handler)
                handler.close()

    def show_warnings_only(self) -> None:
        """Show only warnings from here on."""
        self._shown.is_setting_up = False

    @contextlib.contextmanager
    def log_to(self, path: Path) -> Iterator[None]:
        """Append all messages to a file: earlier ones now, and later ones while the block runs.

        From here on, the screen shows only warnings.

        Raises:
            ConfigError: The file cannot be written.
        """
        if rank() > 0:  # rank 0 writes it
            self.show_warnings_only()
            yield
            return
        name = as_typed(path)
        try:
            check_is_no_settings_file(path, absolute(CONFIG_FILE))
            file = _LogFile(path, self._kept.buffer, self._errors)
        except OSError as error:
            raise ConfigError(
                f"log_file: {name} cannot be written: {error.strerror or error}; expected a writable path"
            ) from None
        log.removeHandler(self._kept)
        log.addHandler(file)
        self.show_warnings_only()
        try:
            yield
        except Exception as error:
            file.handle(_record(logging.ERROR, f"stopped by {type(error).__name__}: {error}"))
            raise
        finally:
            log.removeHandler(file)
            file.close()


@contextlib.contextmanager
def notes(screen: Console, speaker: str = "") -> Iterator[Notes]:
    """Show the log messages while the block runs, and keep them for a log file.

    Args:
        screen: The console.
        speaker: Prefix of each line, if there are several runs.
    """
    heard = Notes(screen, speaker)
    with heard.heard():
        yield heard


def check_is_no_settings_file(log_file: Path, settings_file: Path) -> None:
    """Check that the log file is not the settings file.

    Raises:
        ConfigError: They are the same file.
    """
    with contextlib.suppress(OSError):  # a missing file is no settings file
        if log_file.samefile(settings_file):
            raise ConfigError(f"log_file: {as_typed(log_file)} is the settings file; expected another path")


class _Screen(logging.Handler):
    """Shows warnings, and other messages during the set-up of a run."""

    def __init__(self, screen: Console, speaker: str) -> None:
        super().__init__(logging.INFO)
        self.is_setting_up = True
        self._screen = screen
        self._speaker = speaker

    def emit(self, record: logging.LogRecord) -> None:
        # An error with a traceback ends the run, and the command prints it.
        if record.exc_info or (record.levelno < logging.WARNING and not self.is_setting_up):
            return
        kind = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        with contextlib.suppress(OSError):  # the next print reports the error
            say(self._screen, f"{self._speaker}{kind}{record.getMessage()}")


class _ScreenOfRank(_Screen):
    """Shows the warnings of a rank besides rank 0, except those of the set-up, which is the same on every rank."""

    def __init__(self) -> None:
        super().__init__(console(sys.stderr), f"rank {rank()}: ")

    def emit(self, record: logging.LogRecord) -> None:
        if not self.is_setting_up:
            super().emit(record)


class _LogFile(logging.FileHandler):
    """A log file: the first lines must be written; a later write error does not end the run."""

    def __init__(self, path: Path, first: list[logging.LogRecord], errors: TextIO) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._errors = errors
        self._may_refuse = False
        self._has_refused = False
        try:
            for record in first:
                self.emit(record)
        except OSError:
            self.close()
            raise
        self._may_refuse = True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - a name of the standard library
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._may_refuse:
            raise error
        elif not self._has_refused:
            self._has_refused = True
            with contextlib.suppress(OSError):
                print(f"the log {self.baseFilename} cannot be written: {error.strerror or error}", file=self._errors)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def _record(level: int, text: str) -> logging.LogRecord:
    return log.makeRecord(log.name, level, __file__, 0, text, (), None)
