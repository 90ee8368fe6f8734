"""The processes of a data-parallel run: which part each one has, and what they exchange."""

from actor_critic.ranks.launched import is_launched, join, rank, rank_on_this_host, restarts
from actor_critic.ranks.ranks import ALONE, Ranks, Share, is_shared, shared

__all__ = [
    "ALONE",
    "Ranks",
    "Share",
    "is_launched",
    "is_shared",
    "join",
    "rank",
    "rank_on_this_host",
    "restarts",
    "shared",
]
