"""The choice of a GPU."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from actor_critic import Trainer
from actor_critic.backends import choose_device
from actor_critic.errors import ConfigError
from tests.gpu import GPU, ON_GPU, runs
from tests.ranks.launch import ROOT

pytestmark = ON_GPU


@pytest.mark.parametrize("name", ["auto", GPU, f"{GPU}:0"])
def test_a_run_is_on_the_device_that_its_setting_names(name: str) -> None:
    trainer = Trainer(runs.config("perceptron", device=name, backend="auto"))
    settings, agent = trainer.settings, trainer.agent
    assert (settings.device.partition(":")[0], settings.backend) == (GPU, "eager")
    assert agent.parameters.values.device == torch.device(GPU, 0)
    assert all(parameter.device == torch.device(GPU, 0) for parameter in agent.policy_network.parameters())
    assert next(iter(trainer)).epoch == 1


def test_the_log_says_why_auto_is_the_gpu(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "actor_critic"):
        Trainer(runs.config("perceptron", device="auto")).close()
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("device: ")]
    assert len(said) == 1
    assert f"PyTorch sees a CUDA GPU ({torch.cuda.get_device_name()})" in said[0]


def test_a_gpu_that_is_not_there_is_named() -> None:
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=f'"cuda:{count}" is not there: PyTorch sees {count} CUDA GPUs'):
        Trainer(runs.config("perceptron", device=f"cuda:{count}"))


def test_ranks_of_a_machine_take_its_gpus_in_turn() -> None:
    count = torch.cuda.device_count()
    assert [choose_device("auto", rank).index or 0 for rank in range(2 * count)] == [*range(count)] * 2


def test_the_fused_backend_refuses_a_gpu() -> None:
    with pytest.raises(ConfigError, match='backend: "fused" runs on the CPU, and the device is cuda'):
        Trainer(runs.config("perceptron", backend="fused"))


def test_the_command_line_trains_resumes_and_evaluates_on_the_gpu(tmp_path: Path) -> None:
    sizes = ["--num-envs", "8", "--batch-size", "256", "--num-epochs", "2", "--no-anneal-lr"]
    commands = [
        ["train", "--environment", "CartPole-v1", "--device", GPU, "--run-folder", "run", *sizes],
        ["resume", "run", "--device", "cpu", "--num-epochs", "3"],
        ["resume", "run", "--device", GPU, "--num-epochs", "4"],
        ["evaluate", "run", "--device", "cpu", "--episodes", "2"],
    ]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "actor_critic", *command], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
