"""Ranks as a process group of ``torch.distributed``."""

import contextlib
import importlib.util
import math
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from actor_critic.errors import ActorCriticError, ConfigError, RankFault, describe
from actor_critic.process import cores
from actor_critic.ranks.heads import FAILURE, OtherRankFailed
from actor_critic.ranks.network import Bytes, Network, packed, unpacked
from actor_critic.ranks.ranks import Ranks, Result, is_shared, shared

if TYPE_CHECKING:
    from actor_critic.ranks.shared_memory import SharedMemory

_HAS_NUMBA = importlib.util.find_spec("numba") is not None

_DONE, _ASK, _FAILED = 0, 1, 2
"""What rank 0 tells the others while it leads."""


class ProcessGroup(Ranks):
    """One of several ranks, connected by the default process group of ``torch.distributed``.

    Numbers on the CPU travel by gloo. Numbers on a GPU travel by NCCL if each rank has a GPU of its own, and else over
    the CPU.

    Attributes:
        hosts: The machine of each rank: its name, and the number of the agent that started the rank.
        unraised: Why the connection was lost, if Python could not raise this error and the program has not seen it
            since; else None.
    """

    def __init__(self, timeout: float) -> None:
        """Take part in the default process group, which exists.

        Args:
            timeout: Seconds to wait for another rank.
        """
        self._network = Network(timeout)
        self.index, self.size = self._network.rank, self._network.size
        # Ranks that different agents (of torchrun, or nodes of Ray) started count as on different machines, as they are
        # in most cases.
        self._host = socket.gethostname(), os.environ.get("GROUP_RANK") or os.environ.get("NODE_RANK", "")
        able = _HAS_NUMBA and sys.platform != "win32"
        self._lost = ""  # why the connection to the other ranks is lost
        self.unraised: RankFault | None = None
        with self._exchange("beginning"):
            found = self._network.objects((self._host, os.getpid(), able), "beginning")
        self.hosts = [host for host, _, _ in found]
        self._members = {k: process for k, (host, process, _) in enumerate(found) if host == self._host}
        self.on_this_host = len(self._members)
        cores.divide_among(self.on_this_host)
        firsts = sorted({self.hosts.index(host) for host in self.hosts})
        self._is_one_host = len(firsts) == 1
        self._leads_host = self.index in firsts
        self._leaders = None if self._is_one_host else self._network.make_group(firsts)
        # All ranks use shared memory, or none does, so that all make the same calls.
        is_useful = min(Counter(self.hosts).values()) > 1 and all(is_able for _, _, is_able in found)
        self._memory = self._share_memory(timeout) if is_useful else None
        self._uses_nccl = False

    def _share_memory(self, timeout: float) -> "SharedMemory | None":
        """Return memory that the ranks of this machine share; None if there is none on some machine."""
        from actor_critic.ranks.shared_memory import SharedMemory  # imported here because it loads Numba

        try:
            return SharedMemory(list(self._members).index(self.index), self._members, timeout, self._tell_all)
        except OSError:  # on all ranks
            return None

    def _tell_all(self, text: str) -> list[str]:
        return self._network.objects(text, "sharing memory")

    def use_device(self, device: torch.device) -> None:
        """See :class:`Ranks`; NCCL refuses ranks that share a GPU."""
        mine = None
        if device.type == "cuda" and dist.is_nccl_available():
            mine = str(torch.cuda.get_device_properties(device).uuid)  # indices count only the GPUs of one process
        found = self.objects(mine)
        self._uses_nccl = None not in found and len(set(found)) == self.size

    def sum(self, numbers: Tensor) -> None:
        """See :class:`Ranks`; on the CPU first on each machine through its memory, then among the machines."""
        if not numbers.is_cpu and not self._uses_nccl:
            on_cpu = numbers.cpu()
            self.sum(on_cpu)
            numbers.copy_(on_cpu)
            return
        with self._exchange("summing gradients"):
            memory = self._memory_for(numbers.nbytes) if numbers.is_cpu else None
            if memory is None:
                self._network.sum(numbers)
                return
            array, what = numbers.numpy(), "a sum"
            found = memory.exchange(array.view(np.uint8), what)
            assert found is not None  # there is room, as _memory_for says
            first, *others = found
            array[:] = first.view(array.dtype)
            for other in others:
                array += other.view(array.dtype)
            if self._is_one_host:
                return
            if self._leads_host:
                self._network.sum(numbers, self._leaders)
            found = memory.exchange(array.view(np.uint8), what)
            assert found is not None  # it has as many bytes as before
            array[:] = found[0].view(array.dtype)

    def _memory_for(self, size: int) -> "SharedMemory | None":
        """Return the memory that the ranks of this machine share, if it can hold some bytes of each."""
        return self._memory if self._memory and self._memory.has_room_for(size) else None

    def memory(self, size: int) -> "SharedMemory | None":
        """See :class:`Ranks`."""
        if not self._is_one_host:
            return None
        with self._exchange("sharing memory"):
            return self._memory_for(size)

    def copy_from_first(self, numbers: Tensor) -> None:
        """See :class:`Ranks`."""
        sent = numbers if numbers.is_cpu or self._uses_nccl else numbers.cpu()
        with self._exchange("copying from rank 0"):
            self._network.copy_from_first(sent)
        if sent is not numbers:
            numbers.copy_(sent)

    def _bytes_of_all(self, mine: Bytes, what: str) -> list[Bytes]:
        """Return the bytes of every rank.

        Raises:
            RankFault: Another rank has raised an error, does something else, or was lost.
        """
        with self._exchange(what):
            found = self._memory.exchange(mine, what) if self._memory and self._is_one_host else None
            return self._network.exchange(mine, what) if found is None else found

    def gather(self, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """See :class:`Ranks`; all arrays travel together, as bytes."""
        mine = np.concatenate([np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays])
        found = [_arrays_in(data, arrays) for data in self._bytes_of_all(mine, "gathering numbers of an epoch")]
        longest = max(len(theirs[0]) for theirs in found)
        return [
            np.concatenate([_padded(part, longest) for part in parts], axis=1) for parts in zip(*found, strict=True)
        ]

    def rows(self, numbers: npt.NDArray[np.float64], what: str) -> npt.NDArray[np.float64]:
        """See :class:`Ranks`."""
        return np.array([row.view(np.float64) for row in self._bytes_of_all(numbers.view(np.uint8), what)])

    def any(self, *flags: bool) -> list[bool]:
        """See :class:`Ranks`."""
        found = np.array(self._bytes_of_all(np.array(flags, np.uint8), "comparing flags"))
        return [bool(flag) for flag in found.max(axis=0)]

    def objects(self, mine: Result) -> list[Result]:
        """See :class:`Ranks`."""
        return self._objects(mine, "exchanging objects")

    def _objects(self, mine: Any, what: str) -> list[Any]:
        return [unpacked(data) for data in self._bytes_of_all(packed(mine), what)]

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """See :class:`Ranks`."""
        try:
            yield
        except Exception as error:
            if not is_shared(error) and not self.is_broken:
                self._bytes_of_all(np.zeros(0, np.uint8), FAILURE)
                self._share(error)
            raise

    @contextlib.contextmanager
    def joint(self, what: str = "meeting the other ranks") -> Iterator[None]:
        """See :class:`Ranks`."""
        with self.telling():
            yield
        self._bytes_of_all(np.zeros(0, np.uint8), what)

    def _share(self, mine: Exception | None) -> Exception:
        """Exchange errors, mark the own one as shared, and return the error for this rank."""
        errors = self._objects(_told(mine) if mine else None, "exchanging errors")
        if mine is None:
            mine = next(_fault_of(rank, *error) for rank, error in enumerate(errors) if error)
        return shared(mine)

    def lead(self, work: Callable[[], Result], serve: Callable[[], Any] = lambda: None) -> Result:
        """See :class:`Ranks`."""
        if not self.is_first:
            return self._follow(serve)
        try:
            result = work()
        except Exception as error:
            if not self.is_broken and not is_shared(error):
                self._tell(_FAILED, _told(error))
                shared(error)
            raise
        self._tell(_DONE, result)
        return result

    def _follow(self, serve: Callable[[], Any]) -> Any:
        while True:
            code, result = self._hear()
            if code == _DONE:
                return result
            if code == _FAILED:
                raise shared(_fault_of(0, *result))
            failure = None
            try:
                mine = serve()
            except Exception as error:  # rank 0 raises it
                mine, failure = None, _told(error)
            self._gather((mine, failure))

    def ask(self, mine: Any) -> list[Any]:
        """See :class:`Ranks`."""
        self._tell(_ASK, None)
        found = self._gather((mine, None))
        for rank, (_, failure) in enumerate(found):
            if failure:
                raise _fault_of(rank, *failure)
        return [theirs for theirs, _ in found]

    def _gather(self, mine: Any) -> list[Any]:
        what = "gathering a checkpoint"
        with self._exchange(what):
            return self._network.gather(mine, what)

    def _tell(self, code: int, result: Any) -> None:
        """Send a code and an object from rank 0 to the others."""
        self._bytes_of_all(np.array([code, result is not None], np.uint8), "following rank 0")
        if result is not None:
            with self._exchange("telling the other ranks"):
                self._network.from_first(result)

    def _hear(self) -> tuple[int, Any]:
        code, has_result = self._bytes_of_all(np.zeros(2, np.uint8), "following rank 0")[0].tolist()
        if not has_result:
            return code, None
        with self._exchange("waiting for rank 0"):
            return code, self._network.from_first(None)

    def check_equal(self, what: str, values: dict[str, Any]) -> None:
        """See :class:`Ranks`."""
        first, *others = self.objects(values)
        for rank, other in enumerate(others, start=1):
            for name in [*first, *other]:
                ours, theirs = first.get(name), other.get(name)
                if ours != theirs:
                    raise shared(
                        ConfigError(
                            f"ranks: {name} is {theirs!r} on rank {rank} ({self.hosts[rank][0]}) and {ours!r} on "
                            f"rank 0 ({self.hosts[0][0]}); start all ranks with the same {what}"
                        )
                    )

    def close(self) -> None:
        """Close the connection to the other ranks, when nothing is exchanged any more."""
        self._leaders = self._memory = None
        self._network.close()

    def abandon(self) -> None:
        """See :class:`Ranks`."""
        self._lose("this rank has ended its run alone")

    def _lose(self, why: str) -> None:
        self.is_broken, self._lost = True, self._lost or why
        self._network.lose()

    def fail_at_the_end(self, fault: RankFault) -> None:
        """See :class:`Ranks`."""
        self.unraised = fault

    def check_connection(self) -> None:
        """Check that no rank was lost.

        Raises:
            RankFault: One was; the message says why.
        """
        if self.is_broken:
            self.unraised = None  # the program sees it now
            raise RankFault(f"rank {self.index}: the connection to the other ranks is lost: {self._lost}")

    @contextlib.contextmanager
    def _exchange(self, what: str) -> Iterator[None]:
        """Report a failed exchange as RankFault: a rank has died, or did not come within the time limit."""
        self.check_connection()
        try:
            yield
        except OtherRankFailed:
            raise self._share(None) from None
        except RankFault as fault:
            self._lose(str(fault))
            raise RankFault(f"rank {self.index}, {what}: {fault}") from None
        except (RuntimeError, OSError) as error:  # of torch.distributed
            reason = " ".join(str(error).split())
            late = "imed out" in reason or "imeout" in reason
            cause = (
                "did not come within rank_timeout; it hangs, cannot be reached, or needs a longer rank_timeout"
                if late
                else "has ended or cannot be reached"
            )
            self._lose(f"another rank {cause}")
            raise RankFault(
                f"rank {self.index} ({socket.gethostname()}, process {os.getpid()}), {what}: another rank {cause} "
                f"({reason:.200})"
            ) from None


def _told(error: Exception) -> tuple[str, int, bool]:
    """Return the message and the exit code of an error, and whether it drops changes."""
    if isinstance(error, ActorCriticError):
        return str(error), error.exit_code, error.drops_changes
    return describe(error), 1, False


def _fault_of(rank: int, text: str, exit_code: int, drops_changes: bool) -> RankFault:
    """Return the error for what another rank raised."""
    fault = RankFault(text if text.startswith("rank ") else f"rank {rank}: {text}")
    fault.exit_code, fault.drops_changes = exit_code, drops_changes
    return fault


def _arrays_in(data: Bytes, like: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return the arrays in some bytes; only their first axis, which they have in common, differs from ``like``."""
    per_step = [array.itemsize * math.prod(array.shape[1:]) for array in like]
    steps = len(data) // sum(per_step)
    parts = np.split(data, np.cumsum(per_step)[:-1] * steps)
    return [part.view(array.dtype).reshape(steps, *array.shape[1:]) for part, array in zip(parts, like, strict=True)]


def _padded(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Return an array with zeros at its end, up to a length."""
    if len(array) == length:
        return array
    rest = np.zeros((length - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, rest])
