"""Acrobot: the twin of Acrobot-v1."""

import math
from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.twin import Twin

GRAVITY = 9.8
SECONDS = 0.2
MAX_SPIN_1, MAX_SPIN_2 = 4.0 * math.pi, 9.0 * math.pi
HIGH = np.array([1.0, 1.0, 1.0, 1.0, MAX_SPIN_1, MAX_SPIN_2], np.float32)


def derivatives(
    angle_1: float, angle_2: float, spin_1: float, spin_2: float, torque: float, two: float
) -> tuple[float, float]:
    """Return the accelerations of both joints.

    Both links have mass 1, length 1, their centre at 0.5 and moment of inertia 1. The expressions are those of Sutton
    and Barto's book, in the original's order of operations; factors of 1 are left out, since they change no bit.

    Args:
        angle_1: Angle of the first link.
        angle_2: Angle of the second link to the first.
        spin_1: Angular velocity of the first link.
        spin_2: Angular velocity of the second link.
        torque: Torque at the second joint.
        two: The number 2. The original computes squares with the function ``pow``, whose last bit may differ from that
            of a product; the compiler would make a product of an exponent that it knows.
    """
    cos_2, sin_2 = math.cos(angle_2), math.sin(angle_2)
    d1 = 0.25 + (1.25 + cos_2) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cos_2 + 1.0
    phi_2 = 0.5 * GRAVITY * math.cos(angle_1 + angle_2 - math.pi / 2.0)
    phi_1 = (
        -0.5 * math.pow(spin_2, two) * sin_2
        - spin_2 * spin_1 * sin_2
        + 1.5 * GRAVITY * math.cos(angle_1 - math.pi / 2.0)
        + phi_2
    )
    coupled = torque + d2 / d1 * phi_1 - 0.5 * math.pow(spin_1, two) * sin_2 - phi_2
    second = coupled / (0.25 + 1.0 - math.pow(d2, two) / d1)
    return -(d2 * second + phi_1) / d1, second


def wrapped(angle: float) -> float:
    """Return an angle in [−π, π]."""
    while angle > math.pi:
        angle -= 2.0 * math.pi
    while angle < -math.pi:
        angle += 2.0 * math.pi
    return angle


def added(first: float, second: float, third: float, fourth: float) -> float:
    """Return a Runge-Kutta step from its four slopes."""
    return SECONDS / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)


class Acrobot(Twin):
    """Two links that hang down; the joint between them is actuated, and the free end has to swing up.

    A first observation may differ from the original's in the last bit: there, cosine and sine of a first state are
    computed in 32 bits.
    """

    observation_space = gym.spaces.Box(-HIGH, HIGH, dtype=np.float32)
    action_space = gym.spaces.Discrete(3)
    state = np.dtype([("angle_1", float), ("angle_2", float), ("spin_1", float), ("spin_2", float)])
    max_episode_steps = 500
    parameters: Any = {"two": 2.0}  # noqa: RUF012 - as in FunctionalEnvironment
    needed = ("state",)
    first_tolerance = 2.0**-23

    def __init__(self, render_mode: str | None = None) -> None:
        """Make an environment, which has no parameters."""
        super().__init__(render_mode)

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Write a first state, whose numbers have 32 bits."""
        state.angle_1 = np.float32(random.uniform(-0.1, 0.1))
        state.angle_2 = np.float32(random.uniform(-0.1, 0.1))
        state.spin_1 = np.float32(random.uniform(-0.1, 0.1))
        state.spin_2 = np.float32(random.uniform(-0.1, 0.1))

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Take a Runge-Kutta step."""
        torque, two = action - 1.0, parameters.two
        a, b, c, d = state.angle_1, state.angle_2, state.spin_1, state.spin_2
        half = SECONDS / 2.0
        c1, d1 = c, d
        e1, f1 = derivatives(a, b, c, d, torque, two)
        c2, d2 = c + half * e1, d + half * f1
        e2, f2 = derivatives(a + half * c1, b + half * d1, c2, d2, torque, two)
        c3, d3 = c + half * e2, d + half * f2
        e3, f3 = derivatives(a + half * c2, b + half * d2, c3, d3, torque, two)
        c4, d4 = c + SECONDS * e3, d + SECONDS * f3
        e4, f4 = derivatives(a + SECONDS * c3, b + SECONDS * d3, c4, d4, torque, two)
        a = wrapped(a + added(c1, c2, c3, c4))
        b = wrapped(b + added(d1, d2, d3, d4))
        state.angle_1 = a
        state.angle_2 = b
        state.spin_1 = min(max(c + added(e1, e2, e3, e4), -MAX_SPIN_1), MAX_SPIN_1)
        state.spin_2 = min(max(d + added(f1, f2, f3, f4), -MAX_SPIN_2), MAX_SPIN_2)
        terminated = -math.cos(a) - math.cos(b + a) > 1.0
        return (0.0 if terminated else -1.0), terminated

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write cosine and sine of the angles, and the angular velocities."""
        out[0] = math.cos(state.angle_1)
        out[1] = math.sin(state.angle_1)
        out[2] = math.cos(state.angle_2)
        out[3] = math.sin(state.angle_2)
        out[4] = state.spin_1
        out[5] = state.spin_2

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.angle_1 = random.uniform(-math.pi, math.pi)
        state.angle_2 = random.uniform(-math.pi, math.pi)
        state.spin_1 = random.uniform(-MAX_SPIN_1, MAX_SPIN_1)
        state.spin_2 = random.uniform(-MAX_SPIN_2, MAX_SPIN_2)

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        original.state = np.array(state.item())

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        return tuple(original.state)
