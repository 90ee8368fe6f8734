"""Ranks as a process group of ``torch.distributed``."""

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from actor_critic.errors import ActorCriticError, ConfigError, RankFault, describe
from actor_critic.process import cores
from actor_critic.ranks.ranks import Ranks, Result, is_shared, joined_rows, shared

_DONE, _ASK, _FAILED = 0, 1, 2
"""What rank 0 tells the others while it leads."""


class ProcessGroup(Ranks):
    """One of several ranks, connected by the default process group of ``torch.distributed``.

    Numbers on the CPU travel by gloo, and numbers on a GPU by NCCL. Objects are pickled: they go only between processes
    of the same program.
    """

    def __init__(self) -> None:
        """Take part in the default process group, which exists."""
        self.index = dist.get_rank()
        self.size = dist.get_world_size()
        hosts: list[Any] = [None] * self.size
        with self._exchange("beginning"):
            dist.all_gather_object(hosts, socket.gethostname())
        self.hosts: list[str] = hosts
        self.on_this_host = Counter(hosts)[socket.gethostname()]
        cores.divide_among(self.on_this_host)

    def sum(self, numbers: Tensor) -> None:
        """See :class:`Ranks`."""
        with self._exchange("summing gradients"):
            dist.all_reduce(numbers)

    def copy_from_first(self, numbers: Tensor) -> None:
        """See :class:`Ranks`."""
        with self._exchange("copying from rank 0"):
            dist.broadcast(numbers, 0)

    def gather(self, *arrays: npt.NDArray[Any], is_uneven: bool = False) -> list[npt.NDArray[Any]]:
        """See :class:`Ranks`; all arrays travel together, as bytes."""
        if is_uneven:
            longest = int(self.rows(np.array([len(arrays[0])], np.float64)).max())
            arrays = tuple(_padded(array, longest) for array in arrays)
        mine = np.concatenate([np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays])
        found = [torch.empty(len(mine), dtype=torch.uint8) for _ in range(self.size)]
        with self._exchange("gathering a rollout"):
            dist.all_gather(found, torch.from_numpy(mine))
        borders = np.cumsum([array.nbytes for array in arrays])[:-1]
        pieces = [np.split(part.numpy(), borders) for part in found]
        return [
            joined_rows([parts[k].view(array.dtype).reshape(array.shape) for parts in pieces])
            for k, array in enumerate(arrays)
        ]

    def rows(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """See :class:`Ranks`."""
        found = [torch.empty(len(numbers), dtype=torch.float64) for _ in range(self.size)]
        with self._exchange("gathering statistics"):
            dist.all_gather(found, torch.from_numpy(numbers))
        return torch.stack(found).numpy()

    def any(self, *flags: bool) -> list[bool]:
        """See :class:`Ranks`."""
        numbers = torch.tensor(flags, dtype=torch.int32)
        with self._exchange("between two epochs"):
            dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return [bool(number) for number in numbers.tolist()]

    def objects(self, mine: Result) -> list[Result]:
        """See :class:`Ranks`."""
        found: list[Any] = [None] * self.size
        with self._exchange("exchanging objects"):
            dist.all_gather_object(found, mine)
        return found

    @contextlib.contextmanager
    def joint(self) -> Iterator[None]:
        """See :class:`Ranks`."""
        try:
            yield
        except Exception as error:
            if not is_shared(error) and not self.is_broken:
                self.any(True)
                self._share(error)
            raise
        if self.any(False)[0]:
            raise self._share(None)

    def _share(self, mine: Exception | None) -> Exception:
        """Exchange errors, mark the own one as shared, and return the error for this rank."""
        known = isinstance(mine, ActorCriticError)
        text = None if mine is None else str(mine) if known else describe(mine)
        code = mine.exit_code if isinstance(mine, ActorCriticError) else 1
        errors = self.objects((text, code))
        if mine is None:
            where, (text, code) = next((k, error) for k, error in enumerate(errors) if error[0] is not None)
            fault = RankFault(f"rank {where}: {text}")
            fault.exit_code = code
            mine = fault
        return shared(mine)

    def lead(self, work: Callable[[], Result], serve: Callable[[], Any] = lambda: None) -> Result:
        """See :class:`Ranks`."""
        if not self.is_first:
            return self._follow(serve)
        try:
            result = work()
        except Exception as error:
            if not self.is_broken:
                code = error.exit_code if isinstance(error, ActorCriticError) else 1
                text = str(error) if isinstance(error, ActorCriticError) else describe(error)
                self._tell(_FAILED, (text, code))
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
                text, exit_code = result
                fault = RankFault(f"rank 0: {text}")
                fault.exit_code = exit_code
                raise shared(fault)
            with self._exchange("gathering a checkpoint"):
                dist.gather_object(serve(), None)

    def ask(self, mine: Any) -> list[Any]:
        """See :class:`Ranks`."""
        self._tell(_ASK, None)
        found: list[Any] = [None] * self.size
        with self._exchange("gathering a checkpoint"):
            dist.gather_object(mine, found)
        return found

    def _tell(self, code: int, result: Any) -> None:
        """Send a code and an object from rank 0 to the others."""
        with self._exchange("telling the other ranks"):
            dist.broadcast(torch.tensor([code, result is not None]), 0)
            if result is not None:
                dist.broadcast_object_list([result], 0)

    def _hear(self) -> tuple[int, Any]:
        with self._exchange("waiting for rank 0"):
            header = torch.zeros(2, dtype=torch.int64)
            dist.broadcast(header, 0)
            code, has_result = header.tolist()
            found = [None]
            if has_result:
                dist.broadcast_object_list(found, 0)
        return code, found[0]

    def check_equal(self, what: str, values: dict[str, Any]) -> None:
        """See :class:`Ranks`."""
        first, *others = self.objects(values)
        for rank, other in enumerate(others, start=1):
            for name in [*first, *other]:
                ours, theirs = first.get(name), other.get(name)
                if ours != theirs:
                    raise shared(
                        ConfigError(
                            f"ranks: {name} is {theirs!r} on rank {rank} ({self.hosts[rank]}) and {ours!r} on rank 0 "
                            f"({self.hosts[0]}); start all ranks with the same {what}"
                        )
                    )

    def abandon(self) -> None:
        """See :class:`Ranks`."""
        self.is_broken = True

    @contextlib.contextmanager
    def _exchange(self, what: str) -> Iterator[None]:
        """Report a failed exchange as RankFault: a rank has died, or did not come within the time limit."""
        if self.is_broken:
            raise RankFault(f"rank {self.index}: the connection to the other ranks is lost")
        try:
            yield
        except (RuntimeError, OSError) as error:  # of torch.distributed
            self.is_broken = True
            reason = " ".join(str(error).split())
            late = "imed out" in reason or "imeout" in reason
            cause = (
                "did not come within rank_timeout; it hangs, cannot be reached, or needs a longer rank_timeout"
                if late
                else "has ended or cannot be reached"
            )
            raise RankFault(
                f"rank {self.index} ({socket.gethostname()}, process {os.getpid()}), {what}: another rank {cause} "
                f"({reason:.200})"
            ) from None


def _padded(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Return an array with zeros at its end, up to a length."""
    rest = np.zeros((length - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, rest])
