"""CartPole: the twin of CartPole-v0 and CartPole-v1."""

import math
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.twin import Twin

GRAVITY = 9.8
FORCE = 10.0
POLE_MASS = 0.1
MASS = POLE_MASS + 1.0
HALF_LENGTH = 0.5
MOMENT = POLE_MASS * HALF_LENGTH
SECONDS = 0.02
MAX_POSITION = 2.4
MAX_ANGLE = 12 * 2 * math.pi / 360
HIGH = np.array([MAX_POSITION * 2, np.inf, MAX_ANGLE * 2, np.inf], np.float32)


class CartPole(Twin):
    """A pole on a cart, which is pushed left or right."""

    observation_space = gym.spaces.Box(-HIGH, HIGH, dtype=np.float32)
    action_space = gym.spaces.Discrete(2)
    state = np.dtype([("position", float), ("velocity", float), ("angle", float), ("spin", float)])
    max_episode_steps = 500
    parameters: Any = {"sutton_barto_reward": False}  # noqa: RUF012 - as in FunctionalEnvironment
    needed = ("state", "steps_beyond_terminated")

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Write a first state."""
        state.position = random.uniform(-0.05, 0.05)
        state.velocity = random.uniform(-0.05, 0.05)
        state.angle = random.uniform(-0.05, 0.05)
        state.spin = random.uniform(-0.05, 0.05)

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Take an Euler step."""
        force = FORCE if action == 1 else -FORCE
        cos, sin = math.cos(state.angle), math.sin(state.angle)
        push = (force + MOMENT * (state.spin * state.spin) * sin) / MASS
        inertia = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / MASS)
        turn = (GRAVITY * sin - cos * push) / inertia
        acceleration = push - MOMENT * turn * cos / MASS
        state.position += SECONDS * state.velocity
        state.velocity += SECONDS * acceleration
        state.angle += SECONDS * state.spin
        state.spin += SECONDS * turn
        terminated = abs(state.position) > MAX_POSITION or abs(state.angle) > MAX_ANGLE
        if parameters.sutton_barto_reward:
            return (-1.0 if terminated else 0.0), terminated
        return 1.0, terminated

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write the state in 32 bits."""
        out[0] = state.position
        out[1] = state.velocity
        out[2] = state.angle
        out[3] = state.spin

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.position = random.uniform(-MAX_POSITION, MAX_POSITION)
        state.velocity = random.uniform(-3.0, 3.0)
        state.angle = random.uniform(-MAX_ANGLE, MAX_ANGLE)
        state.spin = random.uniform(-3.5, 3.5)

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        original.state = np.array(state.item())
        original.steps_beyond_terminated = None

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        return tuple(original.state)
