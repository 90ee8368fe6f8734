"""The portions of minibatches: each row is on one rank, and advantages are normalised over all of them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actor_critic.algorithm import minibatches, portions
from actor_critic.config import Config, Settings, settings_of
from actor_critic.errors import ConfigError
from actor_critic.ops.losses import normalize_advantages
from actor_critic.ranks import ALONE, Ranks, Share


class Of(Ranks):
    """A rank that exchanges nothing."""

    def __init__(self, index: int, size: int) -> None:
        self.index, self.size = index, size


def settings_for(steps: int, envs: int, parts: int, passes: int, memory: bool) -> Settings:
    return settings_of(
        Config(
            environment="CartPole-v1", num_envs=envs, batch_size=steps * envs, num_minibatches=parts,
            update_epochs=passes, memory="gru" if memory else None,
        )
    )  # fmt: skip


@given(data=st.data())
def test_portions_of_all_ranks_are_the_minibatches(data: Any) -> None:
    size, each = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    steps, memory, normalizes = data.draw(st.integers(1, 5)), data.draw(st.booleans()), data.draw(st.booleans())
    envs = size * each
    parts = data.draw(st.sampled_from([k for k in range(1, envs + 1) if envs % k == 0]))
    settings = settings_for(steps, envs, parts, data.draw(st.integers(1, 3)), memory)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    valid = random.random((steps, envs)) < data.draw(st.sampled_from([0.6, 1.0]))
    valid[0, 0] = True
    advantages = random.normal(size=(steps, envs)).astype(np.float32)
    has_pauses = not valid.all()
    whole = minibatches(settings, 3, valid if has_pauses else None)
    min_std = 0.1 if normalizes else None

    found: list[dict[tuple[int, int], float]] = [{} for _ in whole]
    weights = np.zeros(len(whole))
    for index in range(size):
        share = Of(index, size).share_of(envs)
        mine = valid[:, share.slice]
        kept = np.ones_like(mine) if memory else mine  # sequences keep the steps that are not valid
        places = np.argwhere(kept)  # time-major, as the rows of the rank's batch
        own = portions(whole, advantages, valid, share, steps, keeps_invalid=memory, min_std=min_std)
        assert len(own.weights) == len(whole)
        for k, portion in enumerate(own):
            for row, advantage in zip(portion.rows.tolist(), portion.advantages.tolist(), strict=True):
                t, i = places[row]
                assert (t, i + share.first) not in found[k]
                found[k][t, i + share.first] = advantage
            counted = sum(bool(mine[tuple(places[row])]) for row in portion.rows.tolist())
            weights[k] += portion.weight
            total = valid.reshape(-1)[whole[k]].sum() if memory else len(whole[k])
            assert portion.weight == pytest.approx(counted / total)
    assert weights == pytest.approx(np.ones(len(whole)))

    flat = np.arange(steps * envs) if memory or not has_pauses else np.flatnonzero(valid)
    for k, rows in enumerate(whole):
        expected = {divmod(int(place), envs): float(advantages.reshape(-1)[place]) for place in flat[rows]}
        assert found[k].keys() == expected.keys()
        counted = [place for place in expected if valid[place]]
        if normalizes:
            numbers = torch.tensor([expected[place] for place in counted], dtype=torch.float32)
            normal = normalize_advantages(numbers, 0.1).tolist() if len(counted) > 1 else numbers.tolist()
        else:
            normal = [expected[place] for place in counted]
        assert [found[k][place] for place in counted] == pytest.approx(normal, rel=1e-4, abs=1e-5)


def test_environments_are_divided_in_order() -> None:
    assert [Of(k, 3).share_of(6) for k in range(3)] == [Share(0, 2, 6), Share(2, 2, 6), Share(4, 2, 6)]
    assert ALONE.share_of(5) == Share(0, 5, 5)


@pytest.mark.parametrize(
    ("size", "count", "setting", "end"),
    [(4, 6, "num_envs", "set num_envs to 4 or 8"), (4, 3, "batch_size", "set batch_size to 4")],
)
def test_environments_that_cannot_be_divided_are_refused(size: int, count: int, setting: str, end: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Of(0, size).share_of(count, setting)
    assert str(refusal.value) == f"{setting}: {count} environments cannot be divided among {size} ranks; {end}"
