"""The parts of observations that the networks see."""

from typing import Any

import gymnasium as gym


class SeenParts(gym.Wrapper[Any, Any, Any, Any]):
    """Declares which parts of the observations the networks see. Observations stay as the environment returns them."""

    def __init__(self, env: gym.Env[Any, Any], space: gym.Space[Any]) -> None:
        """Declare an observation space made by :func:`actor_critic.spaces.leave_out`."""
        super().__init__(env)
        self.observation_space = space
