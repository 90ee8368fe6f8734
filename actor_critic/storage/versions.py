"""The versions that the bits of a run depend on: recorded in each checkpoint, compared where a run goes on."""

import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import torch


def current_versions() -> dict[str, str]:
    """Return what decides the bits of a run in this process: versions by name, and the kind of processor."""
    return dict(_current())


@cache
def _current() -> dict[str, str]:
    return {
        "actor-critic": sys.modules["actor_critic"].__version__,  # imports point down, and this one would point up
        "python": platform.python_version(),
        "torch": torch.__version__,  # names the build as well, such as 2.13.0+cpu
        "numpy": np.__version__,
        **{name: metadata.version(name) for name in ("gymnasium", "numba", "scipy")},  # not imported for this alone
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def different_versions(written: dict[str, str], path: Path) -> str | None:
    """Say in words which recorded versions differ from the current ones.

    Args:
        written: The versions that a checkpoint records; empty where it was written before there was such a record.
        path: Where that checkpoint lies.

    Returns:
        One sentence for a log; None if no recorded version differs.
    """
    pairs = ((name, written[name], here) for name, here in _current().items() if name in written)
    words = [f"{name} {there:.60} (here {here})" for name, there, here in pairs if there != here]
    if not words:
        return None
    return (
        f"{path} was written with {', '.join(words)}; the bits of a run depend on this: install the versions that it "
        f"was written with where the same bits are needed"
    )
