"""The head of a message among ranks: what the sender does, and how many bytes it sends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.errors import RankFault

HEAD = np.dtype([("size", "<i8"), ("what", "S56")])

FAILURE = "failing"
"""What a rank does that has raised an error; it sends no bytes, and then all exchange errors."""


class OtherRankFailed(Exception):  # noqa: N818 - a message between ranks, and no error of its own
    """Another rank has raised an error, and waits for the exchange of errors."""


def agreed_sizes(heads: npt.NDArray[Any], mine: int, ranks: Sequence[int]) -> list[int]:
    """Compare what all ranks do, and return how many bytes each one sends; all zero if this rank fails.

    Args:
        heads: [K], of all ranks.
        mine: The place of this rank's own head among them.
        ranks: [K], the numbers of the ranks.

    Raises:
        OtherRankFailed: Another rank has raised an error, and this one has not.
        RankFault: Another rank does something else.
    """
    kinds = heads["what"]
    own = bytes(kinds[mine])
    if own == FAILURE.encode():
        return [0] * len(heads)
    different = np.flatnonzero(kinds != own)
    if not len(different):
        sizes: list[int] = heads["size"].tolist()
        return sizes
    if (kinds == FAILURE.encode()).any():
        raise OtherRankFailed
    first = int(different[0])
    theirs = bytes(kinds[first]).decode(errors="replace")
    raise RankFault(
        f"rank {ranks[first]} does something else ({theirs}); all ranks must make the same calls, and leave the loop "
        f"together"
    )
