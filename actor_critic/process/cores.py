"""The number of processor cores."""

import os

_ranks = 1


def available() -> int:
    """Return the number of cores for this process, at least 1, without regard to a container's quota."""
    return max(1, of_machine() // _ranks)


def of_machine() -> int:
    """Return the number of cores for this process and the other ranks of this machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def divide_among(ranks: int) -> None:
    """Divide the cores of this machine among as many ranks of a data-parallel run."""
    global _ranks
    _ranks = ranks
