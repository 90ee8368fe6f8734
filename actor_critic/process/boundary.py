"""Global state that environments change, such as warning filters, applies only to environments.

A process has one list of warning filters and one default dtype of PyTorch. Environments run with the values that they
set, and this program runs with its own.
"""

import _signal  # type: ignore[import-not-found]  # signal.getsignal converts to an enumeration, which takes 3 microseconds
import contextlib
import logging
import signal
import sys
import threading
import warnings
from _thread import get_ident as _get_ident
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from actor_critic.process.signals import ALL_ENDING_SIGNALS

_MAIN = threading.main_thread().ident
_LOG = logging.getLogger("actor_critic")
_OURS_ALWAYS = frozenset({"signals", "log"})  # not set again for environments, which do not need theirs
_STEPS_LOOKED_AT = 64
_theirs: dict[str, Any] = {}  # values that environments set, where they differ from this program's
_vectors = 0  # open vector environments
_unwatched = _STEPS_LOOKED_AT  # remaining steps that are checked one by one
_has_found = False  # whether environments changed any state
_here = threading.local()  # whether this thread is inside an environment
_UNREAD = object()
"""The state of PyTorch while it is not imported, as in workers. If an environment imports it, its state is theirs."""


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """Run the block with the global state that environments set before, and restore this program's at the end.

    It covers PyTorch's grad mode, default dtype, default device and number of threads, NumPy's error handling, warning
    filters, handlers of SIGINT, SIGTERM and SIGHUP, and whether this program's log is disabled. It does not restore the
    current folder, since an environment may look for its own files there; this program's paths are absolute.
    """
    if getattr(_here, "is_inside", False):
        yield
        return
    _here.is_inside = True
    try:
        with watched():
            for name, value in _theirs.items():
                _SETTERS[name](value)
            yield
    finally:
        _here.is_inside = False


class watched:  # noqa: N801 - used as a function; a generator would take as long as its work
    """Restore the global state at the end of the block, if an environment changed it.

    A rollout is watched as a whole, at no cost per step. The first steps, and all steps after a change was found, also
    run :func:`inside`.
    """

    def __enter__(self) -> None:
        self._ours = _state()

    def __exit__(self, *_: object) -> None:
        found = _state()
        if found != self._ours:
            _put_back(self._ours, found)
        elif _theirs and getattr(_here, "is_inside", False):
            _theirs.clear()


def _put_back(ours: tuple[Any, ...], found: tuple[Any, ...]) -> None:
    global _has_found
    for name, mine, value in zip(_SETTERS, ours, found, strict=True):
        if _UNREAD in (mine, value):
            continue
        if value != mine:
            _has_found = True
            _SETTERS[name](mine)
            if name not in _OURS_ALWAYS:
                _theirs[name] = value
        elif getattr(_here, "is_inside", False):
            _theirs.pop(name, None)


def is_crossed() -> bool:
    """Return whether a step has to run :func:`inside`."""
    global _unwatched
    if _unwatched:
        _unwatched -= 1
        return True
    return _has_found


def opened() -> None:
    """Count a vector environment that was opened."""
    global _vectors
    _vectors += 1


def closed() -> None:
    """Count a vector environment that was closed; after the last one, drop the values that environments set."""
    global _vectors, _unwatched, _has_found
    _vectors -= 1
    if _vectors == 0:
        _theirs.clear()
        _unwatched, _has_found = _STEPS_LOOKED_AT, False


def _state() -> tuple[Any, ...]:
    """Return the values that the setters below set, in their order; None for handlers that cannot be read or set."""
    handlers = [_signal.getsignal(number) for number in ALL_ENDING_SIGNALS] if _get_ident() == _MAIN else None
    log = logging.root.manager.disable, _LOG.disabled
    torch = sys.modules.get("torch")
    if torch is None:
        return np.geterr(), warnings.filters[:], log, handlers, *[_UNREAD] * 4
    # Asking PyTorch for the device takes 4 microseconds; the context exists only if somebody set a device.
    is_set = vars(torch._GLOBAL_DEVICE_CONTEXT).get("device_context") is not None
    return (
        np.geterr(),
        warnings.filters[:],
        log,
        handlers,
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device() if is_set else None,
        torch.get_num_threads(),
    )


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # tells the module that its filters changed


def _set_log(flags: tuple[int, bool]) -> None:
    logging.disable(flags[0])
    _LOG.disabled = flags[1]


def _set_signals(handlers: list[Any] | None) -> None:
    for number, handler in zip(ALL_ENDING_SIGNALS, handlers or [None] * len(ALL_ENDING_SIGNALS), strict=True):
        if handler is not None:  # None: the handler was not set from Python, which cannot restore it
            signal.signal(number, handler)


def _torch(setter: str) -> Callable[[Any], None]:
    def set_to(value: Any) -> None:
        if torch := sys.modules.get("torch"):
            getattr(torch, setter)(value)

    return set_to


_SETTERS: dict[str, Callable[[Any], object]] = {
    "numpy errors": lambda kinds: np.seterr(**kinds),
    "warning filters": _set_filters,
    "log": _set_log,
    "signals": _set_signals,
    "grad mode": _torch("set_grad_enabled"),
    "default dtype": _torch("set_default_dtype"),
    "default device": _torch("set_default_device"),
    "threads": _torch("set_num_threads"),
}
