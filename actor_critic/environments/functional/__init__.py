"""Functional environments: functions over arrays, run as Gymnasium environments, in Python loops, or compiled."""

from actor_critic.environments.functional.environment import FunctionalEnvironment, functional_class
from actor_critic.environments.functional.executors import Episodes, Executor, Outputs, PythonExecutor
from actor_critic.environments.functional.loops import FAILED
from actor_critic.environments.functional.named import (
    find_functional_class,
    functions_to_try,
    has_numba,
    is_own,
    make_executor,
    make_functional,
    make_functional_vector,
    try_new_environment,
)
from actor_critic.environments.functional.reward import FunctionalReward
from actor_critic.environments.functional.trial import Trial, try_functions
from actor_critic.environments.functional.twins import TWINS, difference_from_original, make_twin
from actor_critic.environments.functional.vector import FunctionalVectorEnv

__all__ = [
    "FAILED",
    "TWINS",
    "Episodes",
    "Executor",
    "FunctionalEnvironment",
    "FunctionalReward",
    "FunctionalVectorEnv",
    "Outputs",
    "PythonExecutor",
    "Trial",
    "difference_from_original",
    "find_functional_class",
    "functional_class",
    "functions_to_try",
    "has_numba",
    "is_own",
    "make_executor",
    "make_functional",
    "make_functional_vector",
    "make_twin",
    "try_functions",
    "try_new_environment",
]
