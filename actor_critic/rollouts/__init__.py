"""Transitions: the rollout, the collector, and the sources of rollouts."""

from actor_critic.rollouts.actor import Actor
from actor_critic.rollouts.collector import Collector, Policy
from actor_critic.rollouts.rollout import Rollout
from actor_critic.rollouts.sources import Overlapped, RolloutSource, Sequential, part_of_state, whole_state_of

__all__ = [
    "Actor",
    "Collector",
    "Overlapped",
    "Policy",
    "Rollout",
    "RolloutSource",
    "Sequential",
    "part_of_state",
    "whole_state_of",
]
