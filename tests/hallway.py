"""A functional environment whose parameters change during a run."""

import gymnasium as gym
import numpy as np

from actor_critic import FunctionalEnvironment


class Hallway(FunctionalEnvironment):
    """Walk on a line; the position is the reward, and an episode takes ``length`` steps."""

    observation_space = gym.spaces.Box(-5.0, 5.0, (2,))
    action_space = gym.spaces.Discrete(2)
    state = np.dtype([("place", float), ("time", int)])
    parameters = {"length": 8, "start": 0.0, "pull": [0.1, 0.1]}  # noqa: RUF012 - as users write it

    def begin_at(self, start: float) -> None:
        self.parameters.start = float(start)

    def lengthen(self, table: list[float]) -> None:
        self.parameters = type(self)(pull=table).parameters

    @staticmethod
    def initial(state, random, parameters):
        state.place = parameters.start + random.uniform(-0.5, 0.5)

    @staticmethod
    def transition(state, action, random, parameters):
        state.time += 1
        state.place = min(max(state.place + (parameters.pull[1] if action else -parameters.pull[0]), -1.0), 1.0)
        return state.place, state.time >= parameters.length

    @staticmethod
    def observation(state, out, parameters):
        out[0] = state.place
        out[1] = state.time / parameters.length
