"""The wrappers around an environment, one by one."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym


def wrappers_of(env: gym.Env[Any, Any]) -> Iterator[gym.Wrapper[Any, Any, Any, Any]]:
    """Yield the wrappers around an environment, from the outermost inwards."""
    layer = env
    while isinstance(layer, gym.Wrapper):
        yield layer
        layer = layer.env
