"""MountainCar: the twin of MountainCar-v0."""

import math
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.twin import Twin

FORCE = 0.001
GRAVITY = 0.0025
LEFT, RIGHT = -1.2, 0.6
MAX_SPEED = 0.07
GOAL = 0.5


class MountainCar(Twin):
    """A car in a valley, too weak to climb the hill without a run-up."""

    observation_space = gym.spaces.Box(
        np.array([LEFT, -MAX_SPEED], np.float32), np.array([RIGHT, MAX_SPEED], np.float32), dtype=np.float32
    )
    action_space = gym.spaces.Discrete(3)
    state = np.dtype([("position", float), ("velocity", float)])
    max_episode_steps = 200
    parameters: Any = {"goal_velocity": 0.0}  # noqa: RUF012 - as in FunctionalEnvironment
    needed = ("state",)

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Write a first state, at rest."""
        state.position = random.uniform(-0.6, -0.4)

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Accelerate, then move."""
        velocity = state.velocity + ((action - 1) * FORCE + math.cos(3.0 * state.position) * -GRAVITY)
        velocity = min(max(velocity, -MAX_SPEED), MAX_SPEED)
        position = min(max(state.position + velocity, LEFT), RIGHT)
        if position == LEFT and velocity < 0.0:
            velocity = 0.0
        state.position = position
        state.velocity = velocity
        return -1.0, position >= GOAL and velocity >= parameters.goal_velocity

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write the state in 32 bits."""
        out[0] = state.position
        out[1] = state.velocity

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.position = random.uniform(LEFT, RIGHT)
        state.velocity = random.uniform(-MAX_SPEED, MAX_SPEED)

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        original.state = np.array(state.item())

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        return tuple(original.state)
