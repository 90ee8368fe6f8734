"""The measurements start, on work of a moment: they use names of the package that nothing else does."""

import importlib.util

import pytest

from benchmarks.learning import __main__ as learning
from benchmarks.speed import ours, profile, scaling
from benchmarks.speed.workloads import OURS, PEERS, PPO, WORKLOADS, Contender, Workload

JOB = {"threads": 1, "seed": 1, "epochs": 2, "episodes": 1, "target": None, "settings": {}}
TINY = PPO | {"num_envs": 2, "num_steps": 8, "num_minibatches": 1, "update_epochs": 1, "hidden_dim": 4}


@pytest.mark.parametrize("task", ours.TASKS)
def test_each_task_of_ours_answers(task: str) -> None:
    answer = ours.TASKS[task](JOB | {"work": TINY})
    assert answer["return" if task == "learn" else "rate"] > 0


@pytest.mark.parametrize("backend", ["fused", "eager"])
def test_the_profile_has_every_part(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "SECONDS", 0.01)
    contender = Contender("ours", OURS, 0, settings={"backend": backend})
    found = profile._measure(Workload("tiny", "", TINY, (contender,)), contender)
    parts = {"stepping", "choosing", "preparing", "learning"}
    assert found.keys() == parts | {"the rest"} | ({profile.PRODUCTS} if backend == "fused" else set())
    assert all(found[part] > 0 for part in parts)


def test_scaling_measures_a_point() -> None:
    assert scaling._point({"num_envs": 1, "num_minibatches": 1, "hidden_dim": 4})["seconds"] > 0


def test_every_contender_has_a_module() -> None:
    modules = {contender.module for workload in WORKLOADS for contender in workload.contenders}
    assert modules == {OURS} | {f"peers.{name}" for name in PEERS}
    for module in modules:
        assert importlib.util.find_spec(f"benchmarks.{module}") is not None


def test_every_row_of_learning_has_a_key_of_its_own_for_each_seed() -> None:
    keys = {learning._key(row, seed) for row in learning.ROWS for seed in learning.SEEDS}
    assert len(keys) == len(learning.ROWS) * len(learning.SEEDS)
