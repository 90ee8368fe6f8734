"""Exchange through a process group of ``torch.distributed``, where every call ends within the time limit."""

import ctypes
import pickle  # noqa: TID251 - see Network
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor


class Network:
    """The default process group, which connects the ranks, and a group of some of them.

    The blocking calls of ``torch.distributed`` may wait for ever where a link was cut: gloo limits the time of what it
    receives, but not of the whole call. Objects are pickled: they go only between processes of the same program.

    Attributes:
        rank: The number of this rank.
        size: K, the number of ranks.
    """

    def __init__(self, timeout: float) -> None:
        """Use the default process group, which exists.

        Args:
            timeout: Seconds to wait for another rank.
        """
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._timeout = timedelta(seconds=timeout)
        self._groups: list[Any] = [dist.group.WORLD]

    def make_group(self, ranks: list[int]) -> Any:
        """Return a group of some ranks, for numbers on the CPU; all ranks call this."""
        group = dist.new_group(ranks, timeout=self._timeout, backend="gloo")
        self._groups.append(group)
        return group

    def sum(self, numbers: Tensor, group: Any = None) -> None:
        """Replace numbers by their sums over the ranks, or over those of a group."""
        self._end(dist.all_reduce(numbers, group=group, async_op=True))

    def copy_from_first(self, numbers: Tensor) -> None:
        """Replace numbers by those of rank 0."""
        self._end(dist.broadcast(numbers, 0, async_op=True))

    def bytes_of_all(self, mine: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the bytes of all ranks [K, n]; n is the same on all."""
        found = torch.empty(self.size, len(mine), dtype=torch.uint8)
        self._end(dist.all_gather(list(found), torch.from_numpy(mine), async_op=True))
        return found.numpy()

    def objects(self, mine: Any) -> list[Any]:
        """Return an object of every rank."""
        own, sizes = self._packed(mine)
        return [_unpacked(row[:size]) for row, size in zip(self.bytes_of_all(own), sizes, strict=True)]

    def gather(self, mine: Any) -> list[Any]:
        """Return an object of every rank on rank 0, and nothing on the others."""
        own, sizes = self._packed(mine)
        rows = torch.empty(self.size, len(own), dtype=torch.uint8) if self.rank == 0 else None
        places = None if rows is None else list(rows)
        self._end(dist.gather(torch.from_numpy(own), places, 0, async_op=True))
        return [] if rows is None else [_unpacked(row[:n]) for row, n in zip(rows.numpy(), sizes, strict=True)]

    def from_first(self, mine: Any) -> Any:
        """Return an object of rank 0."""
        own = np.frombuffer(bytearray(pickle.dumps(mine) if self.rank == 0 else b""), np.uint8)
        size = torch.tensor([len(own)])
        self.copy_from_first(size)
        numbers = torch.from_numpy(own) if self.rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        self.copy_from_first(numbers)
        return mine if self.rank == 0 else _unpacked(numbers.numpy())

    def close(self) -> None:
        """Close the groups. No reference to one may be left: its end during the exit of Python would be an abort."""
        self._groups.clear()
        dist.destroy_process_group()

    def lose(self) -> None:
        """Never close the groups, because closing waits for threads that may wait for a lost rank."""
        for group in self._groups:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(group))
        self._groups.clear()

    def _packed(self, mine: Any) -> tuple[npt.NDArray[np.uint8], list[int]]:
        """Return an object as bytes with as many zeros as the longest one needs, and the sizes of all."""
        own = pickle.dumps(mine)
        sizes = self.bytes_of_all(np.array([len(own)]).view(np.uint8)).view(np.int64)[:, 0].tolist()
        return np.frombuffer(bytearray(own.ljust(max(sizes), b"\0")), np.uint8), sizes

    def _end(self, work: Any) -> None:
        """Wait for the end of an exchange.

        Raises:
            RuntimeError: It failed, or did not end in time.
        """
        if work is not None:  # None where this rank is not in the group
            work.wait(self._timeout)


def _unpacked(data: npt.NDArray[np.uint8]) -> Any:
    return pickle.loads(data.tobytes())  # noqa: S301 - see Network
