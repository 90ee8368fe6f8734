"""Saved states of running episodes, divided and joined."""

from typing import Any

import numpy as np
import pytest

from actor_critic import Config, Trainer


@pytest.mark.parametrize(
    "settings",
    [
        {"environment": "CartPole-v1", "vectorization": "sync", "replay": "reset"},
        {"environment": "CartPole-v1"},  # compiled
        {"environment": "CartPole-v1", "overlap": True},
        {"environment": "tests.toys:Recall-v0", "memory": "gru", "replay": "reset"},
    ],
)
def test_the_parts_of_a_state_are_the_whole(settings: dict[str, Any]) -> None:
    from actor_critic.rollouts import part_of_state, whole_state_of

    trainer = Trainer(Config(**settings, num_envs=6, batch_size=48, num_minibatches=2, num_epochs=2))
    for _ in trainer:
        pass
    state = trainer._state.running_episodes
    assert state is not None
    parts = [part_of_state(state, slice(first, first + 2)) for first in (0, 2, 4)]
    whole = whole_state_of(parts)
    assert whole.keys() == state.keys()
    for name, array in state.items():
        assert whole[name].dtype == array.dtype
        assert np.array_equal(whole[name], array), name
