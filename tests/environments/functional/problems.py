"""The source of a small functional environment, and of variants of it with one mistake each."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE = '''
import math

import gymnasium as gym
import numpy as np

from actor_critic import FunctionalEnvironment

#G
STEP = 0.1


def moved(position, action):
    return position + (action - 1) * STEP


class Walk(FunctionalEnvironment):
    """Walk along a line."""

    observation_space = gym.spaces.Box(-10.0, 10.0, (2,))
    action_space = gym.spaces.Discrete(3)
    state = np.dtype([("position", float), ("stock", float, (3,)), ("steps", int)])
    max_episode_steps = 20
    parameters = {"gain": 2.0, "sizes": [1, 2, 3]}
    SCALE = 3.0
    #C

    @staticmethod
    def initial(state, random, parameters):
        state.position = random.uniform(-1.0, 1.0)

    @staticmethod
    def transition(state, action, random, parameters):
        state.position = moved(state.position, action)
        #T
        return 1.0, abs(state.position) > 2.0

    @staticmethod
    def observation(state, out, parameters):
        out[0] = state.position
        #O

    @staticmethod
    def action_mask(state, mask, parameters):
        mask[0] = state.position > -1.0
        #M

    @staticmethod
    def render(state, parameters):
        return f"at {state.position:.1f}"
'''


def source(
    transition: str = "", observation: str = "", mask: str = "", top: str = "", inside: str = "", **replaced: str
) -> str:
    """Return the source with lines added, and parts of it replaced."""
    text = SOURCE
    for mark, lines in (("#T", transition), ("#O", observation), ("#M", mask), ("#G", top), ("#C", inside)):
        indent = {"#G": "", "#C": "    "}.get(mark, "        ")
        text = text.replace(mark, f"\n{indent}".join(lines.splitlines()))
    for name, new in replaced.items():
        old = PARTS[name]
        assert old in text, old
        text = text.replace(old, new)
    return text


PARTS = {
    "space": "gym.spaces.Box(-10.0, 10.0, (2,))",
    "actions": "gym.spaces.Discrete(3)",
    "state": 'np.dtype([("position", float), ("stock", float, (3,)), ("steps", int)])',
    "result": "1.0, abs(state.position) > 2.0",
    "shown": "out[0] = state.position",
    "static": "@staticmethod\n    def transition",
    "initial": "def initial",
    "masking": "def action_mask",
    "drawing": "@staticmethod\n    def render",
    "arguments": "transition(state, action, random, parameters)",
    "step": "STEP = 0.1",
    "sum": "position + (action - 1) * STEP",
}
"""Parts that may be replaced, by name."""

_count = 0


def line_of(text: str, words: str) -> int:
    """Return the line of a source that contains words."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def load(folder: Path, text: str) -> ModuleType:
    """Import a source as a module that can be found again by its name; its folder must be on the path."""
    global _count
    _count += 1
    name = f"walk_{_count}"
    (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    sys.modules[name] = module
    return module


def make(folder: Path, text: str, **parameters: Any) -> Any:
    """Import a source and make its environment."""
    return load(folder, text).Walk(**parameters)
