"""Where compiled code is kept between runs: a folder that only its user can write to."""

import functools
import logging
import os
import stat
from pathlib import Path

log = logging.getLogger("actor_critic")


@functools.cache
def cache_folder() -> Path | None:
    """Make the folder, with mode 0700, and tell Numba of it; ``NUMBA_CACHE_DIR`` names another one.

    Numba unpickles what it finds there, so a folder that belongs to somebody else, or that others may write to, is not
    used: the code is then compiled anew in every run.

    Returns:
        The folder; None where there is none to use.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or base / "actor-critic" / "compiled")
    try:
        folder = folder.expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        is_ours = not hasattr(os, "getuid") or found.st_uid == os.getuid()
        is_private = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or not hasattr(os, "getuid")
        if not (is_ours and is_private and os.access(folder, os.W_OK)):
            raise OSError("it belongs to somebody else, or others may write to it")
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        log.warning(
            "compiled code cannot be kept in %s (%s): compiling takes some seconds in every run; name a folder of your "
            "own in NUMBA_CACHE_DIR",
            folder,
            error,
        )
        return None
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder


def is_compiled() -> bool:
    """Whether some earlier run left compiled code; it may still be of another version."""
    folder = cache_folder()
    return folder is not None and any(folder.rglob("kernels.update-*.nbi"))
