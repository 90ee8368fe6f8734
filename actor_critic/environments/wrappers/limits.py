"""Step limits of episodes: the environment's own, and the limit of evaluations."""

from typing import Any

import gymnasium as gym


def has_step_limit(env: Any) -> bool:
    """Return whether an environment, or a vector of them, declares a step limit."""
    return env.spec is not None and env.spec.max_episode_steps is not None


class EvaluationLimit(gym.Wrapper[Any, Any, Any, Any]):
    """Truncates an episode after a number of steps. Unlike TimeLimit, it does not change the specification."""

    def __init__(self, env: gym.Env[Any, Any], most_steps: int) -> None:
        super().__init__(env)
        self._most_steps = most_steps
        self._steps = 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset, and restart the count."""
        self._steps = 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        """Take a step; the vectoriser checks the result."""
        returned = self.env.step(action)
        self._steps += 1
        if self._steps < self._most_steps or not isinstance(returned, tuple) or len(returned) != 5:
            return returned
        observation, reward, terminated, _, info = returned
        return observation, reward, terminated, True, info
