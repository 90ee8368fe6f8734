"""The same bits from any number of processes."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from actor_critic import Config, Trainer
from actor_critic.checkpoints import load
from actor_critic.errors import ConfigError, EnvironmentFault

RUN = {
    "preset": "none", "num_envs": 5, "num_steps": 12, "num_minibatches": 2, "num_epochs": 4, "update_epochs": 2,
    "hidden_dim": 8, "seed": 1,
}  # fmt: skip


def _digest(folder: Path, **changes: Any) -> str:
    for _ in Trainer(Config(**(RUN | changes)), folder):
        pass
    return load(folder / "last.safetensors").digest


@pytest.mark.parametrize("environment", ["CartPole-v1", "tests.toys:Sampled-v0", "tests.toys:Nested-v0"])
def test_any_number_of_workers_gives_the_same_digest(environment: str, tmp_path: Path) -> None:
    expected = _digest(tmp_path / "sync", environment=environment)
    for workers in (1, 2, 3, 4):
        found = _digest(tmp_path / str(workers), environment=environment, vectorization="workers", workers=workers)
        assert found == expected


def test_a_run_is_resumed_on_another_number_of_workers(tmp_path: Path) -> None:
    expected = _digest(tmp_path / "sync", environment="tests.toys:Sampled-v0", num_epochs=7)
    _digest(tmp_path / "run", environment="tests.toys:Sampled-v0", workers=3)
    resumed = Trainer.resume(tmp_path / "run", num_epochs=7)
    assert resumed.settings.vectorization == "workers"
    for _ in resumed:
        pass
    assert load(tmp_path / "run" / "last.safetensors").digest == expected


def test_a_crash_of_an_environment_is_a_fault_that_names_its_worker_and_leaves_none_behind(tmp_path: Path) -> None:
    trainer = Trainer(Config(**RUN, environment="tests.toys:Crash-v0", workers=2))
    before = set(psutil.Process().children(recursive=True))
    assert len([child for child in before if child.is_running()]) >= 2
    with pytest.raises(EnvironmentFault, match=r"worker of environments (0 to 2|3 to 4) died \(exit code 7\)"):
        for _ in trainer:
            pass
    assert torch.isfinite(trainer.agent.parameters.values).all()
    assert not _workers()


def _workers() -> list[psutil.Process]:
    """Our worker processes; the servers that start them stay."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.ppid() != os.getpid() and child.status() != psutil.STATUS_ZOMBIE]


def test_faults_in_a_worker_are_those_of_one_process() -> None:
    settings = RUN | {"environment": "tests.toys:Faulty-v0", "environment_kwargs": {"fault": "shape"}}
    messages = []
    for workers in ({}, {"workers": 5}):
        trainer = Trainer(Config(**settings, **workers))
        with pytest.raises(EnvironmentFault) as caught:
            next(iter(trainer))
        messages.append(str(caught.value))
        trainer.close()
    assert messages[0] == messages[1]
    with pytest.raises(ConfigError, match="refuses"):
        Trainer(Config(**(settings | {"environment_kwargs": {"colour": 1}}), workers=2))


def test_workers_ignore_the_signals_of_a_terminal_and_leave_when_they_are_left() -> None:
    trainer = Trainer(Config(**RUN, environment="CartPole-v1", workers=2))
    workers = _workers()
    assert len(workers) == 2
    for worker in workers:
        worker.send_signal(signal.SIGINT)
        worker.send_signal(signal.SIGTERM)
    reports = iter(trainer)
    assert next(reports).epoch == 1
    for pipe in trainer._environment._pipes:  # type: ignore[union-attr]
        pipe.close()
    deadline = time.monotonic() + 5
    while _workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _workers()
    with pytest.raises(EnvironmentFault, match="died"):
        next(reports)
