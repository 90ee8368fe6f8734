"""The only durable writer: after any crash a file is the whole old one or the whole new one."""

import contextlib
import os
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` atomically: temporary name, fsync, rename, fsync of the folder.

    The temporary name starts with a dot and ends in ``.tmp``, so no pattern that looks for finished files
    meets it. When anything fails the temporary is removed and the old file is as it was.

    Raises:
        OSError: The disk refused; the old content is untouched.
    """
    temporary = _temporary_name(path)
    try:
        _write_and_sync(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def link_durably(source: Path, target: Path) -> None:
    """Make ``target`` a second name of ``source``, atomically; a copy where the file system has no hard links."""
    temporary = _temporary_name(target)
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        write_durably(target, source.read_bytes())
        return
    try:
        os.replace(temporary, target)
    finally:
        # rename(2) does nothing when both names already are the same file: then the temporary is still there.
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def create_exclusively(path: Path, data: bytes) -> bool:
    """Write ``data`` to a new file and never over an existing one.

    Returns:
        False when something already stands at ``path``; it is then untouched.

    Raises:
        OSError: The disk refused; nothing is left behind.
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
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _write_and_sync(path: Path, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder, and some network file systems refuse to sync one: the rename is still atomic.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
