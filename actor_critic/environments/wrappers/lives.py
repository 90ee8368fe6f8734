"""Lives of Atari games: the loss of a life ends an episode for learning, and FIRE begins the next life."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from actor_critic.environments.wrappers.layers import layers


class AtariLives(gym.Wrapper[Any, Any, Any, Any]):
    """Presses FIRE at the start of each life where the game has this action, and notices lost lives.

    Many games wait for FIRE at the start of a life. A policy that never presses it would play for ever.

    Lives are counted anew in each step, so a game that is restored to a saved state goes on unchanged.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap a game.

        Raises:
            TypeError: The environment is not a game of the Arcade Learning Environment.
        """
        super().__init__(env)
        game: Any = env.unwrapped
        if not hasattr(game, "ale") or not hasattr(game, "get_action_meanings"):
            raise TypeError(f"{type(game).__name__} is not a game of the Arcade Learning Environment")
        self._count_lives: Callable[[], int] = game.ale.lives
        meanings = game.get_action_meanings()
        self._fire = meanings.index("FIRE") if "FIRE" in meanings else None
        self._has_lost = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a game, and press FIRE."""
        self._has_lost = False
        observation, info = self.env.reset(seed=seed, options=options)
        if self._fire is None:
            return observation, info
        observation, _, terminated, truncated, info = self.env.step(self._fire)
        return self.env.reset(options=options) if terminated or truncated else (observation, info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step; if it lost a life, press FIRE, whose reward belongs to this step."""
        lives = self._count_lives()
        observation, reward, terminated, truncated, info = self.env.step(action)
        has_lost = not (terminated or truncated) and self._count_lives() < lives
        if has_lost and self._fire is not None:
            observation, more, terminated, truncated, info = self.env.step(self._fire)
            reward = float(reward) + float(more)
        self._has_lost |= has_lost and not (terminated or truncated)
        return observation, reward, terminated, truncated, info

    def take(self) -> bool:
        """Return whether a life was lost since the last call; one step of an outer wrapper may take several steps."""
        has_lost, self._has_lost = self._has_lost, False
        return has_lost


def lives_of(env: gym.Env[Any, Any]) -> Callable[[], bool] | None:
    """Return a function that returns whether a life was lost since its last call; None without :class:`AtariLives`."""
    return next((layer.take for layer in layers(env) if isinstance(layer, AtariLives)), None)
