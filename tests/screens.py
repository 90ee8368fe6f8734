"""Environments that can be looked at, and some that fail when they are."""

from typing import Any

import gymnasium as gym
import numpy as np

from actor_critic import FunctionalEnvironment
from tests.toys import Countdown


class Screen(Countdown):
    """A Countdown that shows its step as an image of 37 x 41 pixels, or whatever it is told to show."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 - as in Gymnasium

    def __init__(self, render_mode: str | None = None, shows: str = "image", length: int = 3) -> None:
        super().__init__(length)
        self.render_mode, self._shows = render_mode, shows

    def render(self) -> Any:
        image = np.zeros((41, 37, 3), np.uint8)
        image[4 * self._steps : 4 * self._steps + 4, :, 1] = 255
        match self._shows:
            case "None":
                return None
            case "float":
                return image.astype(np.float32)
            case "shares":
                return image / 255
            case "gray":
                return image[..., 0]
            case "list":
                return [image]
            case "grows":
                return image[: 20 + self._steps]
            case "mixed":
                return image if self._steps == 0 else "a text"
            case "raises":
                raise RuntimeError("the screen is black")
            case "breaks":
                if self._steps == 2:
                    raise RuntimeError("the screen is black")
        return image


class Blind(Countdown):
    """Declares a render mode that its constructor does not take."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as in Gymnasium


class _Counter(FunctionalEnvironment):
    observation_space = gym.spaces.Box(0.0, 9.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    state = ((1,), np.float64)
    max_episode_steps = 4

    @staticmethod
    def initial(state: Any, random: Any, parameters: Any) -> None:
        state[0] = 0.0

    @staticmethod
    def transition(state: Any, action: Any, random: Any, parameters: Any) -> tuple[float, bool]:
        state[0] += 1.0
        return float(action), False

    @staticmethod
    def observation(state: Any, out: Any, parameters: Any) -> None:
        out[0] = state[0]


class TextCounter(_Counter):
    """A functional environment that shows a text."""

    @staticmethod
    def render(state: Any, parameters: Any) -> Any:
        return f"count {state[0]:g}"


class ImageCounter(_Counter):
    """A functional environment that shows an image."""

    @staticmethod
    def render(state: Any, parameters: Any) -> Any:
        return np.full((8, 8, 3), 20 * int(state[0]), np.uint8)


class HiddenCounter(_Counter):
    """A functional environment that shows nothing."""


gym.register("Screen-v0", Screen)
