"""The interface of the ranks of a run, and its simplest case: one process alone."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from actor_critic.errors import ConfigError, RankFault

if TYPE_CHECKING:  # commands import this module before PyTorch, which takes long
    from torch import Tensor, device

Result = TypeVar("Result")
Failure = TypeVar("Failure", bound=BaseException)


@dataclass(frozen=True)
class Share:
    """The environments of one rank: ``first`` to ``first + count − 1`` of ``total``."""

    first: int
    count: int
    total: int

    @property
    def slice(self) -> slice:
        """The environments as a slice of all."""
        return slice(self.first, self.first + self.count)

    @property
    def is_whole(self) -> bool:
        """Whether these are all environments."""
        return self.count == self.total


class Memory(Protocol):
    """Memory that the ranks of one machine share: two halves, each with a place for every rank, and a barrier.

    Each exchange writes to one of the halves in turn. A rank that is ahead by one exchange writes to the other half
    than the one that slower ranks still read. It cannot be ahead by two.

    Attributes:
        flags: [K · STRIDE] int64, the flags of the barrier; see ``compiling.barrier``.
        places: [2, K, bytes] uint8.
        place: The place of this rank.
        step: Exchanges so far; the next one uses half ``step % 2`` and sets the flag to ``step + 1``.
        yields: How often to yield the core before napping.
        naps: How often to nap before :meth:`check` is called.
    """

    flags: npt.NDArray[np.int64]
    places: npt.NDArray[np.uint8]
    place: int
    step: int
    yields: int
    naps: int

    def announce(self, what: str) -> None:
        """Say what this rank does in the next exchange, if compiled code makes it.

        Another rank that does something else in this exchange then raises an error, instead of reading wrong bytes.

        Args:
            what: What this rank does, as an error of another rank tells it.
        """

    def check(self, begun: float) -> None:
        """Look at the ranks that have not come to exchange number ``step``.

        Args:
            begun: When this rank began to wait, as ``time.monotonic`` tells it.

        Raises:
            RankFault: One of them has ended, or does not come in time.
        """


class Ranks:
    """The ranks of a run, seen from one of them. This class is a process alone; ``ProcessGroup`` is one of several.

    Every rank makes the same calls in the same order. All but :meth:`share_of` and :meth:`abandon` wait for the others.

    Attributes:
        index: The number of this rank, from 0. Rank 0 writes files and prints.
        size: K, the number of ranks.
        on_this_host: How many of the ranks run on this machine.
        is_broken: Whether a rank was lost, so that nothing can be exchanged any more.
    """

    index = 0
    size = 1
    on_this_host = 1
    is_broken = False

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.index == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other rank."""
        return self.size == 1

    def share_of(self, num_envs: int, setting: str = "num_envs") -> Share:
        """Return the environments of this rank.

        Args:
            num_envs: N, the environments of all ranks; a multiple of K.
            setting: The setting that determines N.

        Raises:
            ConfigError: N is no multiple of K.
        """
        count, left = divmod(num_envs, self.size)
        if left:
            lower, higher = count * self.size, (count + 1) * self.size
            near = f"{lower} or {higher}" if lower else f"{higher}"
            raise ConfigError(
                f"{setting}: {num_envs} environments cannot be divided among {self.size} ranks; set {setting} to {near}"
            )
        return Share(self.index * count, count, num_envs)

    def use_device(self, device: "device") -> None:
        """Learn which device this rank uses; ranks that share a GPU cannot exchange numbers by NCCL."""

    def sum(self, numbers: "Tensor") -> None:
        """Replace numbers by their sums over all ranks."""

    def memory(self, size: int) -> "Memory | None":
        """Return memory with a place of some bytes for each rank; None unless all ranks share memory."""
        return None

    def copy_from_first(self, numbers: "Tensor") -> None:
        """Replace numbers by those of rank 0."""

    def gather(self, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the arrays [T, n, ...] of all ranks as [T, N, ...].

        Args:
            arrays: Arrays of numbers, all with the same T. The k-th one has the same n, ... and dtype on all ranks.
                Where T differs among ranks, the shorter arrays end with zeros.
        """
        return list(arrays)

    def rows(self, numbers: npt.NDArray[np.float64], what: str) -> npt.NDArray[np.float64]:
        """Return the numbers [n] of all ranks as [K, n].

        Args:
            numbers: Those of this rank.
            what: What all ranks do, for the error if one does something else.
        """
        return numbers[None]

    def any(self, *flags: bool) -> list[bool]:
        """Return, for each flag, whether it is set on any rank."""
        return list(flags)

    def objects(self, mine: Result) -> list[Result]:
        """Return an object of every rank."""
        return [mine]

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """If this rank raises an error in the block, let the others raise it in their next exchange of bytes.

        Only :meth:`gather`, :meth:`rows`, :meth:`any`, :meth:`objects`, :meth:`joint` and :meth:`lead` are such. One of
        them must follow before any other exchange.
        """
        yield

    @contextlib.contextmanager
    def joint(self, what: str = "meeting the other ranks") -> Iterator[None]:
        """Wait at the end of the block for all ranks; if one raised an error in it, all raise it.

        Args:
            what: What all ranks do, for the error if one does something else.

        Raises:
            RankFault: Another rank raised an error.
        """
        yield

    def lead(self, work: Callable[[], Result], serve: Callable[[], Any] = lambda: None) -> Result:
        """Let rank 0 do some work while the others wait, and return its result on all ranks.

        Args:
            work: What rank 0 does. It may call :meth:`ask`.
            serve: What another rank contributes each time that rank 0 asks.

        Raises:
            RankFault: The work failed on rank 0, and this is another rank.
        """
        return work()

    def ask(self, mine: Any) -> list[Any]:
        """Return what every rank contributes; only for rank 0, in :meth:`lead`.

        Args:
            mine: What rank 0 itself contributes.
        """
        return [mine]

    def check_equal(self, what: str, values: dict[str, Any]) -> None:
        """Check that values are the same on all ranks.

        Args:
            what: What they are, for the error.
            values: The values by name.

        Raises:
            ConfigError: A value differs; the message names the first one.
        """

    def abandon(self) -> None:
        """Exchange nothing any more, because this rank ends alone; the others notice when it has ended."""

    def fail_at_the_end(self, fault: RankFault) -> None:
        """Let the process fail at its end, unless the program sees before that the connection is lost.

        Args:
            fault: Why it was lost, where Python cannot raise an error: while a loop is left.
        """


ALONE = Ranks()
"""A process that is no part of a data-parallel run."""


def shared(error: Failure) -> Failure:
    """Mark an error as one that every rank raises, so that rank 0 alone reports it, and return it."""
    error.is_shared = True  # type: ignore[attr-defined]
    return error


def is_shared(error: BaseException) -> bool:
    """Return whether all ranks know of an error, and rank 0 reports it."""
    return getattr(error, "is_shared", False)
