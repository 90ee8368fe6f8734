"""What environments change in the process is theirs."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import Config, Trainer, evaluate
from actor_critic.process import boundary
from tests.plain import PLAIN
from tests.toys import Countdown


def _state() -> tuple[Any, ...]:
    return (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        np.geterr(),
        warnings.filters[:],
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
        logging.root.manager.disable,
    )


def _meddle() -> None:
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(2)
    np.seterr(all="raise")
    warnings.simplefilter("error")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)


@pytest.fixture(autouse=True)
def _nothing_is_theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(boundary, "_vectors", 0)  # whatever other tests have not closed
    torch.set_num_threads(1)
    boundary.opened()
    boundary.closed()
    yield
    boundary.opened()
    boundary.closed()


def test_what_is_changed_inside_is_put_back_and_there_again_the_next_time() -> None:
    before = _state()
    with boundary.inside():
        _meddle()
    assert _state() == before
    assert boundary.is_crossed()
    with boundary.inside():
        assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_default_device() == torch.device("meta")
        assert np.geterr()["under"] == "raise"
        # Ctrl-C and the log stay ours, whoever else wants them.
        assert signal.getsignal(signal.SIGINT) is before[6]
        assert logging.root.manager.disable == 0
        with boundary.inside():  # an environment that makes another one
            torch.set_default_device(None)
        assert torch.get_default_device() == torch.device("cpu")
    assert _state() == before


def test_what_an_environment_takes_back_is_forgotten() -> None:
    with boundary.inside():
        torch.set_grad_enabled(False)
    with boundary.inside():
        torch.set_grad_enabled(True)
    assert not boundary._theirs


def test_where_pytorch_is_not_imported_its_state_is_that_of_the_environment_that_imports_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    try:
        with boundary.inside():
            monkeypatch.setitem(sys.modules, "torch", torch)
            torch.set_default_dtype(torch.float64)
            np.seterr(all="raise")
        assert np.geterr()["over"] == "warn"
        assert torch.get_default_dtype() == torch.float64
        with boundary.inside():
            assert torch.get_default_dtype() == torch.float64
            assert np.geterr()["over"] == "raise"
    finally:
        torch.set_default_dtype(torch.float32)


def test_first_steps_are_looked_at_one_by_one_and_all_once_something_was_found() -> None:
    assert [boundary.is_crossed() for _ in range(65)] == [True] * 64 + [False]
    with boundary.watched():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert boundary.is_crossed()


def test_what_environments_set_is_forgotten_with_the_last_of_them() -> None:
    boundary.opened()
    with boundary.inside():
        _meddle()
    boundary.closed()
    with boundary.inside():
        assert torch.is_grad_enabled()


def test_an_error_inside_leaves_nothing_behind() -> None:
    before = _state()
    with pytest.raises(ZeroDivisionError), boundary.inside():
        _meddle()
        raise ZeroDivisionError
    assert _state() == before


class Meddles(Countdown):
    """A Countdown that changes the process where it is told to, and needs its own changes from then on."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where, self._has_meddled = where, False
        self._meddle_in("init")

    def _meddle_in(self, where: str) -> None:
        if self._has_meddled:
            assert torch.get_default_dtype() == torch.float64
            assert not torch.is_grad_enabled()
        if where == self._where:
            _meddle()
            self._has_meddled = True

    def reset(self, **kwargs: Any) -> Any:
        self._meddle_in("reset")
        return super().reset(**kwargs)

    def step(self, action: int) -> Any:
        self._meddle_in("step")
        return super().step(action)

    def close(self) -> None:
        self._meddle_in("close")


gym.register("Meddles-v0", Meddles)


@pytest.mark.parametrize("backend", ["eager", "fused"])
@pytest.mark.parametrize("where", ["init", "reset", "step", "close"])
def test_a_run_is_the_same_whatever_its_environment_changes(where: str, backend: str) -> None:
    run: dict[str, Any] = {
        **PLAIN, "num_envs": 2, "num_steps": 8, "num_epochs": 3, "hidden_dim": 8, "backend": backend,
        "evaluation_episodes": 4,
    }  # fmt: skip
    before = _state()
    weights = []
    for changes in (
        {"environment": "Countdown-v0"},
        {"environment": "Meddles-v0", "environment_kwargs": {"where": where}},
    ):
        trainer = Trainer(Config(**run, **changes))
        for _ in trainer:
            assert _state() == before  # in the user's own loop
        evaluate(trainer.agent)
        weights.append(trainer.agent.parameters.values.clone())
        assert _state() == before
    assert torch.equal(*weights)


def test_looking_costs_an_epoch_some_microseconds() -> None:
    import timeit

    def look() -> None:
        with boundary.watched():
            pass

    assert min(timeit.repeat(look, number=200, repeat=5)) / 200 < 100e-6
    assert "torch" in sys.modules
