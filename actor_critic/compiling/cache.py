"""The cache folder of compiled code, which only its user can write to."""

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

log = logging.getLogger("actor_critic")

_SECONDS_KEPT = 30 * 24 * 3600.0

_COMPILED = ("compiling/*.py", "backends/fused/*.py", "environments/functional/**/*.py", "rollouts/compiled*.py")
"""Patterns of the files with compiled functions, relative to the package."""


@functools.cache
def cache_folder() -> Path | None:
    """Create the cache folder with mode 0700 and set it in Numba; ``NUMBA_CACHE_DIR`` overrides its parent folder.

    Each version of the sources has its own folder, because Numba detects changes only in the file of a function, not in
    the functions that it calls.

    Numba unpickles the files in the folder. So the folder is not used if another user owns or can write to it, a
    file in it or a folder above it. Every run then compiles again.

    Returns:
        The folder; None if no folder can be used.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    wished = os.environ.get("NUMBA_CACHE_DIR")
    named = Path(wished or base / "actor-critic" / "compiled")
    folder = named
    try:
        if not wished:
            _make_closed(named.expanduser().parent)
        named.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = named.expanduser().resolve(strict=True)  # check the folder that is used, not a link to it
        _check(folder, is_parent_ours=not wished)
        if folder.name != _sources():  # equal in a child process
            folder = folder / _sources()
            folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(folder)
            if not wished:
                for other in unused(folder.parent.iterdir()):  # of another version of the sources
                    shutil.rmtree(other, ignore_errors=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        log.warning(
            "compiled code cannot be kept in %s (%s): compiling takes some seconds in every run; name a folder of your "
            "own in NUMBA_CACHE_DIR",
            folder,
            error,
        )
        return None
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it has read the variable already
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


def unused(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths that no run used for a month."""
    for path in paths:
        with contextlib.suppress(OSError):  # another run may be removing it
            if time.time() - path.lstat().st_mtime > _SECONDS_KEPT:
                yield path


def _sources() -> str:
    """Return a name for the current version of all sources that contain compiled functions."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for pattern in _COMPILED:
        for path in sorted(package.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _make_closed(folder: Path) -> None:
    """Create our folder with mode 0700; remove write access of others from an existing one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    is_mine = hasattr(os, "getuid") and found.st_uid == os.getuid()
    if is_mine and stat.S_ISDIR(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(0o700)


def _check(folder: Path, is_parent_ours: bool) -> None:
    """Make sure that no other user can write to a folder or replace it.

    Args:
        folder: The folder for compiled code.
        is_parent_ours: Whether this package made the parent, so that its group must not write to it either.

    Raises:
        OSError: Other users can, or the folder is not writable.
    """
    if not os.access(folder, os.W_OK):
        raise OSError("it cannot be written to")
    if not hasattr(os, "getuid"):
        return
    me, is_closed = os.getuid(), not folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    for above in folder.parents:
        found = above.stat()
        # In a folder with the sticky bit, such as /tmp, users cannot rename files of other users.
        is_open = bool(found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX)
        if is_parent_ours and above == folder.parent:
            is_open = bool(found.st_mode & (stat.S_IWOTH | stat.S_IWGRP))
        if found.st_uid not in (0, me) or is_open:
            raise OSError(f"others may put another folder in its place, in {above}")
    for path in (folder, *folder.rglob("*")):
        found = path.lstat()
        # Inside a closed folder, group access to the folders of Numba (from an open umask) is harmless.
        open_to = stat.S_IWOTH if is_closed else stat.S_IWOTH | stat.S_IWGRP
        if found.st_uid != me or stat.S_ISLNK(found.st_mode) or found.st_mode & open_to:
            raise OSError(f"{path} belongs to somebody else, or others may write to it")
