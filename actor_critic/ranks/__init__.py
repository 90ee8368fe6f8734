"""The processes of a data-parallel run: which part each one has, and what they exchange."""

from typing import TYPE_CHECKING

from actor_critic.ranks.launched import is_launched, join, rank, rank_on_this_host, recall, remember, restarts
from actor_critic.ranks.ranks import ALONE, Ranks, Share, is_shared, shared

if TYPE_CHECKING:  # it loads Numba
    from actor_critic.ranks.shared_memory import SharedMemory as SharedMemory

__all__ = [
    "ALONE",
    "Ranks",
    "Share",
    "is_launched",
    "is_shared",
    "join",
    "rank",
    "rank_on_this_host",
    "recall",
    "remember",
    "restarts",
    "shared",
]
