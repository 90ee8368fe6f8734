"""Write files durably: after a crash, a file is completely old or completely new. No other module writes so."""

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

# Errors where a folder cannot be synced: Windows cannot open folders, some network file systems cannot sync them.
_CANNOT_SYNC = {
    errno.EACCES, errno.EPERM, errno.EISDIR, errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS
}  # fmt: skip
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def write_durably(path: Path, data: bytes) -> None:
    """Replace the content of ``path`` atomically: temporary name, fsync, rename, fsync of the folder.

    The temporary name starts with a dot and ends in ``.tmp``, so patterns for finished files do not match it. If
    anything fails, the temporary file is removed and the old file is unchanged.

    Raises:
        OSError: Writing failed, and the old content is unchanged. If only the fsync of the folder failed, the new
            content is in place.
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
    """Make ``target`` a hard link to ``source`` atomically, or a copy if the file system has no hard links.

    Raises:
        OSError: Writing failed; ``target`` is completely old or completely new.
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
        # If both names are already the same file, rename(2) does nothing and the temporary name remains.
        _discard(temporary)
    sync_folder(target.parent)


def create_exclusively(path: Path, data: bytes) -> bool:
    """Write ``data`` to a new file; never overwrite an existing one.

    Returns:
        False if ``path`` exists; it stays unchanged.

    Raises:
        OSError: Writing failed; no partial file remains.
    """
    temporary = _temporary_name(path)
    try:
        _write_and_sync(temporary, data)
        try:
            os.link(temporary, path)  # unlike a rename, a link never replaces a file
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
    """Make the entries of a folder durable, if the file system supports it.

    Raises:
        OSError: The file system supports it, but it failed.
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
    """Open a regular file for reading; refuse pipes and devices, whose reading may block or never end.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
    """
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return stream


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files of killed processes; only the process that writes to the folder may call this."""
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
    # Do not hide the error that led here. If the file remains, the resumed run removes it.
    with contextlib.suppress(OSError):
        temporary.unlink()
