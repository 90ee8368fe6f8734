"""Functional environments: functions over arrays, run as Gymnasium environments, in Python loops, or compiled."""

from actor_critic.environments.functional.environment import FunctionalEnvironment, functional_class
from actor_critic.environments.functional.executors import Episodes, Executor, Outputs, PythonExecutor
from actor_critic.environments.functional.named import (
    find_functional_class,
    make_executor,
    make_functional,
    make_functional_vector,
)
from actor_critic.environments.functional.vector import FunctionalVectorEnv

__all__ = [
    "Episodes",
    "Executor",
    "FunctionalEnvironment",
    "FunctionalVectorEnv",
    "Outputs",
    "PythonExecutor",
    "find_functional_class",
    "functional_class",
    "make_executor",
    "make_functional",
    "make_functional_vector",
]
