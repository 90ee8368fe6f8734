"""Loading PyTorch and the rest of what a command needs."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import without the garbage collector, which would scan a million new objects that all stay alive.

    This saves about a tenth of the time to import PyTorch. Do not create other objects in the block: they would never
    be collected.
    """
    with without_collecting():
        yield
        gc.freeze()


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Set up without the garbage collector, because the set-up imports more modules."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
