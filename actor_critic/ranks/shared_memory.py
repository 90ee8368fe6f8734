"""Exchange among the ranks of one machine through shared memory, where a network library takes a millisecond."""

import mmap
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from actor_critic.compiling import STRIDE, YIELDS, wait
from actor_critic.errors import RankFault
from actor_critic.process import cores
from actor_critic.ranks.ranks import Memory

_FOLDER = Path("/dev/shm")
_PATIENT = 50_000  # yields before napping, some ten milliseconds, if every rank has a core
_LEAST = 2**20

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
        self.yields = YIELDS if len(members) > cores.of_machine() else _PATIENT
        self._allocate(_LEAST)

    def exchange(self, mine: npt.NDArray[np.uint8], what: str) -> npt.NDArray[np.uint8]:
        """Return the bytes of all ranks [K, n]; valid until the next exchange.

        Args:
            mine: [n], the bytes of this rank; n is the same on all ranks.
            what: What this rank does; the others must do the same.

        Raises:
            RankFault: Another rank has ended, does not come in time, or does something else.
        """
        self.reserve(len(mine))
        turn = self.step % 2
        half, kinds = self.places[turn], self._kinds[turn]
        half[self.place, : len(mine)] = mine
        kinds[self.place] = kind = crc32(what.encode()) * 2**31 + len(mine)
        self._meet()
        if (kinds != kind).any():
            other = self._ranks[int(np.argmax(kinds != kind))]
            raise RankFault(
                f"rank {other} does something else: all ranks must make the same calls, and leave the loop together"
            )
        return half[:, : len(mine)]

    def reserve(self, size: int) -> None:
        """Make sure that each rank has a place of some bytes; all ranks ask for the same size."""
        if size > self.places.shape[2]:
            self._allocate(-(-2 * size // 64) * 64)

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
        flags, kinds = 8 * STRIDE * count, 8 * 2 * count
        size = flags + kinds + 2 * count * capacity
        name = _make_file(size) if self.place == 0 else ""
        name = self._tell(name)[self._ranks[0]]
        memory = _map(name, size) if name else None
        has_failed = "" in self._tell("" if memory is None else "mapped")
        if self.place == 0 and name:
            os.unlink(name)
        if memory is None or has_failed:
            raise OSError("there is no memory that the ranks of this machine can share")
        self.flags = np.frombuffer(memory, np.int64, STRIDE * count)
        self._kinds = np.frombuffer(memory, np.int64, 2 * count, offset=flags).reshape(2, count)
        self.places = np.frombuffer(memory, np.uint8, offset=flags + kinds).reshape(2, count, capacity)
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
