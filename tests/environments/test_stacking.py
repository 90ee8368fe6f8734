"""Stacked observations: as Gymnasium's, in a space in which every part stays what it is."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from actor_critic import Config, Trainer
from actor_critic.environments.wrappers.stacking import FrameStack
from actor_critic.spaces import ObservationSpec

SPACES = [
    gym.spaces.Box(-1, 1, (3,)),
    gym.spaces.Box(-1, 1, (2, 2), np.float64),
    gym.spaces.Box(0, 255, (5, 4, 3), np.uint8),
    gym.spaces.Discrete(4, start=2),
    gym.spaces.MultiDiscrete([3, 2], start=[1, -5]),
    gym.spaces.MultiBinary([2, 3]),
    gym.spaces.Dict(
        {
            "z": gym.spaces.Box(-1, 1, ()),
            "a": gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Dict({"b": gym.spaces.MultiBinary(2)})]),
        }
    ),
]


class Random(gym.Env[Any, Any]):
    """Observations drawn from a space; with ``reuses`` they are all one buffer."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, space: gym.Space[Any], reuses: bool = False) -> None:
        self.observation_space = space
        self._buffer: Any = space.sample() if reuses else None

    def _observe(self) -> Any:
        drawn = self.observation_space.sample()
        if self._buffer is None:
            return drawn
        self._buffer[...] = drawn
        return self._buffer

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.observation_space.seed(seed)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observe(), 0.0, False, False, {}


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_what_is_shown_is_what_gymnasium_shows(space: gym.Space[Any]) -> None:
    ours, theirs = FrameStack(Random(space), 3), gym.wrappers.FrameStackObservation(Random(space), 3)
    for seed in (1, 2):
        shown = [[env.reset(seed=seed)[0], *(env.step(0)[0] for _ in range(5))] for env in (ours, theirs)]
        for mine, expected in zip(*shown, strict=True):
            assert data_equivalence(mine, expected)
            assert mine in ours.observation_space


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_part_is_of_the_kind_that_it_is_in_one_frame(space: gym.Space[Any]) -> None:
    frames = ObservationSpec.from_space(FrameStack(Random(space), 3).observation_space)
    single = ObservationSpec.from_space(space)
    assert [(part.path, part.kind, part.dtype) for part in frames.parts] == [
        (part.path, part.kind, part.dtype) for part in single.parts
    ]
    assert [part.shape for part in frames.parts] == [(3, *part.shape) for part in single.parts]
    assert frames.num_features == 3 * single.num_features


@pytest.mark.parametrize(
    ("space", "kind", "feature_shape"),
    [
        (gym.spaces.MultiDiscrete(np.full((5, 5), 3)), "categories", (300,)),
        (gym.spaces.MultiBinary([5, 5]), "box", (4, 5, 5)),
        (gym.spaces.Box(0, 99, (5, 5), np.uint8), "box", (4, 5, 5)),
        (gym.spaces.Box(0, 9, (5, 6), np.uint8), "box", (4 * 10, 5, 6)),  # codes
        (gym.spaces.Box(0, 255, (5, 6, 2), np.uint8), "image", (4 * 2 * 17, 5, 6)),
        (gym.spaces.Box(-1, 1, (6,)), "box", (4, 6)),
        (gym.spaces.Box(0, 255, (50, 40), np.uint8), "image", (4, 50, 40)),
        (gym.spaces.Box(0, 255, (40, 50, 3), np.uint8), "image", (12, 40, 50)),
        (gym.spaces.Box(0, 255, (3, 50, 40), np.uint8), "image", (12, 50, 40)),
        (gym.spaces.Box(0, 1, (10, 8, 4), np.bool_), "image", (16, 10, 8)),
    ],
)
def test_a_board_is_no_image_and_frames_of_an_image_are_channels(
    space: gym.Space[Any], kind: str, feature_shape: tuple[int, ...]
) -> None:
    (part,) = ObservationSpec.from_space(FrameStack(Random(space), 4).observation_space).parts
    assert (part.kind, part.feature_shape) == (kind, feature_shape)
    (frame,) = ObservationSpec.from_space(space).parts
    assert part.scale == frame.scale


def test_a_buffer_that_an_environment_uses_again_is_copied() -> None:
    space = gym.spaces.Box(0, 1, (2,))
    env, copying = FrameStack(Random(space, reuses=True), 2), FrameStack(Random(gym.spaces.Box(0, 1, (2,))), 2)
    shown = [env.reset(seed=0)[0], *(env.step(0)[0] for _ in range(3))]
    expected = [copying.reset(seed=0)[0], *(copying.step(0)[0] for _ in range(3))]
    np.testing.assert_array_equal(shown, expected)


def test_an_observation_that_does_not_fit_is_told_by_the_space_of_one() -> None:
    class Short(Random):
        def step(self, action: Any) -> Any:
            return (np.zeros(1, np.float32), *super().step(action)[1:])

    env = FrameStack(Short(gym.spaces.Box(0, 1, (2,))), 4)
    env.reset()
    with pytest.raises(ValueError, match=r"an observation of shape \(1,\); its space says \(2,\)"):
        env.step(0)


def test_stacked_categories_reach_the_networks_one_hot() -> None:
    gym.register("Stacked-v0", lambda: Random(gym.spaces.MultiDiscrete([40])), max_episode_steps=3)
    try:
        trainer = Trainer(Config(environment="Stacked-v0", frame_stack=2, num_envs=2, num_steps=4, num_epochs=1))
        assert sum(1 for _ in trainer) == 1
    finally:
        del gym.registry["Stacked-v0"]
    assert trainer.settings.input_dim == 80
    assert [part.kind for part in trainer.agent.observations.parts] == ["categories"]
