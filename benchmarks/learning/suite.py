"""The problems of the comparison of defaults, and their scales."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

_OWN = "benchmarks.learning.problems"


@dataclass(frozen=True)
class Problem:
    """An environment with a budget, and the returns that scale its score to between 0 and 1.

    Attributes:
        name: Name in the table.
        environment: The id; "module:Id" imports the module first.
        steps: Environment steps of training.
        random: Mean return of random actions.
        best: The best known return; in MinAtar, of runs several times as long.
        tuned_on: Whether our defaults were chosen on it; the others only confirm.
        kwargs: Keyword arguments of the environment.
        limit: Truncate episodes after this many steps; None keeps the environment's own limit.
        wrappers: Wrappers that a peer needs to read the observations, as "module:Class"; ours reads them as they come.
        has_masks: Whether the environment gives action masks.
        has_memory: Whether policies need memory: a GRU for ours, RecurrentPPO's LSTM for Stable-Baselines3.
        num_envs: Environments; None takes 8, or 32 of ours with memory, as our defaults do.
        peers_can: Whether peers can make the environment.
        episodes: Episodes of the evaluation.
        is_long: Whether a run takes minutes.
    """

    name: str
    environment: str
    steps: int
    random: float
    best: float
    tuned_on: bool
    kwargs: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    wrappers: tuple[str, ...] = ()
    has_masks: bool = False
    has_memory: bool = False
    num_envs: int | None = None
    peers_can: bool = True
    episodes: int = 100
    is_long: bool = False


_LONG: dict[str, Any] = {"tuned_on": False, "is_long": True}
_GRID = ("minigrid.wrappers:ImgObsWrapper", "gymnasium.wrappers:FlattenObservation")

PROBLEMS = (
    Problem("FrozenLake-v1", "FrozenLake-v1", 100_000, 0.015, 0.74, True, episodes=1000),
    Problem("CliffWalking-v1, limit 200", "CliffWalking-v1", 200_000, -2000, -13, True, limit=200),
    Problem("Taxi-v4 with masks", "Taxi-v4", 200_000, -200, 7.93, True, has_masks=True, episodes=1000),
    Problem("Acrobot-v1", "Acrobot-v1", 200_000, -499, -63, True),
    Problem("MountainCar-v0", "MountainCar-v0", 300_000, -200, -97, True),
    Problem("LunarLander-v3", "LunarLander-v3", 300_000, -178, 285, True),
    Problem("CartPole-v1", "CartPole-v1", 50_000, 22, 500, False),
    Problem("CartPole-v1, one environment", "CartPole-v1", 50_000, 22, 500, False, num_envs=1),
    Problem("FrozenLake8x8-v1, not slippery", "FrozenLake8x8-v1", 100_000, 0.002, 1, False, {"is_slippery": False}),
    Problem("rewards in the thousands", f"{_OWN}:Thousands-v0", 50_000, 22_000, 500_000, False),
    Problem("observations in the thousands", f"{_OWN}:FarAway-v0", 50_000, 22, 500, False),
    Problem("one reward at the end", f"{_OWN}:Corridor-v0", 50_000, 0.0, 1, False),
    Problem(
        "random states, linear rewards",
        f"{_OWN}:States-v0",
        20_000,
        0.0,
        0.86,
        False,
        {"rewards": "linear"},
        episodes=5000,
    ),
    Problem(
        "random states, nonlinear rewards",
        f"{_OWN}:States-v0",
        20_000,
        0.0,
        0.68,
        False,
        {"rewards": "nonlinear"},
        episodes=5000,
    ),
    Problem("MinAtar Breakout", "minatar.gym:MinAtar/Breakout-v1", 300_000, 0.5, 20, **_LONG),
    Problem("MinAtar Space Invaders", "minatar.gym:MinAtar/SpaceInvaders-v1", 300_000, 2.6, 150, **_LONG),
    Problem("MinAtar Seaquest", "minatar.gym:MinAtar/Seaquest-v1", 300_000, 0.2, 20, **_LONG),
    Problem("MiniGrid Empty 8x8", "minigrid:MiniGrid-Empty-8x8-v0", 100_000, 0.1, 0.96, wrappers=_GRID, **_LONG),
    Problem(
        "MiniGrid DoorKey 5x5",
        "minigrid:MiniGrid-DoorKey-5x5-v0",
        200_000,
        0.07,
        0.965,
        False,
        wrappers=_GRID,
        is_long=True,
    ),
    Problem("T-maze of length 10, with memory", f"{_OWN}:TMaze-v0", 200_000, 0.1, 1, False, has_memory=True),
    Problem("repeat one of ten", f"{_OWN}:Repeat-v0", 5_000, 10, 100, False, num_envs=1),
    Problem(
        "repeat one of 70, 55 masked",
        f"{_OWN}:Repeat-v0",
        2_048,
        6.7,
        100,
        False,
        {"choices": 70, "masked": 55},
        has_masks=True,
        num_envs=1,
    ),
    Problem(
        "repeat one of 70, 55 masked, eight environments",
        f"{_OWN}:Repeat-v0",
        16_384,
        6.7,
        100,
        False,
        {"choices": 70, "masked": 55},
        has_masks=True,
    ),
    Problem(
        "courier: Dict and masks",
        "docs.examples.own_problem:Courier-v0",
        50_000,
        -0.2,
        0.83,
        False,
        has_masks=True,
        peers_can=False,
    ),
)


def make_environment(problem: Problem, wrappers: tuple[str, ...] = ()) -> gym.Env[Any, Any]:
    """Make the environment of a problem, with wrappers as "module:Class"."""
    import importlib

    if ":" in problem.environment:
        module = importlib.import_module(problem.environment.partition(":")[0])
        getattr(module, "register_envs", lambda: None)()
    extra = {} if problem.limit is None else {"max_episode_steps": problem.limit}
    env = gym.make(problem.environment.rpartition(":")[2], disable_env_checker=True, **problem.kwargs, **extra)
    for name in wrappers:
        module_name, _, kind = name.partition(":")
        wrap: Callable[..., Any] = getattr(importlib.import_module(module_name), kind)
        env = wrap(env)
    return env
