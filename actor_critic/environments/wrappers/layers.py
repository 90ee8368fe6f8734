"""An environment and its wrappers, one by one."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym


def layers(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """Yield an environment and all that it wraps, outermost first."""
    layer: Any = env
    while isinstance(layer, gym.Wrapper):
        yield layer
        layer = layer.env
    yield layer
