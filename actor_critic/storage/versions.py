"""The versions that the bits of a run depend on: stored in each checkpoint, and compared on resume."""

import contextlib
import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import torch


def current_versions() -> dict[str, str]:
    """Return the current library versions and processor type, by name; the bits of a run depend on them."""
    return dict(_current()) | (_gpu() if torch.cuda.is_initialized() else {})  # type: ignore[no-untyped-call]


def _gpu() -> dict[str, str]:
    """Return the kind of GPU, on which the bits of its kernels depend."""
    return {"gpu": torch.cuda.get_device_name()}


@cache
def _current() -> dict[str, str]:
    return {
        "actor-critic": sys.modules["actor_critic"].__version__,  # not imported, because imports must point down
        "python": platform.python_version(),
        "torch": torch.__version__,  # includes the build, such as 2.13.0+cpu
        "numpy": np.__version__,
        **_installed("gymnasium", "numba", "scipy"),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def _installed(*names: str) -> dict[str, str]:
    """Return the versions of those packages that are installed, without importing them."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def different_versions(written: dict[str, str], path: Path) -> str | None:
    """Return a text that names the recorded versions that differ from the current ones.

    Args:
        written: The versions in a checkpoint; empty in older checkpoints.
        path: The path of the checkpoint.

    Returns:
        One sentence for a log; None if no recorded version differs.
    """
    current = current_versions() | (_gpu() if "gpu" in written and torch.cuda.is_available() else {})
    pairs = ((name, written[name], here) for name, here in current.items() if name in written)
    words = [f"{name} {there:.60} (here {here})" for name, there, here in pairs if there != here]
    if not words:
        return None
    return (
        f"{path} was written with {', '.join(words)}; the bits of a run depend on this; for the same bits, install "
        f"the versions that it was written with"
    )
