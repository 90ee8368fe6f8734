"""Single environments: make several, name them, seed their spaces, close them."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.wrappers.layers import layers
from actor_critic.errors import NotMadeError, OneAtATimeError, describe
from actor_critic.process import Interrupted, boundary
from actor_critic.spaces import parts_of

log = logging.getLogger("actor_critic")


def make_instances(make: Callable[[], gym.Env[Any, Any]], count: int) -> list[gym.Env[Any, Any]]:
    """Make some environments; if one cannot be made, close the others.

    Raises:
        ConfigError: An environment cannot be made. If earlier ones could be made, the message names a likely cause.
    """
    made: list[gym.Env[Any, Any]] = []
    try:
        while len(made) < count:
            made.append(make())
    except BaseException as error:
        for env in made:
            close_environment(env)
        if isinstance(error, NotMadeError) and made:
            raise OneAtATimeError(
                f"{error}; only {len(made)} of {count} instances could be made: if only one can exist at a time (a "
                f"port, a licence, a device), set num_envs to 1"
            ) from error
        raise
    return made


def close_environment(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> None:
    """Close an environment; log an exception that it raises."""
    try:
        with boundary.inside():
            env.close()
    except Interrupted:
        raise
    except BaseException as error:  # user code may raise anything
        log.warning("%s: close raised %s", environment_name(env), describe(error))


def environment_name(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> str:
    """Return the name of an environment for messages."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def is_gymnasiums_own(env: gym.Env[Any, Any]) -> bool:
    """Return whether an environment is one of Gymnasium's, with no wrappers but Gymnasium's and ours."""
    return all(type(layer).__module__.startswith(("gymnasium.", "actor_critic.")) for layer in layers(env))


def seed_spaces(env: gym.Env[Any, Any], seed: int) -> None:
    """Seed the random generators in the spaces of an environment and of its wrappers.

    Setting a generator's state takes a tenth of the time of ``space.seed``.
    """
    seen: set[int] = set()
    for layer in layers(env):
        for space in (layer.action_space, layer.observation_space):
            for _, leaf in parts_of(space):
                if id(leaf) not in seen:
                    _set_state(leaf, seed, len(seen))
                    seen.add(id(leaf))


def _set_state(space: gym.Space[Any], seed: int, number: int) -> None:
    """Set the generator of a space from a seed and the number of the space."""
    generator = space.np_random.bit_generator
    if not isinstance(generator, np.random.PCG64):
        space.seed(seed)
        return
    drawn = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=32).digest()
    state, increment = (int.from_bytes(half, "little") for half in (drawn[:16], drawn[16:]))
    generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment | 1},  # PCG64 needs an odd increment
        "has_uint32": 0,
        "uinteger": 0,
    }
