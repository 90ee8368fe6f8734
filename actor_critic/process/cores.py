"""How many processor cores there are to run on."""

import os


def available() -> int:
    """Cores that this process may run on; a quota of its container's is not seen."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
