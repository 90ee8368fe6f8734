"""Checkpoints move between a GPU and the CPU, both ways."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actor_critic import ActorCriticAgent, Trainer, evaluate
from actor_critic.storage.runs import newest_sound
from tests.gpu import GPU, ON_GPU, runs

pytestmark = ON_GPU

CASES = ["perceptron", "normalized", "memory", "cnn", "overlap"]


def _half(case: str, folder: Path, **changes: Any) -> Trainer:
    """Train the first three of six epochs in a folder."""
    trainer = Trainer(runs.config(case, **changes), folder)
    for report in trainer:
        if report.epoch == 3:
            break
    trainer.close()
    return trainer


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("first", "then"), [(GPU, "cpu"), ("cpu", GPU)])
def test_a_run_goes_on_on_another_device(
    case: str, first: str, then: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = _half(case, tmp_path / "run", device=first, backend="auto")
    saved = newest_sound(tmp_path / "run")[1].tensors
    resumed = Trainer.resume(tmp_path / "run", device=then, trust_code=True)
    assert f"was trained on {first}, and the run continues on {then}" in caplog.text
    assert resumed.agent.parameters.values.device.type == then
    there = resumed.agent.state()
    assert there.keys() <= saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in there.items())
    assert [report.epoch for report in resumed] == [4, 5, 6]
    resumed.close()
    again = Trainer.resume(tmp_path / "run", trust_code=True)  # with the device and the backend of the second half
    assert (again.epoch, again.settings.device, again.settings.backend) == (6, then, resumed.settings.backend)
    assert before.settings.device == first


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("first", "then"), [(GPU, "cpu"), ("cpu", GPU), ("cpu", "auto")])
def test_an_agent_is_loaded_and_evaluated_on_another_device(case: str, first: str, then: str, tmp_path: Path) -> None:
    agent = _half(case, tmp_path / "run", device=first, backend="auto").agent
    path = newest_sound(tmp_path / "run")[0]
    other = ActorCriticAgent.load(path, device=then, trust_code=True)
    assert other.device.type != agent.device.type
    mine, theirs = agent.state(), other.state()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    assert np.isfinite(evaluate(other, episodes=2).greedy.mean)


def test_new_runs_begin_with_weights_of_the_other_device(tmp_path: Path) -> None:
    for first, then in ((GPU, "cpu"), ("cpu", GPU)):
        weights = _half("perceptron", tmp_path / first, device=first).agent.state()
        begun = Trainer(runs.config("perceptron", device=then, init_from=str(tmp_path / first)))
        assert torch.equal(begun.agent.state()["policy.head.weight"], weights["policy.head.weight"])
        begun.close()


def test_a_pickled_agent_of_a_gpu_holds_tensors_of_the_cpu() -> None:
    agent = Trainer(runs.config("perceptron", num_epochs=1)).agent
    assert all(tensor.device.type == "cpu" for tensor in agent.__getstate__()["tensors"].values())
    twin = pickle.loads(pickle.dumps(agent))
    assert torch.equal(twin.parameters.values, agent.parameters.values)
    assert twin.device == agent.device
