"""The same bits from any number of processes."""

import functools
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import pytest

from actor_critic import Config, Trainer
from actor_critic.environments import WorkerVectorEnv
from actor_critic.environments.trials import measure
from actor_critic.environments.vector.same_step import SameStepVectorEnv
from actor_critic.errors import ConfigError, EnvironmentFault
from actor_critic.process import cores
from actor_critic.storage.checkpoints import load
from actor_critic.storage.runs import RunFolder
from tests import toys
from tests.nursery import Nursery, Process, wait_until
from tests.plain import PLAIN

RUN = {
    **PLAIN, "num_envs": 5, "num_steps": 12, "num_minibatches": 2, "num_epochs": 4, "update_epochs": 2,
    "hidden_dim": 8, "seed": 1,
}  # fmt: skip


def _digest(folder: Path, **changes: Any) -> str:
    for _ in Trainer(Config(**(RUN | changes)), folder):
        pass
    return load(folder / "last.safetensors").digest


@pytest.mark.parametrize("environment", ["CartPole-v1", "tests.toys:Sampled-v0", "tests.toys:Nested-v0"])
def test_any_number_of_workers_gives_the_same_digest(environment: str, tmp_path: Path) -> None:
    expected = _digest(tmp_path / "sync", environment=environment, vectorization="sync")
    for vectorization, workers in (("workers", 3), ("shared", 2)):
        folder = tmp_path / f"{vectorization} {workers}"
        assert _digest(folder, environment=environment, vectorization=vectorization, workers=workers) == expected


@pytest.mark.parametrize("separate_processes", [False, True])
@pytest.mark.parametrize("reserved_cores", [0, 99])
def test_who_waits_awake_and_who_waits_asleep_see_the_same(
    separate_processes: bool, reserved_cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "available", lambda: 8)
    make = functools.partial(gym.make, "CartPole-v1")
    alone, several = (
        SameStepVectorEnv(make, 5),
        WorkerVectorEnv(make, 5, 3, separate_processes=separate_processes, reserved_cores=reserved_cores),
    )
    try:
        assert np.array_equal(alone.reset(seed=3)[0], several.reset(seed=3)[0])
        for actions in np.random.default_rng(0).integers(0, 2, (50, 5, 1)):
            ours, theirs = alone.step_indices(actions), several.step_indices(actions)
            for name in ("observations", "rewards", "terminated", "truncated"):
                assert np.array_equal(getattr(ours, name), getattr(theirs, name))
    finally:
        several.close()


def test_the_fault_of_this_process_is_told_and_not_the_death_of_another() -> None:
    vector = WorkerVectorEnv(toys.FaultyHereAndDeadThere(), 2, 2, separate_processes=False)
    try:
        vector.reset(seed=0)
        vector.step_indices(np.zeros((2, 1), np.int64))
        with pytest.raises(EnvironmentFault, match="environment 0, episode 0, step 2: raised RuntimeError"):
            vector.step_indices(np.zeros((2, 1), np.int64))
    finally:
        vector.close()
    assert not _workers()


def test_a_death_in_another_process_is_told_and_leaves_none_behind() -> None:
    vector = WorkerVectorEnv(toys.FaultyHereAndDeadThere("nothing"), 2, 2, separate_processes=False)
    try:
        vector.reset(seed=0)
        vector.step_indices(np.zeros((2, 1), np.int64))
        with pytest.raises(EnvironmentFault, match=r"worker of environments 1 to 1 died \(exit code 3\)"):
            vector.step_indices(np.zeros((2, 1), np.int64))
    finally:
        vector.close()
    assert not _workers()


def test_environments_that_cannot_be_made_here_leave_no_process_behind() -> None:
    with pytest.raises(ConfigError, match="not twice in one process"):
        WorkerVectorEnv(toys.OnlyOnce(), 4, 2, separate_processes=False)
    assert not _workers()


def test_a_run_is_resumed_on_another_number_of_workers(tmp_path: Path) -> None:
    expected = _digest(tmp_path / "sync", environment="tests.toys:Sampled-v0", num_epochs=7)
    _digest(tmp_path / "run", environment="tests.toys:Sampled-v0", workers=3)
    resumed = Trainer.resume(tmp_path / "run", trust_code=True, num_epochs=7)
    assert resumed.settings.vectorization == "shared"
    for _ in resumed:
        pass
    assert load(tmp_path / "run" / "last.safetensors").digest == expected


def test_a_crash_of_an_environment_is_a_fault_that_names_its_worker_and_leaves_none_behind(tmp_path: Path) -> None:
    trainer = Trainer(
        Config(**RUN, environment="tests.toys:Crash-v0", vectorization="workers", workers=5), tmp_path / "run"
    )
    assert len(_workers()) == 5
    with pytest.raises(EnvironmentFault, match=r"worker of environments (\d) to \1 died \(exit code 7\)"):
        for _ in trainer:
            pass
    assert not _workers()
    RunFolder(tmp_path / "run").close()  # free to be claimed
    with pytest.raises(EnvironmentFault, match="died"):  # from the state before it, in new workers
        for _ in trainer:
            pass
    assert not _workers()


def _workers() -> list[psutil.Process]:
    """Our worker processes: children of the server that starts them, which stays."""
    return [child for child in psutil.Process().children(recursive=True) if _is_worker(child)]


def _is_worker(child: psutil.Process) -> bool:
    try:
        return child.ppid() != os.getpid() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it left between being listed and being asked
        return False


def _script(nursery: Nursery, code: str, folder: Path) -> Process:
    (folder / "script.py").write_text(code)
    return nursery.python(folder, "script.py")


@pytest.mark.parametrize(
    "then", ["pass", "it = iter(trainer); next(it)", "it = iter(trainer); next(it); raise SystemExit"]
)
def test_a_program_that_leaves_its_workers_ends(then: str, nursery: Nursery, tmp_path: Path) -> None:
    code = (
        "from actor_critic import Config, Trainer\n"
        "if __name__ == '__main__':\n"
        "    trainer = Trainer(Config(environment='CartPole-v1', workers=2))\n"
        f"    {then}\n"
        "    print('done')\n"
    )
    process = _script(nursery, code, tmp_path)
    assert (process.wait(60), process.err) == (0, "")
    assert process.left_behind() == []


def test_a_script_without_a_main_guard_is_told_so(nursery: Nursery, tmp_path: Path) -> None:
    code = "from actor_critic import Config, Trainer\nTrainer(Config(environment='CartPole-v1', workers=2))\n"
    process = _script(nursery, code, tmp_path)
    assert process.wait(60) == 1
    assert 'needs `if __name__ == "__main__":` around' in process.err


def test_faults_in_a_worker_are_those_of_one_process() -> None:
    settings = RUN | {"environment": "tests.toys:Faulty-v0", "environment_kwargs": {"fault": "shape"}}
    messages = []
    for workers in ({}, {"workers": 5}, {"workers": 3, "vectorization": "workers"}):
        trainer = Trainer(Config(**settings, **workers))
        with pytest.raises(EnvironmentFault) as caught:
            next(iter(trainer))
        messages.append(str(caught.value))
        trainer.close()
    assert messages == [messages[0]] * 3
    with pytest.raises(ConfigError, match="refuses"):
        Trainer(Config(**(settings | {"environment_kwargs": {"colour": 1}}), workers=2))


def test_workers_ignore_the_signals_of_a_terminal_and_leave_when_they_are_left() -> None:
    trainer = Trainer(Config(**RUN, environment="CartPole-v1", workers=3))
    workers = _workers()  # this process is one of the three
    assert len(workers) == 2
    for worker in workers:
        worker.send_signal(signal.SIGINT)
        worker.send_signal(signal.SIGTERM)
    reports = iter(trainer)
    assert next(reports).epoch == 1
    for pipe in trainer._environments.current._pipes:  # type: ignore[union-attr]
        pipe.close()
    deadline = time.monotonic() + 5
    while _workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _workers()
    with pytest.raises(EnvironmentFault, match="died"):
        next(reports)


@pytest.mark.slow
def test_how_many_workers_is_measured_and_changes_no_bit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RUN | {"environment": "tests.toys:Slow-v0", "num_epochs": 1, "replay": "reset"}  # without a slow trial
    with caplog.at_level("INFO", "actor_critic"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cores, "available", lambda: 2)
        trainer = Trainer(Config(**run, workers="auto"), tmp_path / "auto")
        again = Trainer(
            Config(**run | {"clip_coef": 0.2}, vectorization="workers", overlap=True)
        )  # a core is left to the one that learns
        again.close()
    assert (trainer.settings.vectorization, trainer.settings.workers) == ("shared", 2)
    assert re.search(
        r"workers: 2, because tests.toys:Slow-v0 made \d+ steps per second in one process, \d+ in 2", caplog.text
    )
    assert (again.settings.vectorization, again.settings.workers) == ("workers", 1)
    for _ in trainer:
        pass
    assert load(tmp_path / "auto" / "last.safetensors").digest == _digest(tmp_path / "sync", **run)


def test_environments_that_are_faster_than_messages_stay_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_CHEAP", 5 * measure._CHEAP)  # others may use the machine as well
    trainer = Trainer(Config(**RUN | {"num_envs": 2}, environment="tests.toys:Sampled-v0", workers="auto"))
    trainer.close()
    assert (trainer.settings.vectorization, trainer.settings.workers) == ("sync", 1)
    settings = Trainer(Config(num_epochs=1, workers="auto")).settings  # random states, which have no processes
    assert settings.workers == 1


def test_a_replay_may_take_longer_than_an_answer() -> None:
    vector = WorkerVectorEnv(toys.Patient, 2, 1, timeout=0.5)
    try:
        vector.reset(seed=3)
        for _ in range(60):  # of a hundredth of a second in each of the two
            vector.step_indices(np.zeros((2, 1), np.int64))
        state, began = vector.save_state(), time.monotonic()
        vector.load_state(state)
        assert time.monotonic() - began > 1.0
        assert (vector.save_state()["totals"] == 60).all()
    finally:
        vector.close()


@pytest.mark.slow
def test_workers_that_stood_still_with_their_program_are_not_taken_for_dead(nursery: Nursery, tmp_path: Path) -> None:
    words = ["--environment", "tests.toys:Slow-v0", "--vectorization", "workers", "--workers", "2", "--num-envs", "2"]
    words += [
        "--replay",
        "reset",
        "--worker-timeout",
        "1",
        "--num-steps",
        "40",
        "--num-epochs",
        "12",
        "--checkpoint-interval",
        "1",
    ]
    process = nursery.start(tmp_path, "train", *words, "--preset", "none", "--evaluation-episodes", "1")
    wait_until(lambda: process.has_ended or any(tmp_path.glob("checkpoints_*/epoch_*")), "a checkpoint")
    assert not process.has_ended
    process.send(signal.SIGSTOP, to_all=True)
    time.sleep(2.5)
    process.send(signal.SIGCONT, to_all=True)
    assert process.wait(60) == 0
