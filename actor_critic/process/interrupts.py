"""Ctrl-C, told apart from a KeyboardInterrupt that somebody's environment raises."""

import _signal  # type: ignore[import-not-found]  # the functions of signal look in enumerations, each for microseconds
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGINT = int(signal.SIGINT)
_MAIN = threading.main_thread().ident

Handler = Callable[[int, FrameType | None], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (or a notebook's stop button): the person's wish, and no fault of whatever code it fell into."""


@contextlib.contextmanager
def recognized() -> Iterator[None]:
    """Have Ctrl-C raise :class:`Interrupted` while the block runs.

    Only Python's own handler of the main thread is replaced: a program that handles Ctrl-C itself goes on to do so.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    is_replaced = _replace_handler(on_signal)
    try:
        yield
    finally:
        if is_replaced:
            _signal.signal(_SIGINT, signal.default_int_handler)


class postponed:  # noqa: N801 - used as a function, in every epoch: a generator would take twice as long
    """Note Ctrl-C while the block runs, without raising anything; a second one raises :class:`Interrupted` at once.

    Entering it gives a function that says whether Ctrl-C was noted.
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
    """Have a handler instead of Python's own; says whether it is."""
    is_replaced = threading.get_ident() == _MAIN and _signal.getsignal(_SIGINT) is signal.default_int_handler
    if is_replaced:
        _signal.signal(_SIGINT, handler)
    return is_replaced
