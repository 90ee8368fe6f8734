"""The signals that ask a process to end."""

import os
import signal
from collections.abc import Callable
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one means a closed terminal; Windows has none

ALL_ENDING_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""The signals that ask a process to end."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end this process: all of them but an ignored SIGHUP, as under nohup."""
    return tuple(
        number
        for number in ALL_ENDING_SIGNALS
        if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN
    )


def here_alone(handler: Callable[[int, FrameType | None], None]) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that acts only in this process; forked processes take the default action.

    Environments may fork processes, which inherit the handler.
    """
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return handle
