"""Workers that die or hang: told in time; or replaced, and the run is the one that nothing happened to."""

import contextlib
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from actor_critic import Config, EnvironmentFault, Trainer
from tests.faults.conftest import Campaign
from tests.faults.test_environments import HERE, RUN, run

FAULT = "worker kill, segfault, exit, hang"


def worker_processes() -> list[psutil.Process]:
    """This process's workers; the server that they are forked from is none."""
    server = psutil.Process().children()
    return [worker for parent in server for worker in parent.children() if worker.is_running()]


def same_state(one: Trainer, other: Trainer) -> bool:
    states = one.agent.state(), other.agent.state()
    return one.env_steps == other.env_steps and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("how", ["segfault", "exit", "abort", "hang"])
def test_a_worker_that_dies_is_replaced_and_the_run_is_the_same(how: str, campaign: Campaign, tmp_path: Path) -> None:
    reference = run(environment=f"{HERE}Walk-v0", num_epochs=6)
    for seed in campaign.tries(FAULT, int(how in ("segfault", "hang")), 15):
        draw = random.Random(seed)
        kwargs = {"how": how, "after": draw.randint(1, 30), "marker": str(tmp_path / str(seed))}
        died: dict[str, Any] = {"environment": f"{HERE}Dies-v0", "environment_kwargs": kwargs, "num_epochs": 6}
        # The trial of replays would use up the one death that there is.
        died |= {"workers": 2, "replay": "reset", "worker_timeout": 1.5 if how == "hang" else 120.0}
        # Both workers may come to that step before the file is there.
        assert same_state(run(**died, max_worker_restarts=2), reference)
        assert (tmp_path / str(seed)).exists()


def test_workers_killed_from_outside_at_any_moment_are_replaced_and_the_run_is_the_same(campaign: Campaign) -> None:
    reference, deaths = run(environment="CartPole-v1", num_epochs=40, vectorization="sync"), 0
    for seed in campaign.tries(FAULT, 1, 40):
        draw = random.Random(seed)
        trainer = Trainer(
            Config(**RUN | {"num_epochs": 40}, environment="CartPole-v1", workers=2, max_worker_restarts=3)
        )
        killed = []

        def kill(draw: random.Random = draw, killed: list[int] = killed) -> None:
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):  # it left by itself meanwhile
                victim = draw.choice(worker_processes())
                victim.send_signal(signal.SIGKILL)
                killed.append(victim.pid)

        timers = [threading.Timer(draw.uniform(0.0, 0.4), kill) for _ in range(2)]
        for timer in timers:
            timer.start()
        for _ in trainer:
            time.sleep(0.01)  # so that the moments are spread over the run
        for timer in timers:
            timer.join()
        deaths += len(killed)
        assert same_state(trainer, reference)
    assert deaths > 0


@pytest.mark.parametrize("how", ["segfault", "exit", "hang"])
def test_a_worker_that_dies_ends_the_run_where_none_may_be_replaced(how: str, tmp_path: Path) -> None:
    kwargs = {"how": how, "after": 5, "marker": str(tmp_path / "marker")}
    died = {"environment": f"{HERE}Dies-v0", "environment_kwargs": kwargs, "replay": "reset"}
    died |= {"vectorization": "workers", "workers": 2}
    words = "did not answer for worker_timeout=1 s" if how == "hang" else "died"
    begun = time.monotonic()
    with pytest.raises(EnvironmentFault, match=f"the worker of environments \\d to \\d {words}"):
        run(**died, worker_timeout=1.0 if how == "hang" else 120.0)
    assert time.monotonic() - begun < 60
    assert not [child for child in worker_processes() if child.status() != psutil.STATUS_ZOMBIE]


def test_a_worker_that_always_dies_is_not_replaced_for_ever() -> None:
    kwargs = {"how": "exit", "after": 5}
    died = {"environment": f"{HERE}Dies-v0", "environment_kwargs": kwargs, "workers": 2, "replay": "reset"}
    with pytest.raises(EnvironmentFault, match="the worker of environments"):
        run(**died, max_worker_restarts=2)


def test_a_worker_whose_episodes_cannot_be_rebuilt_is_not_replaced() -> None:
    died = {"environment": f"{HERE}Dies-v0", "environment_kwargs": {"how": "exit", "after": 5}, "workers": 2}
    with pytest.raises(EnvironmentFault, match="the worker of environments 0 to 1 died"):
        run(**died, replay="none", max_worker_restarts=2)
