"""Transitions: the rollout, the collector, and the sources of rollouts."""

from actor_critic.rollouts.actor import Actor
from actor_critic.rollouts.collector import Collector, Policy
from actor_critic.rollouts.rollout import Rollout
from actor_critic.rollouts.sources import Overlapped, RolloutSource, Sequential

__all__ = [
    "Actor",
    "Collector",
    "Overlapped",
    "Policy",
    "Rollout",
    "RolloutSource",
    "Sequential",
]
