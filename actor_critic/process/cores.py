"""The number of processor cores."""

import os


def available() -> int:
    """Return the number of cores that this process may run on, without regard to a container's quota."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
