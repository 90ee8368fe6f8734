"""Loading PyTorch and the rest of what a command needs."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Import and set up without the garbage collector, which would look at a million new objects that all stay.

    It saves about a tenth of the time that it takes to import PyTorch.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()  # nor look at them later
    finally:
        if was_enabled:
            gc.enable()
