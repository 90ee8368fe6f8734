from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actor_critic.networks.features import FeatureMaker
from actor_critic.networks.normalization import ObservationNormalizer, RewardNormalizer, RunningMoments, update_moments
from actor_critic.spaces import ObservationSpec

CPU = torch.device("cpu")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.floats(-1e4, 1e4), st.integers(0, 2**32 - 1))
def test_moments_of_batches_are_those_of_all_at_once(sizes: list[int], offset: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    batches = [offset + random.standard_normal((size, 2, 3)) for size in sizes]
    moments = RunningMoments((2, 3))
    for batch in batches:
        update_moments([(moments, torch.from_numpy(batch))])
    everything = np.concatenate(batches)
    assert moments.count == len(everything)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.variance, everything.var(0), rtol=1e-9, atol=1e-9)


def test_small_deviations_around_a_large_mean_keep_their_digits() -> None:
    # 10⁶ ± 1 in float32, whose sums are not: a mean taken there is off by hundredths, a mean of squares by thousands.
    samples = (1e6 + np.random.default_rng(0).standard_normal(300)).astype(np.float32)
    moments = RunningMoments(())
    for batch in torch.from_numpy(samples).split(7):
        update_moments([(moments, batch)])
    assert float(moments.mean) == pytest.approx(samples.mean(dtype=np.float64), rel=1e-13)
    assert float(moments.variance) == pytest.approx(samples.var(dtype=np.float64), rel=1e-9)


def test_moments_go_on_from_a_loaded_state_and_leave_that_state_alone() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 5, 3, generator=random)
    whole, resumed = RunningMoments((3,)), RunningMoments((3,))
    update_moments([(whole, first)])
    state = {name: tensor.clone() for name, tensor in whole.state().items()}
    resumed.load(state)
    update_moments([(whole, second)])
    update_moments([(resumed, second)])
    for name, tensor in whole.state().items():
        assert torch.equal(resumed.state()[name], tensor)
        assert not torch.equal(state[name], tensor)


def test_features_are_unchanged_before_the_first_update() -> None:
    features = torch.tensor([[-9.5, 0.0, 0.1], [3.0, 10.0, 1e-20]])
    assert torch.equal(ObservationNormalizer(3, CPU)(features), features)


def test_large_features_are_unchanged_before_the_first_update() -> None:
    # Such as pixels: clipped to ±10 before anything is known of their scale, they would all be alike.
    features = torch.tensor([[255.0, 128.0, -1000.0]])
    assert torch.equal(ObservationNormalizer(3, CPU)(features), features)


def test_normalised_features_have_mean_zero_and_deviation_one() -> None:
    features = torch.tensor([5.0, -3.0]) + torch.tensor([2.0, 0.1]) * torch.randn(
        1000, 2, generator=torch.Generator().manual_seed(0)
    )
    normalizer = ObservationNormalizer(2, CPU)
    for batch in features.split(100):
        update_moments([(normalizer.moments, batch)])
        normalizer.refresh()
    normalized = normalizer(features)
    assert normalized.dtype == torch.float32
    np.testing.assert_allclose(normalized.mean(0), [0, 0], atol=1e-4)
    np.testing.assert_allclose(normalized.std(0, correction=0), [1, 1], rtol=1e-4)


def test_normalised_features_are_clipped_at_ten_deviations() -> None:
    normalizer = ObservationNormalizer(1, CPU)
    update_moments([(normalizer.moments, torch.tensor([[-1.0], [1.0]]))])  # mean 0, deviation 1
    normalizer.refresh()
    found = normalizer(torch.tensor([[9.0], [11.0], [-1e6]]))
    torch.testing.assert_close(found, torch.tensor([[9.0], [10.0], [-10.0]]))


def test_feature_that_never_varies_becomes_zero() -> None:
    normalizer = ObservationNormalizer(1, CPU)
    update_moments([(normalizer.moments, torch.full((10, 1), 3.0))])
    normalizer.refresh()
    assert normalizer(torch.tensor([[3.0]])).item() == 0


def test_loaded_moments_are_used_after_a_refresh() -> None:
    one, other = ObservationNormalizer(2, CPU), ObservationNormalizer(2, CPU)
    update_moments([(one.moments, torch.tensor([[1.0, 2.0], [3.0, 8.0]]))])
    one.refresh()
    other.moments.load(one.moments.state())
    other.refresh()
    features = torch.tensor([[0.0, 5.0]])
    assert torch.equal(other(features), one(features))


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_rewards_are_divided_by_the_deviation_of_all_discounted_sums_so_far(gamma: float) -> None:
    random = np.random.default_rng(0)
    normalizer = RewardNormalizer(3, gamma)
    running, seen = [0.0] * 3, []
    for _ in range(4):  # rollouts of 5 steps, whose episodes reach from one into the next
        rewards = random.normal(2, 3, (5, 3)).astype(np.float32)
        ended = random.random((5, 3)) < 0.2
        for t in range(5):
            for n in range(3):
                running[n] = float(rewards[t, n]) + gamma * running[n]
                seen.append(running[n])
                if ended[t, n]:
                    running[n] = 0.0
        update_moments([(normalizer.moments, normalizer.returns_of(rewards, ended))])
        found = normalizer(rewards)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, rewards / np.sqrt(np.var(seen) + 1e-8), rtol=1e-5)


def _features(space: gym.Space[Any], *, is_normalized: bool = True) -> tuple[FeatureMaker, ObservationSpec]:
    spec = ObservationSpec.from_space(space)
    normalizer = ObservationNormalizer(spec.num_features, CPU) if is_normalized else None
    return FeatureMaker(spec, CPU, normalizer), spec


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int32])
def test_numbers_that_32_bits_cannot_tell_apart_are_centred_before(dtype: Any) -> None:
    bounds = (-(2**31), 2**31 - 1) if dtype is np.int32 else (-np.inf, np.inf)
    make, _ = _features(gym.spaces.Box(*bounds, (2,), dtype))
    seen = np.array([[1_700_000_000, 4], [1_700_000_010, 4]], dtype)  # mean 1,700,000,005, deviation 5
    update_moments(make.seen(seen))
    make.refresh()
    for maker in (make, make.frozen()):
        found = maker(seen)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found, [[-1, 0], [1, 0]], rtol=1e-6)


def test_a_part_of_64_bits_is_centred_among_others() -> None:
    inner = {"a": gym.spaces.Box(-np.inf, np.inf, (1,), np.float64), "b": gym.spaces.Discrete(2)}
    make, spec = _features(gym.spaces.Dict(inner))
    seen = np.zeros(2, spec.dtype)
    seen["a"][:, 0], seen["b"] = [1.7e9, 1.7e9 + 10], [0, 1]
    update_moments(make.seen(seen))
    make.refresh()
    np.testing.assert_allclose(make(seen), [[-1, 1, -1], [1, -1, 1]], rtol=1e-4)


def test_without_a_normalizer_64_bits_become_32_as_ever() -> None:
    numbers = np.random.default_rng(0).normal(size=(50, 3)) * 1e6
    make, _ = _features(gym.spaces.Box(-np.inf, np.inf, (3,), np.float64), is_normalized=False)
    assert make(numbers).numpy().tobytes() == numbers.astype(np.float32).tobytes()
    before, _ = _features(gym.spaces.Box(-np.inf, np.inf, (3,), np.float64))
    assert before(numbers).numpy().tobytes() == numbers.astype(np.float32).tobytes()  # nothing was seen yet
