"""Environments: making them, stepping many side by side, and the built-in random states."""

from actor_critic.environments.check import check_environment
from actor_critic.environments.limits import has_step_limit
from actor_critic.environments.make import (
    EnvironmentMaker,
    check_same_spaces,
    choose_replay,
    choose_vectorization,
    make_vector_environment,
)
from actor_critic.environments.native import NativeVectorEnv
from actor_critic.environments.others import runs_code_of_others
from actor_critic.environments.random_states import RandomStatesVectorEnv
from actor_critic.environments.raw import read_masks, take_mask
from actor_critic.environments.vector_environment import Observed, State, Step, VectorEnvironment
from actor_critic.environments.vectorized import SameStepVectorEnv, close_environment
from actor_critic.environments.workers import WorkerVectorEnv

__all__ = [
    "EnvironmentMaker",
    "NativeVectorEnv",
    "Observed",
    "RandomStatesVectorEnv",
    "SameStepVectorEnv",
    "State",
    "Step",
    "VectorEnvironment",
    "WorkerVectorEnv",
    "check_environment",
    "check_same_spaces",
    "choose_replay",
    "choose_vectorization",
    "close_environment",
    "has_step_limit",
    "make_vector_environment",
    "read_masks",
    "runs_code_of_others",
    "take_mask",
]
