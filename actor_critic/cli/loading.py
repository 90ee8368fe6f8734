"""Loading PyTorch and the rest of what a command needs."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import without the garbage collector, which would look at a million new objects that all stay.

    It saves about a tenth of the time that it takes to import PyTorch. Nothing else may be made meanwhile: it would
    not be looked at later either, and never be collected.
    """
    with without_collecting():
        yield
        gc.freeze()


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Set up without the garbage collector, as that imports more."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
