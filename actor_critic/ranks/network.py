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

from actor_critic.ranks.heads import HEAD, agreed_sizes

Bytes = npt.NDArray[np.uint8]


_FRAME = 1024
"""Bytes of the first message of an exchange, on every rank: gloo ends a process that receives more than it expects."""


class Network:
    """The default process group, which connects the ranks, and a group of some of them.

    The blocking calls of ``torch.distributed`` may wait for ever where a link was cut: gloo limits the time of what it
    receives, but not of the whole call. Objects are pickled: they go only between processes of the same program.
    A default group that sends no numbers of the CPU, such as one of NCCL alone, gets a group of gloo beside it.

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
        # The last exchange. If gloo's thread were the last to hold it, freeing its arrays would need Python in that
        # thread, which would abort a process that ends meanwhile.
        self._last: Any = None
        self._groups: list[Any] = [dist.group.WORLD]
        self._cpu = dist.group.WORLD if _sends_from_cpu() else self.make_group(list(range(self.size)))

    def make_group(self, ranks: list[int]) -> Any:
        """Return a group of some ranks, for numbers on the CPU; all ranks call this."""
        group = dist.new_group(ranks, timeout=self._timeout, backend="gloo")
        self._groups.append(group)
        return group

    def sum(self, numbers: Tensor, group: Any = None) -> None:
        """Replace numbers by their sums over the ranks, or over those of a group."""
        self._end(dist.all_reduce(numbers, group=group or self._group_for(numbers), async_op=True))

    def copy_from_first(self, numbers: Tensor) -> None:
        """Replace numbers by those of rank 0."""
        self._end(dist.broadcast(numbers, 0, group=self._group_for(numbers), async_op=True))

    def exchange(self, mine: Bytes, what: str) -> list[Bytes]:
        """Return the bytes of every rank.

        All ranks first send the same number of bytes: what they do, the size, and as many of the bytes as find room.

        Args:
            mine: The bytes of this rank.
            what: What this rank does; the others must do the same.

        Raises:
            OtherRankFailed: Another rank has raised an error.
            RankFault: Another rank does something else.
            RuntimeError: It failed, or did not end in time.
        """
        frame = np.zeros(_FRAME, np.uint8)
        frame[: HEAD.itemsize].view(HEAD)[0] = len(mine), what.encode()
        room = _FRAME - HEAD.itemsize
        frame[HEAD.itemsize :][: len(mine)] = mine[:room]
        found = self._gathered(frame)
        heads = np.ascontiguousarray(found[:, : HEAD.itemsize]).view(HEAD)[:, 0]
        sizes = agreed_sizes(heads, self.rank, range(self.size))
        found = found[:, HEAD.itemsize :]
        if max(sizes) > room:
            whole = np.zeros(max(sizes), np.uint8)
            whole[: len(mine)] = mine
            found = self._gathered(whole)
        return [row[:size] for row, size in zip(found, sizes, strict=True)]

    def objects(self, mine: Any, what: str) -> list[Any]:
        """Return an object of every rank; ``what`` is as in :meth:`exchange`."""
        return [unpacked(data) for data in self.exchange(packed(mine), what)]

    def gather(self, mine: Any, what: str) -> list[Any]:
        """Return an object of every rank on rank 0, and nothing on the others; ``what`` is as in :meth:`exchange`."""
        own = packed(mine)
        found = self.exchange(np.array([len(own)]).view(np.uint8), what)
        sizes = [int(size.view(np.int64)[0]) for size in found]
        whole = np.zeros(max(sizes), np.uint8)
        whole[: len(own)] = own
        rows = torch.empty(self.size, len(whole), dtype=torch.uint8) if self.rank == 0 else None
        places = None if rows is None else list(rows)
        self._end(dist.gather(torch.from_numpy(whole), places, 0, group=self._cpu, async_op=True))
        return [] if rows is None else [unpacked(row[:n]) for row, n in zip(rows.numpy(), sizes, strict=True)]

    def from_first(self, mine: Any) -> Any:
        """Return an object of rank 0."""
        own = packed(mine) if self.rank == 0 else np.zeros(0, np.uint8)
        size = torch.tensor([len(own)])
        self.copy_from_first(size)
        numbers = torch.from_numpy(own) if self.rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        self.copy_from_first(numbers)
        return mine if self.rank == 0 else unpacked(numbers.numpy())

    def close(self) -> None:
        """Close the groups. No reference to one may be left: its end during the exit of Python would be an abort."""
        self._groups.clear()
        self._cpu = self._last = None
        dist.destroy_process_group()

    def lose(self) -> None:
        """Never close the groups, because closing waits for threads that may wait for a lost rank."""
        for kept in (*self._groups, self._last):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
        self._groups.clear()
        self._cpu = None

    def _gathered(self, mine: Bytes) -> Bytes:
        """Return the bytes of all ranks [K, n]; n is the same on all."""
        found = torch.empty(self.size, len(mine), dtype=torch.uint8)
        self._end(dist.all_gather(list(found), torch.from_numpy(mine), group=self._cpu, async_op=True))
        return found.numpy()

    def _group_for(self, numbers: Tensor) -> Any:
        return self._cpu if numbers.is_cpu else dist.group.WORLD

    def _end(self, work: Any) -> None:
        """Wait for the end of an exchange.

        Raises:
            RuntimeError: It failed, or did not end in time.
        """
        if work is not None:  # None where this rank is not in the group
            self._last = work
            work.wait(self._timeout)


def _sends_from_cpu() -> bool:
    """Return whether the default process group sends numbers of the CPU by gloo."""
    return "cpu:gloo" in str(dist.get_backend_config()).split(",")


def packed(mine: Any) -> Bytes:
    """Return an object as bytes."""
    return np.frombuffer(bytearray(pickle.dumps(mine)), np.uint8)


def unpacked(data: Bytes) -> Any:
    """Return the object that :func:`packed` made bytes of."""
    return pickle.loads(data.tobytes())  # noqa: S301 - see Network
