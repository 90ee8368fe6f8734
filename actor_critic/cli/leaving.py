"""The end of a command: stop signals, and remaining threads and processes."""

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from actor_critic.process import end_at_once, ending_signals, here_alone
from actor_critic.ranks import is_launched

if TYPE_CHECKING:  # most commands do not need this import
    from rich.console import Console

_PATIENCE = 1.0  # seconds for threads and processes that are about to end


@contextlib.contextmanager
def noted_signals(screen: "Console", react: Callable[[], None]) -> Iterator[list[int]]:
    """Record Ctrl-C, SIGTERM and SIGHUP while the block runs, and react to the first; a second one ends the process.

    A handler can run between any two lines. It must not wait for a lock, because the line before may hold it.

    Args:
        screen: The console; it becomes quiet when its terminal is closed.
        react: Called at the first signal.

    Returns:
        The received signals.
    """
    received: list[int] = []
    is_terminal = screen.is_terminal

    def on_signal(number: int, _: FrameType | None) -> None:
        if received:  # a second one, of any kind, ends the process at once
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received.append(number)
        if number not in (signal.SIGINT, signal.SIGTERM):
            screen.quiet = is_terminal  # the terminal is closed
        react()

    previous = {number: signal.signal(number, here_alone(on_signal)) for number in ending_signals()}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Leaving:
    """Records the threads and processes at the start of the command; its end does not wait for later ones."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._children = set(multiprocessing.active_children())
        self._streams = [sys.stdout, sys.stderr]

    def end(self, code: int) -> NoReturn:
        """End the process with an exit code."""
        # A rank has threads of the network library, which may abort the process where its objects are destroyed.
        if not self.is_alone() or is_launched():
            end_at_once(code, *self._streams, sys.stdout, sys.stderr)
        sys.exit(code)

    def is_alone(self) -> bool:
        """End the remaining child processes, and return whether no thread delays the exit."""
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
