"""Where compiled code is kept between runs: a folder that only its user can write to."""

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import stat
import sys
import time
from pathlib import Path

log = logging.getLogger("actor_critic")

_SECONDS_KEPT = 30 * 24 * 3600.0


@functools.cache
def cache_folder() -> Path | None:
    """Make the folder, with mode 0700, and tell Numba of it; ``NUMBA_CACHE_DIR`` names another one to make it in.

    There is one for each state of the sources, since Numba sees changes in the file of a function, and not in those of
    the functions that it calls.

    Numba unpickles what it finds there. So where anything in the folder, or on the way to it, belongs to somebody else
    or may be written to by others, it is not used: the code is then compiled anew in every run.

    Returns:
        The folder; None where there is none to use.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    wished = os.environ.get("NUMBA_CACHE_DIR")
    named = Path(wished or base / "actor-critic" / "compiled")
    folder = named
    try:
        if not wished:
            _make_closed(named.expanduser().parent)
        named.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = named.expanduser().resolve(strict=True)  # what is checked is what is used, wherever a link may lead
        _check(folder, is_parent_ours=not wished)
        if folder.name != _sources():  # as it is in a process that was started by another one
            folder = folder / _sources()
            folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(folder)
            if not wished:
                _forget_unused(folder.parent)
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        log.warning(
            "compiled code cannot be kept in %s (%s): compiling takes some seconds in every run; name a folder of your "
            "own in NUMBA_CACHE_DIR",
            folder,
            error,
        )
        return None
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # which has read it by then
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


def _forget_unused(folder: Path) -> None:
    """Remove what has been compiled for other states of the sources, where no run used it for a month."""
    for found in folder.iterdir():
        with contextlib.suppress(OSError):  # another run may be removing it
            if time.time() - found.lstat().st_mtime > _SECONDS_KEPT:
                shutil.rmtree(found)


def _sources() -> str:
    """Return a name for the present sources of compiled functions."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _make_closed(folder: Path) -> None:
    """Make a folder of our own with mode 0700; one that is there, made under an open umask, is closed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    is_mine = hasattr(os, "getuid") and found.st_uid == os.getuid()
    if is_mine and stat.S_ISDIR(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(0o700)


def _check(folder: Path, is_parent_ours: bool) -> None:
    """Make sure that nobody else can put anything into a folder, or another folder in its place.

    Args:
        folder: To keep compiled code in.
        is_parent_ours: Whether its parent is a folder of this package, in which a group has no business either.

    Raises:
        OSError: Somebody can, or the folder is not to be written to.
    """
    if not os.access(folder, os.W_OK):
        raise OSError("it cannot be written to")
    if not hasattr(os, "getuid"):
        return
    me, is_closed = os.getuid(), not folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    for above in folder.parents:
        found = above.stat()
        # In a folder like /tmp everybody may write, but nobody may rename what is somebody else's.
        is_open = bool(found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX)
        if is_parent_ours and above == folder.parent:
            is_open = bool(found.st_mode & (stat.S_IWOTH | stat.S_IWGRP))
        if found.st_uid not in (0, me) or is_open:
            raise OSError(f"others may put another folder in its place, in {above}")
    for path in (folder, *folder.rglob("*")):
        found = path.lstat()
        # Where the group may write by default, Numba's own folders in a closed one are no less closed for that.
        open_to = stat.S_IWOTH if is_closed else stat.S_IWOTH | stat.S_IWGRP
        if found.st_uid != me or stat.S_ISLNK(found.st_mode) or found.st_mode & open_to:
            raise OSError(f"{path} belongs to somebody else, or others may write to it")
