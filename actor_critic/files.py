"""The only durable writer: after any crash a file is the whole old one or the whole new one."""

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

# How a system says that it cannot sync a folder at all: Windows opens none, some network file systems sync none.
_CANNOT_SYNC = {
    errno.EACCES, errno.EPERM, errno.EISDIR, errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS
}  # fmt: skip
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def write_durably(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` atomically: temporary name, fsync, rename, fsync of the folder.

    The temporary name starts with a dot and ends in ``.tmp``, so no pattern that looks for finished files
    meets it. When anything fails the temporary is removed and the old file is as it was.

    Raises:
        OSError: The disk refused; the old content is untouched, or where only the folder's fsync failed the new one is
            in its place.
    """
    temporary = _temporary_name(path)
    try:
        _write_and_sync(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        _discard(temporary)
        raise
    sync_folder(path.parent)


def link_durably(source: Path, target: Path) -> None:
    """Make ``target`` a second name of ``source``, atomically; a copy where the file system has no hard links.

    Raises:
        OSError: The disk refused; ``target`` is the old file or the new one.
    """
    temporary = _temporary_name(target)
    _discard(temporary)
    try:
        os.link(source, temporary)
    except OSError:
        write_durably(target, source.read_bytes())
        return
    try:
        os.replace(temporary, target)
    finally:
        # rename(2) does nothing when both names already are the same file: then the temporary is still there.
        _discard(temporary)
    sync_folder(target.parent)


def create_exclusively(path: Path, data: bytes) -> bool:
    """Write ``data`` to a new file and never over an existing one.

    Returns:
        False when something already stands at ``path``; it is then untouched.

    Raises:
        OSError: The disk refused; no part of a file is left behind.
    """
    temporary = _temporary_name(path)
    try:
        _write_and_sync(temporary, data)
        try:
            os.link(temporary, path)  # unlike a rename, a link never replaces what is there
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if path.exists():
                return False
            os.replace(temporary, path)
    finally:
        _discard(temporary)
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder holds, where the file system can.

    Raises:
        OSError: It can, and the disk refused.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it, and nothing that may never end: a pipe waits for its writer, and a device goes on.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - whoever asked closes it
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return stream


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left of their writes; for the one process that writes to the folder now."""
    for entry in folder.iterdir():
        if _TEMPORARY.fullmatch(entry.name):
            _discard(entry)


def _write_and_sync(path: Path, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _discard(temporary: Path) -> None:
    # What failed before is what there is to tell; a temporary that stays is removed when the run is taken up again.
    with contextlib.suppress(OSError):
        temporary.unlink()
