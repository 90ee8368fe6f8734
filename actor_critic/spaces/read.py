"""Both spaces of an environment: reading them, and comparing them with those a policy was built for."""

from dataclasses import replace
from typing import Any

import gymnasium as gym

from actor_critic.config import FEWER_ACTIONS, MAX_OUTPUT_DIM
from actor_critic.errors import ConfigError, describe
from actor_critic.process import Interrupted
from actor_critic.spaces.actions import ActionPart, ActionSpec
from actor_critic.spaces.nesting import parts_of, why_no_space
from actor_critic.spaces.observation_part import ObservationPart
from actor_critic.spaces.observations import ObservationSpec

Spec = tuple[ObservationSpec, ActionSpec]


def spaces_of(environment: str, env: Any) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return the observation space and the action space that an environment has before its first reset.

    Args:
        environment: Its name for error messages.
        env: The environment.

    Raises:
        ConfigError: A space is missing, or is not a Gymnasium space.
    """
    found = []
    for name in ("observation_space", "action_space"):
        try:
            space = getattr(env, name)
        except Interrupted:
            raise
        except AttributeError as error:
            raise ConfigError(
                f"environment: {environment}: it has no {name} before its first reset ({error}); set it in __init__"
            ) from error
        except BaseException as error:  # user code may raise anything
            raise ConfigError(f"environment: {environment}: its {name} raised {describe(error)}") from error
        if wrong := why_no_space(space):
            raise ConfigError(f"environment: {environment}: its {name} {wrong}")
        try:
            list(parts_of(space))
        except ConfigError as error:
            raise ConfigError(f"environment: {environment}: {name}: {error}") from None
        found.append(space)
    return found[0], found[1]


def read_spaces(environment: str, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> Spec:
    """Describe both spaces of an environment.

    Raises:
        ConfigError: One of them is not supported; the message names the environment.
    """
    try:
        observations, actions = ObservationSpec.from_space(observation_space), ActionSpec.from_space(action_space)
    except ConfigError as error:
        raise ConfigError(f"environment: {environment}: {error}") from None
    if actions.num_logits > MAX_OUTPUT_DIM:  # before arrays of this size are allocated
        raise ConfigError(
            f"environment: the action space of {environment} has {actions.num_logits} choices, and at most "
            f"{MAX_OUTPUT_DIM} are possible; {FEWER_ACTIONS}"
        )
    return observations, actions


def spec_mismatch(built_for: Spec, found: Spec) -> str | None:
    """Compare the spaces that a policy was built for with those of an environment.

    Floats of 32 and 64 bits count as the same, since the networks see 32 bits.

    Returns:
        A sentence that names both, to follow a name and a colon; None if they are the same.
    """
    (observations, actions), (shown, taken) = built_for, found
    is_same = [_seen(part) for part in observations.parts] == [_seen(part) for part in shown.parts]
    if not is_same or any(map(_codes_differ, observations.parts, shown.parts)):
        return f"the policy was built for observations {observations}, and the environment shows {shown}"
    if [_chosen(part) for part in actions.parts] != [_chosen(part) for part in taken.parts]:
        return f"the policy was built for actions {actions}, and the environment takes {taken}"
    return None


def _seen(part: ObservationPart) -> ObservationPart:
    """Return the part as the networks see it: floats of any precision are the same."""
    return replace(part, dtype="float32") if part.dtype == "float64" else part


def _codes_differ(one: ObservationPart, other: ObservationPart) -> bool:
    """Return whether a policy's codes are not those of an environment. A policy may also read them as numbers."""
    return one.codes > 0 and (one.codes, one.lowest) != (other.codes, other.lowest)


def _chosen(part: ActionPart) -> ActionPart:
    """Return the part without the dtype in which the environment takes actions."""
    return replace(part, dtype="int64")
