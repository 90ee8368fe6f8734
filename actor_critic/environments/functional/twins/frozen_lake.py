"""FrozenLake: the twin of FrozenLake-v1 and FrozenLake8x8-v1."""

from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic.environments.functional.twins.grid import turned
from actor_critic.environments.functional.twins.twin import Twin
from actor_critic.errors import ConfigError

MAPS = {
    "4x4": ["SFFF", "FHFH", "FFFH", "HFFG"],
    "8x8": ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"],
}
TILES = b"FHG"  # a start is frozen
ROWS = np.array([0, 1, 0, -1])  # left, down, right, up
COLUMNS = np.array([-1, 0, 1, 0])


class FrozenLake(Twin):
    """A lake of ice with holes, on which steps may slip to the side."""

    action_space = gym.spaces.Discrete(4)
    state = np.dtype([("row", np.int64), ("column", np.int64)])
    max_episode_steps = 100
    parameters: Any = {  # noqa: RUF012 - as in FunctionalEnvironment
        "tiles": np.zeros((1, 1), np.int64),
        "starts": np.zeros(1, np.int64),
        "rewards": np.zeros(3),
        "is_slippery": True,
        "success_rate": 1.0 / 3.0,
    }

    def __init__(
        self,
        render_mode: str | None = None,
        desc: Any = None,
        map_name: str | None = "4x4",
        is_slippery: bool = True,
        success_rate: float = 1.0 / 3.0,
        reward_schedule: Any = (1, 0, 0),
    ) -> None:
        """Make a lake.

        Args:
            render_mode: See :class:`FunctionalEnvironment`.
            desc: Rows of the letters S, F, H and G; None selects a map by name.
            map_name: "4x4" or "8x8".
            is_slippery: Whether a step may go to the side.
            success_rate: Probability that it does not.
            reward_schedule: Rewards for reaching a goal, a hole and a frozen tile.

        Raises:
            ConfigError: There is no such map, a letter is another one, no tile is a start, or a value is wrong.
        """
        if desc is None and map_name not in MAPS:
            raise ConfigError(f"environment_kwargs: map_name={map_name!r}; expected 4x4 or 8x8, or a map in desc")
        letters = np.asarray(MAPS[str(map_name)] if desc is None else desc, dtype="c")
        starts = np.flatnonzero(letters == b"S")
        if letters.ndim != 2 or not starts.size or not np.isin(letters, [b"S", b"F", b"H", b"G"]).all():
            raise ConfigError(f"environment_kwargs: desc={desc!r}; expected rows of S, F, H and G, and at least one S")
        rewards = np.asarray(reward_schedule)
        if rewards.shape != (3,):
            raise ConfigError(f"environment_kwargs: reward_schedule={reward_schedule!r}; expected three numbers")
        super().__init__(
            render_mode,
            tiles=sum((letters == bytes([letter])) * index for index, letter in enumerate(TILES)),
            starts=starts,
            rewards=rewards[::-1],  # frozen, hole, goal
            is_slippery=is_slippery,
            success_rate=success_rate,
        )
        self.observation_space = gym.spaces.Discrete(letters.size)

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        """Write a first state: one of the starts."""
        count = parameters.starts.size
        start = parameters.starts[int(random.uniform() * count) if count > 1 else 0]
        state.row = start // parameters.tiles.shape[1]
        state.column = start % parameters.tiles.shape[1]

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        """Move by one tile."""
        tiles = parameters.tiles
        if tiles[state.row, state.column] != 0:  # the end: nothing changes
            return 0.0, True
        direction = action
        if parameters.is_slippery:
            aside = (1.0 - parameters.success_rate) / 2.0
            direction = turned(action, random.uniform(), aside, parameters.success_rate)
        row = min(max(state.row + ROWS[direction], 0), tiles.shape[0] - 1)
        column = min(max(state.column + COLUMNS[direction], 0), tiles.shape[1] - 1)
        state.row = row
        state.column = column
        tile = tiles[row, column]
        return parameters.rewards[tile], tile != 0

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        """Write the number of the tile."""
        out[0] = state.row * parameters.tiles.shape[1] + state.column

    @staticmethod
    def spread(state: Any, random: Any, parameters: Any) -> None:
        """Write any state."""
        state.row = random.integers(0, parameters.tiles.shape[0])
        state.column = random.integers(0, parameters.tiles.shape[1])

    def put(self, state: Any, original: Any) -> None:
        """See :class:`Twin`."""
        original.s = int(state.row) * self.parameters.tiles.shape[1] + int(state.column)

    def take(self, original: Any) -> tuple[Any, ...]:
        """See :class:`Twin`."""
        return divmod(int(original.s), self.parameters.tiles.shape[1])
