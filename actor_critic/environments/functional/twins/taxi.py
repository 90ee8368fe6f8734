"""Taxi: the twin of Taxi-v3 and Taxi-v4."""

from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.twin import Twin

SIDE = 5
ABOARD = 4  # the place of a passenger in the taxi
SOUTH, NORTH, EAST, WEST, PICK_UP, DROP_OFF = range(6)
ROWS = np.array([1, -1, 0, 0])
COLUMNS = np.array([0, 0, 1, -1])
TO_THE_LEFT = np.array([EAST, WEST, NORTH, SOUTH])
TO_THE_RIGHT = np.array([WEST, EAST, SOUTH, NORTH])


def read_places() -> Any:
    """Return for each square the number of the place there, [5, 5]; −1 where there is none."""
    places = np.full((SIDE, SIDE), -1)
    for number, (row, column) in enumerate([(0, 0), (0, 4), (4, 0), (4, 3)]):
        places[row, column] = number
    return places


def read_ways() -> Any:
    """Return for each direction and square whether the taxi can move there, [4, 5, 5]."""
    ways = np.ones((4, SIDE, SIDE), np.bool_)
    ways[SOUTH, -1] = ways[NORTH, 0] = ways[EAST, :, -1] = ways[WEST, :, 0] = False
    for row, column in [(0, 1), (1, 1), (3, 0), (3, 2), (4, 0), (4, 2)]:  # walls to the east
        ways[EAST, row, column] = ways[WEST, row, column + 1] = False
    return ways


PLACES, WAYS = read_places(), read_ways()


class Taxi(Twin):
    """A taxi that fetches a passenger at one of four places and takes them to another."""

    observation_space = gym.spaces.Discrete(500)
    action_space = gym.spaces.Discrete(6)
    state = np.dtype(
        [
            ("row", np.int64),
            ("column", np.int64),
            ("passenger", np.int64),
            ("destination", np.int64),
            ("may_change", np.bool_),
        ]
    )
    max_episode_steps = 200
    parameters: Any = {  # noqa: RUF012 - as in FunctionalEnvironment
        "is_rainy": False,
        "fickle_passenger": False,
        "rainy_probability": 0.8,
        "fickle_probability": 0.3,
    }

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Write a first state: any square, and two different places."""
        index = int(random.uniform() * 300)
        state.row = index // 60
        state.column = index // 12 % SIDE
        state.passenger = index // 3 % 4
        state.destination = index % 3 + (index % 3 >= state.passenger)
        if parameters.fickle_passenger:
            state.may_change = random.uniform() < parameters.fickle_probability

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Move, pick the passenger up, or let them out."""
        number = random.uniform() if parameters.is_rainy or parameters.fickle_passenger else 0.0
        row, column = state.row, state.column
        if action < PICK_UP:
            direction = action
            if parameters.is_rainy and WAYS[action, row, column]:
                ahead = parameters.rainy_probability
                aside = (1.0 - ahead) / 2.0
                if ahead <= number < ahead + aside:
                    direction = TO_THE_LEFT[action]
                elif ahead + aside <= number < ahead + aside + aside:
                    direction = TO_THE_RIGHT[action]
            if WAYS[direction, row, column]:
                state.row = row + ROWS[direction]
                state.column = column + COLUMNS[direction]
                if state.may_change and state.passenger == ABOARD:
                    state.may_change = False
                    other = random.integers(0, 3)
                    state.destination = other + (other >= state.destination)
            return -1.0, False
        place = PLACES[row, column]
        if place < 0:
            return -10.0, False
        if action == PICK_UP:
            if state.passenger != place:
                return -10.0, False
            state.passenger = ABOARD
            return -1.0, False
        if state.passenger != ABOARD:
            return -10.0, False
        state.passenger = place
        return (20.0, True) if place == state.destination else (-1.0, False)

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write the number of the state."""
        out[0] = ((state.row * SIDE + state.column) * 5 + state.passenger) * 4 + state.destination

    @staticmethod
    def action_mask(state: Any, mask: Any, parameters: Any) -> None:
        """Allow the actions that change the state."""
        place = PLACES[state.row, state.column]
        for direction in range(4):
            mask[direction] = WAYS[direction, state.row, state.column]
        mask[PICK_UP] = place >= 0 and state.passenger == place
        mask[DROP_OFF] = place >= 0 and state.passenger == ABOARD

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.row = random.integers(0, SIDE)
        state.column = random.integers(0, SIDE)
        state.passenger = random.integers(0, 5)
        state.destination = random.integers(0, 4)
        state.may_change = parameters.fickle_passenger and random.uniform() < 0.5

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        row, column, passenger, destination, may_change = state.item()
        original.s = ((row * SIDE + column) * 5 + passenger) * 4 + destination
        original.fickle_step = may_change

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        s = int(original.s)
        return s // 100, s // 20 % SIDE, s // 4 % 5, s % 4, bool(getattr(original, "fickle_step", False))
