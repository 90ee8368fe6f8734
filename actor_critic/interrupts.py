"""Ctrl-C, told apart from a KeyboardInterrupt that somebody's environment raises."""

import _signal  # type: ignore[import-not-found]  # the functions of signal look in enumerations, each for microseconds
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGINT = int(signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (or a notebook's stop button): the person's wish, and no fault of whatever code it fell into."""


@contextlib.contextmanager
def recognized() -> Iterator[None]:
    """Have Ctrl-C raise :class:`Interrupted` while the block runs.

    Only Python's own handler of the main thread is replaced: a program that handles Ctrl-C itself goes on to do so.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    with _handled_by(on_signal):
        yield


@contextlib.contextmanager
def postponed() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C while the block runs, without raising anything; a second one raises :class:`Interrupted` at once.

    Yields:
        A function that says whether Ctrl-C was noted.
    """
    noted = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            raise Interrupted
        noted = True

    with _handled_by(on_signal):
        yield lambda: noted


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or _signal.getsignal(_SIGINT) is not signal.default_int_handler:
        yield
        return
    _signal.signal(_SIGINT, handler)
    try:
        yield
    finally:
        _signal.signal(_SIGINT, signal.default_int_handler)
