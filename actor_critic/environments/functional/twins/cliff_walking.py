"""CliffWalking: the twin of CliffWalking-v0, CliffWalking-v1 and CliffWalkingSlippery-v1."""

from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.grid import turned
from actor_critic.environments.functional.twins.twin import Twin

NUM_ROWS, NUM_COLUMNS = 4, 12
ROWS = np.array([-1, 0, 1, 0])  # up, right, down, left
COLUMNS = np.array([0, 1, 0, -1])


class CliffWalking(Twin):
    """A walk along a cliff, from one corner to another."""

    observation_space = gym.spaces.Discrete(NUM_ROWS * NUM_COLUMNS)
    action_space = gym.spaces.Discrete(4)
    state = np.dtype([("row", np.int64), ("column", np.int64)])
    parameters: Any = {"is_slippery": False}  # noqa: RUF012 - as in FunctionalEnvironment

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Write the first state."""
        state.row = NUM_ROWS - 1

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Move by one tile; below the cliff, begin again."""
        direction = action
        if parameters.is_slippery:
            direction = turned(action, random.uniform(), 1.0 / 3.0, 1.0 / 3.0)
        row = min(max(state.row + ROWS[direction], 0), NUM_ROWS - 1)
        column = min(max(state.column + COLUMNS[direction], 0), NUM_COLUMNS - 1)
        falls = row == NUM_ROWS - 1 and 0 < column < NUM_COLUMNS - 1
        state.row = row
        state.column = 0 if falls else column
        return (-100.0 if falls else -1.0), row == NUM_ROWS - 1 and column == NUM_COLUMNS - 1

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write the number of the tile."""
        out[0] = state.row * NUM_COLUMNS + state.column

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.row = random.integers(0, NUM_ROWS)
        state.column = random.integers(0, NUM_COLUMNS)

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        original.s = int(state.row) * NUM_COLUMNS + int(state.column)

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        return divmod(int(original.s), NUM_COLUMNS)
