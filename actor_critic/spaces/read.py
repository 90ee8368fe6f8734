"""Both spaces of an environment at once, under its name."""

from typing import Any

import gymnasium as gym

from actor_critic.errors import ConfigError
from actor_critic.spaces.actions import ActionSpec
from actor_critic.spaces.observations import ObservationSpec


def read_spaces(
    environment: str, observation_space: gym.Space[Any], action_space: gym.Space[Any]
) -> tuple[ObservationSpec, ActionSpec]:
    """Describe both spaces of an environment.

    Raises:
        ConfigError: One of them is not supported; the message names the environment.
    """
    try:
        return ObservationSpec.from_space(observation_space), ActionSpec.from_space(action_space)
    except ConfigError as error:
        raise ConfigError(f"environment: {environment}: {error}") from None
