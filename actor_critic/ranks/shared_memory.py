"""Exchange among the ranks of one machine through shared memory, where a network library takes a millisecond."""

import mmap
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.compiling import STRIDE, YIELDS, wait
from actor_critic.errors import RankFault
from actor_critic.process import cores
from actor_critic.ranks.heads import HEAD, agreed_sizes
from actor_critic.ranks.ranks import Memory

_FOLDER = Path("/dev/shm")
_PATIENT = 50_000  # yields before napping, some ten milliseconds, if every rank has a core
_LEAST, _MOST = 2**20, 2**22
"""Bytes of a place: at first, and from which PyTorch's network library is as fast as memory."""

_NAPS = 1000  # some ten milliseconds together

Tell = Callable[[str], list[str]]
"""Returns the texts of all ranks of all machines, given the own one."""


class SharedMemory(Memory):
    """A file in memory that the ranks of one machine map."""

    naps = _NAPS

    def __init__(self, place: int, members: Mapping[int, int], timeout: float, tell: Tell) -> None:
        """Map memory that the ranks of this machine share.

        Args:
            place: The place of this rank among those of this machine.
            members: The ranks of this machine, and their processes.
            timeout: Seconds to wait for another rank.
            tell: Passes texts among all ranks, each of which makes such an object at the same time.

        Raises:
            OSError: A rank of any machine cannot map the memory; all others raise this too.
        """
        self.place, self._ranks, self._processes = place, list(members), list(members.values())
        self._timeout, self._tell = timeout, tell
        self._most = _MOST
        self.yields = YIELDS if len(members) > cores.of_machine() else _PATIENT
        self._allocate(_LEAST)

    def exchange(self, mine: npt.NDArray[np.uint8], what: str) -> list[npt.NDArray[np.uint8]] | None:
        """Return the bytes of every rank, valid until the next exchange; None if these are too many for memory.

        Args:
            mine: The bytes of this rank.
            what: What this rank does; the others must do the same.

        Raises:
            OtherRankFailed: Another rank has raised an error.
            RankFault: Another rank has ended, does not come in time, or does something else.
        """
        turn = self.step % 2
        half, heads = self.places[turn], self._heads[turn]
        heads[self.place] = len(mine), what.encode()
        if len(mine) <= half.shape[1]:
            half[self.place, : len(mine)] = mine
        self._meet()
        sizes = agreed_sizes(heads, self.place, self._ranks)
        if max(sizes) <= half.shape[1]:
            return [row[:size] for row, size in zip(half, sizes, strict=True)]
        return self.exchange(mine, what) if self.has_room_for(max(sizes)) else None

    def announce(self, what: str) -> None:
        """See :class:`Memory`."""
        # Only in the half of the next exchange: slower ranks may still read the heads of the last one.
        self._heads[self.step % 2, self.place] = 0, what.encode()

    def has_room_for(self, size: int) -> bool:
        """Make places of this many bytes, unless there are larger ones; all ranks ask for the same.

        Returns:
            Whether memory can hold so many.
        """
        if size > self._most:
            return False
        if size > self.places.shape[2]:
            try:
                self._allocate(-(-2 * size // 64) * 64)
            except OSError:  # on all ranks
                self._most = self.places.shape[2]
                return False
        return True

    def _meet(self) -> None:
        self.step += 1
        flags, count = self.flags, len(self._processes)
        if wait(flags, count, self.place, self.step, self.yields, self.naps):
            return
        begun = time.monotonic()
        while not wait(flags, count, self.place, self.step, 0, self.naps):
            self.check(begun)
            if time.monotonic() > begun + 1:  # rank 0 may evaluate, and needs the cores
                time.sleep(0.005)

    def check(self, begun: float) -> None:
        """See :class:`Memory`."""
        late = [k for k in range(len(self._processes)) if self.flags[STRIDE * k] < self.step]
        for k in late:
            if not _is_alive(self._processes[k]) and self.flags[STRIDE * k] < self.step:
                raise RankFault(f"rank {self._ranks[k]}, process {self._processes[k]}, has ended")
        if late and time.monotonic() > begun + self._timeout:
            raise RankFault(
                f"rank {self._ranks[late[0]]}, process {self._processes[late[0]]}, did not come within "
                f"rank_timeout={self._timeout:g} s; it hangs, or needs a longer rank_timeout"
            )

    def _allocate(self, capacity: int) -> None:
        """Map new memory on all ranks; the first one makes it, as a file that loses its name at once."""
        count = len(self._processes)
        flags, heads = 8 * STRIDE * count, HEAD.itemsize * 2 * count
        size = flags + heads + 2 * count * capacity
        name = _make_file(size) if self.place == 0 else ""
        name = self._tell(name)[self._ranks[0]]
        memory = _map(name, size) if name else None
        has_failed = "" in self._tell("" if memory is None else "mapped")
        if self.place == 0 and name:
            os.unlink(name)
        if memory is None or has_failed:
            raise OSError("there is no memory that the ranks of this machine can share")
        self.flags = np.frombuffer(memory, np.int64, STRIDE * count)
        self._heads = np.frombuffer(memory, HEAD, 2 * count, offset=flags).reshape(2, count)
        self.places = np.frombuffer(memory, np.uint8, offset=flags + heads).reshape(2, count, capacity)
        self.step = 0


def _make_file(size: int) -> str:
    """Return the path of a new file whose memory is reserved; empty if there is not enough."""
    if not hasattr(os, "posix_fallocate"):
        return ""
    try:
        descriptor, name = tempfile.mkstemp(prefix="actor_critic_", dir=_FOLDER if _FOLDER.is_dir() else None)
    except OSError:
        return ""
    try:
        os.posix_fallocate(descriptor, 0, size)  # otherwise writing would end the process where memory is short
    except OSError:
        os.unlink(name)
        return ""
    finally:
        os.close(descriptor)
    return name


def _map(name: str, size: int) -> Any:
    """Return the memory of a file; None if this process cannot open it, as in another container."""
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return mmap.mmap(descriptor, size)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
