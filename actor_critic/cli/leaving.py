"""The end of a process: the signals that ask for it, and who is left then."""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

_PATIENCE = 1.0  # seconds for threads and processes that are about to end


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and where there is one and nobody ignores it (nohup does) the one of a closed terminal."""
    hang_up = getattr(signal, "SIGHUP", None)
    is_ignored = hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if is_ignored else (hang_up,)))


def here_alone(handler: Callable[[int, FrameType | None], None]) -> Callable[[int, FrameType | None], None]:
    """A signal handler of this process alone: in one that an environment forks from it, the signal means the usual."""
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return handle


class Leaving:
    """Who was there when the command began; whoever came later and is still there when it ends is not waited for."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._children = set(multiprocessing.active_children())
        self._streams = [sys.stdout, sys.stderr]

    def end(self, code: int) -> NoReturn:
        """End the process with an exit code."""
        if not self.is_alone():
            self._end_at_once(code)
        sys.exit(code)

    def is_alone(self) -> bool:
        """End the processes that were left running; says whether no thread would hold the process up."""
        deadline = time.monotonic() + _PATIENCE
        children = set(multiprocessing.active_children()) - self._children
        for child in children:
            child.terminate()
        for child in children:
            child.join(max(0.0, deadline - time.monotonic()))
            if child.is_alive():
                child.kill()
                child.join(_PATIENCE)
        threads = {thread for thread in set(threading.enumerate()) - self._threads if not thread.daemon}
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads - {threading.current_thread()})

    def _end_at_once(self, code: int) -> NoReturn:
        logging.shutdown()
        for stream in {id(each): each for each in (*self._streams, sys.stdout, sys.stderr)}.values():
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
