"""Classes and functions that the setting ``environment`` means, instead of a registered id."""

import re
import weakref
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from actor_critic.config import Settings
from actor_critic.errors import ConfigError, describe

_MARKS = ("agent_iter", "possible_agents", "observation_spaces")  # of PettingZoo

_made: dict[int, weakref.ref[gym.Env[Any, Any]]] = {}  # the instances that functions made, by their id


def find_spec(settings: Settings) -> EnvSpec | None:
    """Return how Gymnasium makes the class or function that ``environment`` means; None if it is a registered id.

    Raises:
        ConfigError: The program passed a class that is no gymnasium.Env.
    """
    name = settings.environment
    if ":" not in name:
        return None
    found, plain = settings.objects.find(name), name.partition(":")[2]
    is_passed, is_class = name in settings.objects, isinstance(found, type)
    if is_passed and is_class and not issubclass(found, gym.Env):
        mend = several_agents(found) or "; derive from it, or pass a function that makes an environment"
        raise ConfigError(f"environment: {name} is no subclass of gymnasium.Env{mend}")
    if found is None and "<" in plain:
        raise ConfigError(
            f"environment: {name} was an object of a Python program: pass it again, as environment=..., in Python"
        )
    is_maker = issubclass(found, gym.Env) if is_class else callable(found)
    if not is_maker or (plain in gym.registry and not is_passed):
        return None
    return EnvSpec(re.sub(r"[^\w.-]", "", plain), found)


def check_is_new(name: str, env: gym.Env[Any, Any]) -> None:
    """Refuse an environment that a function has returned before.

    Raises:
        ConfigError: It is the same instance.
    """
    bare = env.unwrapped
    for known in [known for known, reference in _made.items() if reference() is None]:
        del _made[known]
    if id(bare) in _made:
        raise ConfigError(
            f"environment: {name} returned the same {type(bare).__name__} twice; it must make a new one at every call, "
            f"since a run and its evaluations need several"
        )
    _made[id(bare)] = weakref.ref(bare)


def several_agents(made: Any, error: BaseException | None = None) -> str:
    """Return advice for a multi-agent environment, which is no Gymnasium environment; "" for any other.

    Args:
        made: The class or function that makes it.
        error: What was raised when it was made.
    """
    if (error and "pettingzoo" in describe(error)) or any(hasattr(made, mark) for mark in _MARKS):
        return (
            "; it is a multi-agent environment, as in PettingZoo: wrap it as a gymnasium.Env in which one agent acts "
            "and the other agents' policies are part of the environment"
        )
    return ""
