"""The signals that ask a process to end."""

import os
import signal
from collections.abc import Callable
from types import FrameType


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGINT, SIGTERM, and SIGHUP (a closed terminal) unless it is missing or ignored, as under nohup."""
    hang_up = getattr(signal, "SIGHUP", None)
    is_ignored = hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if is_ignored else (hang_up,)))


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
