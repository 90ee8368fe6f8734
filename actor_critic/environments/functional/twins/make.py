"""Make the twin of an environment by its id."""

from collections.abc import Mapping
from typing import Any

from actor_critic.environments.functional.twins.acrobot import Acrobot
from actor_critic.environments.functional.twins.blackjack import Blackjack
from actor_critic.environments.functional.twins.cart_pole import CartPole
from actor_critic.environments.functional.twins.cliff_walking import CliffWalking
from actor_critic.environments.functional.twins.frozen_lake import FrozenLake
from actor_critic.environments.functional.twins.mountain_car import MountainCar
from actor_critic.environments.functional.twins.taxi import Taxi
from actor_critic.environments.functional.twins.twin import Twin
from actor_critic.errors import ConfigError

TWINS: dict[str, tuple[type[Twin], int | None, dict[str, Any]]] = {
    "CartPole-v0": (CartPole, 200, {}),
    "CartPole-v1": (CartPole, 500, {}),
    "MountainCar-v0": (MountainCar, 200, {}),
    "Acrobot-v1": (Acrobot, 500, {}),
    "FrozenLake-v1": (FrozenLake, 100, {"map_name": "4x4"}),
    "FrozenLake8x8-v1": (FrozenLake, 200, {"map_name": "8x8"}),
    "CliffWalking-v0": (CliffWalking, None, {}),
    "CliffWalking-v1": (CliffWalking, None, {}),
    "CliffWalkingSlippery-v1": (CliffWalking, None, {"is_slippery": True}),
    "Taxi-v3": (Taxi, 200, {}),
    "Taxi-v4": (Taxi, 200, {}),
    "Blackjack-v1": (Blackjack, None, {"sab": True, "natural": False}),
}
"""For each id: the class, the step that truncates an episode, and the keyword arguments that are registered."""


def make_twin(environment_id: str, kwargs: Mapping[str, Any]) -> Twin | None:
    """Make the twin of a registered environment.

    Args:
        environment_id: The id, with its version.
        kwargs: Keyword arguments of the original, which replace the registered ones.

    Returns:
        The twin; None if there is none for this id or these keyword arguments.
    """
    if environment_id not in TWINS or "render_mode" in kwargs:
        return None
    if environment_id == "Taxi-v3" and kwargs:  # they had other effects before v4
        return None
    kind, limit, registered = TWINS[environment_id]
    try:
        twin = kind(**registered | dict(kwargs))
    except (ConfigError, TypeError, ValueError):
        return None
    twin.max_episode_steps = limit
    return twin
