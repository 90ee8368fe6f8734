"""The device of a run: its choice, a saved agent on another kind of device, and the end of a GPU's memory."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from actor_critic import ActorCriticAgent, Config, Trainer
from actor_critic.backends import device as devices
from actor_critic.backends import enough_memory, moved, why_automatic
from actor_critic.errors import ConfigError
from actor_critic.storage.runs import newest_sound
from tests.plain import PLAIN

RUN: dict[str, Any] = {
    "environment": "CartPole-v1", **PLAIN, "num_envs": 2, "num_steps": 16, "num_epochs": 6, "update_epochs": 2,
    "hidden_dim": 8, "seed": 3, "checkpoint_interval": 100, "evaluation_episodes": 2, "device": "cpu",
}  # fmt: skip
TEXT = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1 GiB is free."


class Hungry(torch.nn.Module):
    """An encoder that finds no memory in one of its passes with gradient, as on a small GPU."""

    passes = 0
    at: int | None = None

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__()
        self.output_dim = 4
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            Hungry.passes += 1
            if Hungry.passes == Hungry.at:
                raise torch.OutOfMemoryError(TEXT)
        found: torch.Tensor = self.layer(x)
        return found


def _digests(trainer: Trainer) -> list[str]:
    return [trainer.digest for _ in trainer]


def test_without_enough_memory_a_run_ends_with_one_error_and_its_checkpoint(tmp_path: Path) -> None:
    Hungry.passes, Hungry.at = 0, None
    expected = _digests(Trainer(Config(**RUN), encoder=Hungry))
    passes_of_an_epoch = Hungry.passes // 6
    Hungry.passes, Hungry.at = 0, 3 * passes_of_an_epoch + 2  # in the second step of epoch 4
    trainer = Trainer(Config(**RUN), tmp_path / "run", encoder=Hungry)
    with pytest.raises(ConfigError) as caught:
        list(trainer)
    assert str(caught.value) == (
        "device: the memory of the GPU does not suffice, 2.00 GiB at once; use more num_minibatches, a smaller "
        "batch_size (num_envs, num_steps) or a smaller hidden_dim, end other programs that use this GPU, or use "
        "device=cpu"
    )
    assert caught.value.exit_code == 2
    assert (trainer.epoch, trainer.digest) == (3, expected[2])
    assert newest_sound(tmp_path / "run")[1].digest == expected[2]
    trainer.close()
    resumed = Trainer.resume(tmp_path / "run", encoder=Hungry)
    assert _digests(resumed) == expected[3:]


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
)
def test_only_the_end_of_memory_is_reported_as_such(error: Exception, is_memory: bool) -> None:
    with pytest.raises(ConfigError if is_memory else type(error)), enough_memory():
        raise error


def test_an_agent_of_the_fused_backend_moves_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(Config(**RUN))
    settings = trainer.settings
    trainer.close()
    assert settings.backend == "fused"
    assert moved(settings, "cpu").backend == "fused"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda", "cuda:1"):
        there = moved(settings, name)
        assert (there.backend, there.device) == ("auto", name)
        back = moved(there.replace(device="cuda:1", backend="eager"), "cpu")
        assert (back.backend, back.device) == ("auto", "cpu")
    with pytest.raises(ConfigError, match='"cuda:2" is not there: PyTorch sees 2 CUDA GPUs'):
        moved(settings, "cuda:2")


def test_ranks_of_a_machine_take_its_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = [str(devices.choose_device("auto", rank)) for rank in range(4)]
    assert chosen == ["cuda", "cuda:1", "cuda:0", "cuda:1"]
    assert str(devices.choose_device("cpu", 1)) == "cpu"


def test_the_log_says_why_auto_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    said = why_automatic(torch.device("cuda"))
    assert said.startswith("cuda, because PyTorch sees a CUDA GPU (NVIDIA H200)")


def test_the_state_of_an_agent_is_a_copy() -> None:
    agent: ActorCriticAgent = Trainer(Config(**RUN)).agent
    before = agent.state()
    with torch.no_grad():
        agent.parameters.values.add_(1.0)
    after = agent.state()
    assert all(tensor.device.type == "cpu" for tensor in after.values())
    assert not torch.equal(before["policy.head.weight"], after["policy.head.weight"])
