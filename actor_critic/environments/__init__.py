"""Environments: construction, checks, vector environments, and the built-in random states."""

from actor_critic.environments import probes  # noqa: F401 - registers the probes
from actor_critic.environments.choose import check_same_spaces, choose_replay, choose_vectorization
from actor_critic.environments.functional import (
    FunctionalEnvironment,
    FunctionalReward,
    FunctionalVectorEnv,
    PythonExecutor,
    find_functional_class,
    is_own,
    try_new_environment,
)
from actor_critic.environments.functional.random_states_vector import RandomStatesVectorEnv
from actor_critic.environments.make import EnvironmentMaker, make_evaluation_environment, make_vector_environment
from actor_critic.environments.masks.observations import read_masks, take_mask
from actor_critic.environments.named import find_spec
from actor_critic.environments.others import runs_code_of_others
from actor_critic.environments.rendered import IMAGES, TEXTS, WINDOW, RenderedEnvironment, render_modes
from actor_critic.environments.trials.check import Finding, check_environment
from actor_critic.environments.trials.functions import check_functions_of
from actor_critic.environments.vector.contract import Observed, State, Step, VectorEnvironment
from actor_critic.environments.vector.instances import close_environment
from actor_critic.environments.vector.native import NativeVectorEnv
from actor_critic.environments.vector.parts import part_of, whole_of
from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.environments.vector.workers import WorkerVectorEnv
from actor_critic.environments.wrappers.limits import has_step_limit
from actor_critic.environments.wrappers.lives import AtariLives

__all__ = [
    "IMAGES",
    "TEXTS",
    "WINDOW",
    "AtariLives",
    "EnvironmentMaker",
    "Finding",
    "FunctionalEnvironment",
    "FunctionalReward",
    "FunctionalVectorEnv",
    "NativeVectorEnv",
    "Observed",
    "PythonExecutor",
    "RandomStatesVectorEnv",
    "RenderedEnvironment",
    "SameStepVectorEnv",
    "State",
    "Step",
    "VectorEnvironment",
    "WorkerVectorEnv",
    "check_environment",
    "check_functions_of",
    "check_same_spaces",
    "choose_replay",
    "choose_vectorization",
    "close_environment",
    "find_functional_class",
    "find_spec",
    "has_step_limit",
    "is_own",
    "make_evaluation_environment",
    "make_vector_environment",
    "part_of",
    "read_masks",
    "render_modes",
    "runs_code_of_others",
    "take_mask",
    "try_new_environment",
    "whole_of",
]
