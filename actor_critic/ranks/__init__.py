"""The processes of a data-parallel run: which part each one has, and what they exchange."""

from actor_critic.ranks.launched import (
    check_is_alone,
    is_launched,
    join,
    rank,
    rank_on_this_host,
    recall,
    remember,
    restarts,
    share,
    size,
    wait_for_all,
)
from actor_critic.ranks.ranks import ALONE, Memory, Ranks, Share, is_shared, shared

__all__ = [
    "ALONE",
    "Memory",
    "Ranks",
    "Share",
    "check_is_alone",
    "is_launched",
    "is_shared",
    "join",
    "rank",
    "rank_on_this_host",
    "recall",
    "remember",
    "restarts",
    "share",
    "shared",
    "size",
    "wait_for_all",
]
