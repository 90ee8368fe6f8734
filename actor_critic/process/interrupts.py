"""Ctrl-C, as distinct from a KeyboardInterrupt that an environment raises."""

import _signal  # type: ignore[import-not-found]  # the functions of signal convert to enumerations, which takes microseconds
import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGINT = int(signal.SIGINT)
_MAIN = threading.main_thread().ident

_WAIT = 0.01  # seconds until Ctrl-C is raised again, outside the destructor

Handler = Callable[[int, FrameType | None], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (or a notebook's stop button): a request of the user, not a fault of the code that it interrupts."""


@contextlib.contextmanager
def recognized() -> Iterator[None]:
    """Make Ctrl-C raise :class:`Interrupted` while the block runs.

    Only Python's own handler in the main thread is replaced; a handler of the program itself stays.
    """
    dropped = _Dropped()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        dropped.is_due = False
        raise Interrupted

    if not _replace_handler(on_signal):
        yield
        return
    try:
        with dropped.raised_again():
            yield
    finally:
        _signal.signal(_SIGINT, signal.default_int_handler)


class _Dropped:
    """Ctrl-C that arrived in a destructor: Python prints and drops what a destructor raises, so it is sent again."""

    is_due = False  # it was dropped, and has not been raised since

    @contextlib.contextmanager
    def raised_again(self) -> Iterator[None]:
        """Raise Ctrl-C again, outside the destructor; at the end of the block at the latest."""
        before = sys.unraisablehook
        timers: list[threading.Timer] = []  # the last one

        def on_unraisable(dropped: "sys.UnraisableHookArgs") -> None:
            if not isinstance(dropped.exc_value, Interrupted):
                before(dropped)
                return
            self.is_due = True
            timers[:] = [threading.Timer(_WAIT, self._send)]
            timers[0].daemon = True
            timers[0].start()

        sys.unraisablehook = on_unraisable
        try:
            yield
        finally:
            sys.unraisablehook = before
            for timer in timers:
                timer.cancel()
                timer.join()  # if it was sent just now, it arrives here
        if self.is_due:
            raise Interrupted

    def _send(self) -> None:
        if self.is_due:
            _interrupt()


def _interrupt() -> None:
    """Send Ctrl-C to the main thread."""
    if hasattr(signal, "pthread_kill") and _MAIN is not None:
        signal.pthread_kill(_MAIN, _SIGINT)  # wakes it from a system call, too
    else:
        _thread.interrupt_main()


class postponed:  # noqa: N801 - used as a function, in every epoch: a generator would take twice as long
    """Record Ctrl-C while the block runs without raising; a second Ctrl-C raises :class:`Interrupted` at once.

    The value of the ``with`` statement is a function that returns whether Ctrl-C was recorded.
    """

    def __init__(self) -> None:
        self._is_noted = False

    def __enter__(self) -> Callable[[], bool]:
        self._is_replaced = _replace_handler(self._on_signal)
        return lambda: self._is_noted

    def __exit__(self, *_: object) -> None:
        if self._is_replaced:
            _signal.signal(_SIGINT, signal.default_int_handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_noted:
            raise Interrupted
        self._is_noted = True


def _replace_handler(handler: Handler) -> bool:
    """Replace Python's own handler of Ctrl-C, if that one is set; return whether it was replaced."""
    is_replaced = threading.get_ident() == _MAIN and _signal.getsignal(_SIGINT) is signal.default_int_handler
    if is_replaced:
        _signal.signal(_SIGINT, handler)
    return is_replaced
