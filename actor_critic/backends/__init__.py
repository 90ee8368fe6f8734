"""Backends execute acting and updates. They differ in speed, never in the algorithm."""

from actor_critic.backends.base import (
    Backend,
    Estimates,
    ExecutedPolicy,
    Learned,
    batch_of,
)
from actor_critic.backends.choose import choose_backend, make_backend
from actor_critic.backends.device import choose_device, enough_memory, make_repeatable, moved, why_automatic
from actor_critic.backends.eager import EagerBackend
from actor_critic.backends.parallel import update_in_parallel

__all__ = [
    "Backend",
    "EagerBackend",
    "Estimates",
    "ExecutedPolicy",
    "Learned",
    "batch_of",
    "choose_backend",
    "choose_device",
    "enough_memory",
    "make_backend",
    "make_repeatable",
    "moved",
    "update_in_parallel",
    "why_automatic",
]
