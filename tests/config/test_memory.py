"""Sizes that cannot fit, found before anything is allocated."""

from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from actor_critic.config import Config, Layer, Settings, resolve
from actor_critic.config.memory import check_evaluation_fits_in_memory, check_fits_in_memory
from actor_critic.errors import ConfigError

GIGABYTE = 10**9


def _settings(**said: Any) -> Settings:
    return resolve(Layer("test", Config(**said))).settings


def _give(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))


@pytest.mark.parametrize(
    ("culprit", "said"),
    [
        ("hidden_dim", {"hidden_dim": 100_000}),
        ("batch_size", {"batch_size": 2**20, "input_dim": 1000}),
        ("num_minibatches", {"batch_size": 2**18, "hidden_layers": 8}),
        ("input_dim", {"input_dim": 10**6, "hidden_dim": 1}),
        ("output_dim", {"input_dim": 10**5, "output_dim": 10**5, "hidden_dim": 1}),
        ("evaluation_episodes", {"evaluation_episodes": 10**6, "output_dim": 1000}),
    ],
)
def test_what_cannot_fit_is_refused_by_the_setting_that_asks_for_most(
    culprit: str, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(monkeypatch, GIGABYTE)
    settings = _settings(**said)
    with pytest.raises(ConfigError) as caught:
        check_fits_in_memory(settings)
    text = str(caught.value)
    assert text.startswith(f"{culprit}: {getattr(settings, culprit)} cannot fit: ")
    assert "1 GB is free" in text and "expected a smaller" in text and "\n" not in text


def test_smaller_minibatches_are_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, GIGABYTE)
    check_fits_in_memory(_settings(batch_size=2**18, hidden_layers=8, num_minibatches=64))


def test_minibatches_do_not_shrink_what_the_whole_batch_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, GIGABYTE)
    with pytest.raises(ConfigError, match=r"^batch_size: 2097152 cannot fit"):
        check_fits_in_memory(_settings(batch_size=2**21, num_minibatches=2**10))


@pytest.mark.parametrize("said", [{}, {"environment": "CartPole-v1", "input_dim": 4, "output_dim": 2}])
def test_a_usual_run_fits_in_a_tenth_of_a_gigabyte_and_in_no_ten_kilobytes(
    said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(monkeypatch, GIGABYTE // 10)
    check_fits_in_memory(_settings(**said))
    _give(monkeypatch, 10_000)
    with pytest.raises(ConfigError, match="10 kB is free"):
        check_fits_in_memory(_settings(**said))


def test_stacked_frames_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # input_dim comes from the space of the stacked observations already
    _give(monkeypatch, 200_000_000)
    sizes: dict[str, Any] = {"input_dim": 28_224, "output_dim": 4, "hidden_dim": 64, "batch_size": 256}
    check_fits_in_memory(_settings(environment="module:Id", frame_stack=4, **sizes))


def test_a_shared_encoder_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, GIGABYTE)
    check_fits_in_memory(_settings(hidden_dim=7_000, shared_encoder=True))
    with pytest.raises(ConfigError, match=r"^hidden_dim: 7000 cannot fit"):
        check_fits_in_memory(_settings(hidden_dim=7_000))


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_the_weights_of_a_memory_count(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, GIGABYTE)
    sizes: dict[str, Any] = {"hidden_dim": 4_000, "hidden_layers": 0}
    check_fits_in_memory(_settings(**sizes))
    with pytest.raises(ConfigError, match=r"^hidden_dim: 4000 cannot fit"):
        check_fits_in_memory(_settings(**sizes, memory=memory, num_envs=4))


def test_what_an_encoder_makes_of_many_numbers_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, GIGABYTE)
    settings = _settings(environment="module:Id", input_dim=100_000, output_dim=4, hidden_dim=1_000, batch_size=256)
    check_fits_in_memory(settings, is_flattened=False)
    with pytest.raises(ConfigError, match="cannot fit"):
        check_fits_in_memory(settings)


def test_an_evaluation_of_too_many_random_states_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _give(monkeypatch, GIGABYTE)
    settings = _settings(input_dim=1000)
    check_evaluation_fits_in_memory(settings, 10_000)
    with pytest.raises(ConfigError, match=r"^evaluation_episodes: 1000000 cannot fit: .* 1 GB is free; expected fewer"):
        check_evaluation_fits_in_memory(settings, 10**6)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((10**8, 2), "the observation space of Big-v0 has 100000000 numbers for the networks, which cannot fit"),
        ((4, 10**6), "the action space of Big-v0 has 1000000 choices, which cannot fit"),
    ],
)
def test_a_space_too_large_for_memory_is_named_and_no_setting(
    sizes: tuple[int, int], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(monkeypatch, GIGABYTE)
    settings = _settings(environment="Big-v0", batch_size=1, num_envs=1).fitted(*sizes)
    with pytest.raises(ConfigError) as caught:
        check_fits_in_memory(settings)
    assert str(caught.value).startswith(f"environment: {words}")
    assert "as a MultiDiscrete" in str(caught.value)
    wide = _settings(environment="Small-v0", batch_size=1, num_envs=1, hidden_dim=2**24, hidden_layers=1).fitted(4, 2)
    with pytest.raises(ConfigError, match=r"^hidden_dim: 16777216 cannot fit"):
        check_fits_in_memory(wide)


def test_an_observation_space_beyond_any_memory_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        _settings(environment="Big-v0").fitted(2**40, 2)
    words = "the observation space of Big-v0 is 1099511627776 numbers for the networks, and at most 21474"
    assert str(caught.value).startswith(f"environment: {words}")
