"""A file that is only appended to, with a buffer that survives a failed write."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from actor_critic.files import sync_folder


class Appended:
    """A file opened for appending, with a buffer.

    After a partial write, the writers of the standard library and of tensorboardX lose data or write it twice.

    Attributes:
        head: What a new file begins with.
    """

    def __init__(self, path: Path) -> None:
        """Append to a file, which is made at the first write if it does not exist."""
        self.head = b""
        self._path = path
        self._descriptor: int | None = None
        self._waiting = bytearray()

    def add(self, data: bytes) -> None:
        """Append data to the buffer."""
        self._waiting += data

    def write(self, text: str) -> None:
        """Append a text to the buffer, like the ``write`` of a file."""
        self._waiting += text.encode()

    def flush(self) -> None:
        """Write the buffer; after a partial write, the next call continues with the rest.

        Raises:
            OSError: The disk refused; the rest stays in the buffer.
        """
        if not self._waiting:
            return
        with self._named():
            if self._descriptor is None:
                is_new = not self._path.exists()
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                if is_new:
                    self._waiting[:0] = self.head
                    sync_folder(self._path.parent)
            while self._waiting:
                written = os.write(self._descriptor, self._waiting)
                del self._waiting[:written]

    def sync(self) -> None:
        """Sync what was written to disk.

        Raises:
            OSError: The disk refused.
        """
        if self._descriptor is not None:
            with self._named():
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; the buffer is lost."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise
