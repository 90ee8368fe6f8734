"""Environments: making them, stepping many side by side, and the built-in random states."""

from actor_critic.environments.make import VectorEnvironment, make_vector_environment, single_environment_maker
from actor_critic.environments.random_states import RandomStatesVectorEnv
from actor_critic.environments.vectorized import SameStepVectorEnv

__all__ = [
    "RandomStatesVectorEnv",
    "SameStepVectorEnv",
    "VectorEnvironment",
    "make_vector_environment",
    "single_environment_maker",
]
