"""Changes of single environments: a method or attribute of an environment or of a wrapper, by name."""

import copy
from typing import Any

import gymnasium as gym

from actor_critic.config import nearest
from actor_critic.errors import ConfigError


def check_has(env: gym.Env[Any, Any], environment: str, name: str) -> None:
    """Check that an environment or one of its wrappers has a method or attribute.

    Raises:
        ConfigError: It has none.
    """
    if not env.has_wrapper_attr(name):
        parameters = getattr(type(env.unwrapped), "parameters", ())  # of a functional environment
        own = [*parameters, *(known for known in dir(env.unwrapped) if not known.startswith("_"))]
        raise ConfigError(f"environment: {environment} has no method or attribute {name!r}{nearest(name, own)}")


def apply_change(env: gym.Env[Any, Any], name: str, value: Any) -> None:
    """Call the method of this name with the value, or set the attribute."""
    found, own = env.get_wrapper_attr(name), copy.deepcopy(value)  # an environment may change its value
    if callable(found):
        found(own)
    else:
        env.set_wrapper_attr(name, own)
