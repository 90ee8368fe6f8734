"""What the tests run on several ranks: ``torchrun … -m tests.ranks.programs PROGRAM FOLDER``."""

import atexit
import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from actor_critic import Config, Trainer
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.ranks import is_shared, join, rank
from actor_critic.storage import read_changes

_open: list[IO[str]] = []
SMALL: dict[str, Any] = {"num_envs": 8, "batch_size": 128, "num_minibatches": 4, "update_epochs": 2, "seed": 5}
CASES: dict[str, dict[str, Any]] = {
    "compiled": {"environment": "CartPole-v1", **SMALL},
    "a2c": {"environment": "CartPole-v1", "algorithm": "a2c", "num_envs": 8},
    "eager": {"environment": "CartPole-v1", "backend": "eager", "vectorization": "sync", "replay": "reset", **SMALL},
    "normalized": {
        "environment": "CartPole-v1", "normalize_observations": True, "normalize_rewards": True, "target_kl": 0.0001,
        "vectorization": "sync", "replay": "reset", **SMALL,
    },
    "masks": {"environment": "Taxi-v4", **SMALL},
    "pauses": {"environment": "tests.toys:Wordy-v0", "vectorization": "native", **SMALL},
    "memory": {"environment": "tests.toys:Recall-v0", "memory": "gru", "replay": "reset", **SMALL},
    "cnn": {"environment": "tests.toys:Lamp-v0", "replay": "reset", **SMALL},
    "overlap": {"environment": "CartPole-v1", "overlap": True, **SMALL},
    "described": {"input_dim": 4, "output_dim": 3, "hidden_dim": 16},
}  # fmt: skip


class Noisy(torch.nn.Module):
    """An encoder with batch normalisation, whose buffers follow each rank's own rows."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__()
        self.output_dim = 8
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x)
        return found


class FailsOnRank(gym.Env[Any, Any]):
    """Raises in step 5 of episode 3 on one rank, or always waits there."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    where = 1

    def __init__(self) -> None:
        self.episodes = self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.episodes, self.steps = self.episodes + 1, 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action: int) -> Any:
        self.steps += 1
        if (self.episodes, self.steps) == (3, 5) and rank() == self.where:
            raise RuntimeError("the simulator is gone")
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, self.steps >= 10, False, {}


class Refuses(FailsOnRank):
    """Refuses to become harder on rank 1."""

    where = -1  # never fails otherwise

    def harder(self, by: float) -> None:
        if rank() == 1:
            raise ValueError("too hard")


def train_all(folder: Path) -> None:
    """Train each case for ten epochs, and keep its weights and returns."""
    kept = {}
    for name, settings in CASES.items():
        trainer = Trainer(Config(**settings, num_epochs=10))
        returns = [report.mean_return for report in trainer]
        kept[name] = {"weights": trainer.agent.parameters.values.clone(), "returns": returns, "digest": trainer.digest}
        copied = copy.deepcopy(trainer.agent)  # an agent of a rank can be copied
        assert torch.equal(copied.parameters.values, trainer.agent.parameters.values)
    if rank() == 0:
        torch.save(kept, folder / f"kept_{join(60).size}.pt")


def stop_and_resume(folder: Path) -> None:
    """Stop a run after three of six epochs, resume it, and compare it with one that was never stopped."""
    config = Config(environment="CartPole-v1", normalize_rewards=True, num_epochs=6, checkpoint_interval=1, **SMALL)
    digests = [trainer.digest for trainer in [Trainer(config)] for _ in trainer]
    trainer = Trainer(config, folder / "run")
    for report in trainer:
        if report.epoch == 3:
            break
    trainer.close()
    resumed = Trainer.resume(folder / "run")
    assert resumed.epoch == 3
    assert [resumed.digest for _ in resumed] == digests[3:]
    assert resumed.evaluation is not None
    if rank() == 0:
        (folder / "digests.json").write_text(json.dumps(digests))


def stop_from_the_loop(folder: Path) -> None:
    """Let one rank alone ask to stop; all stop after the same epoch."""
    trainer = Trainer(Config(environment="CartPole-v1", num_epochs=9, **SMALL), folder / "run")
    for report in trainer:
        if report.epoch == 2 and rank() == 1:
            trainer.stop("rank 1 has seen enough")
    assert (trainer.epoch, trainer.stop_reason) == (2, "rank 1 has seen enough")


def fail(folder: Path) -> None:
    """Fail on rank 1; every rank raises the same error, and rank 0 writes a checkpoint."""
    config = Config(num_epochs=20, checkpoint_interval=100, **SMALL)
    trainer = Trainer(config, folder / "run", environment=FailsOnRank)
    try:
        for _ in trainer:
            pass
    except ActorCriticError as error:
        assert is_shared(error)
        told = {"text": str(error), "code": error.exit_code, "epoch": trainer.epoch}
        (folder / f"error_{rank()}.json").write_text(json.dumps(told))


def copy_buffers(folder: Path) -> None:
    """Train an encoder with buffers; all ranks end with the same ones."""
    trainer = Trainer(
        Config(environment="CartPole-v1", backend="eager", num_epochs=3, **SMALL), encoder=Noisy, environment=None
    )
    for _ in trainer:
        pass
    buffers = torch.cat([b.double().reshape(-1) for b in trainer.agent.policy_network.buffers()])
    assert all(torch.equal(buffers, other) for other in join(60).objects(buffers))


def change_differently(folder: Path) -> None:
    """Change a setting to another value on each rank; every rank is told before the next epoch."""
    trainer = Trainer(Config(environment="CartPole-v1", num_epochs=9, **SMALL))
    with pytest.raises(
        ConfigError, match=r"^change: rank 1 has made other changes than rank 0; make them on all ranks$"
    ):
        for _ in trainer:
            trainer.change(learning_rate=1e-4 * (1 + rank()))
    assert trainer.epoch == 1


def change_on_a_full_disk(folder: Path) -> None:
    """Let the disk refuse the record of a change, which rank 0 alone writes; every rank raises this error."""
    trainer = Trainer(Config(environment="CartPole-v1", num_epochs=9, **SMALL), folder / "run")
    with pytest.raises(ActorCriticError) as raised:
        for _ in trainer:
            if rank() == 0:
                (folder / "run" / "changes.json").unlink(missing_ok=True)
                (folder / "run" / "changes.json").mkdir()
            trainer.change(learning_rate=1e-4)
    assert is_shared(raised.value)
    assert raised.value.exit_code == CheckpointError.exit_code
    assert "changes.json cannot be written: Is a directory" in str(raised.value)
    assert str(raised.value).startswith("rank 0: ") == (rank() == 1)
    trainer.close()
    assert join(60).any(False) == [False]  # the ranks are still connected


def refuse_a_change(folder: Path) -> None:
    """Refuse a change of the environments on rank 1; every rank drops it, and the run goes on."""
    trainer = Trainer(Config(num_epochs=5, **SMALL), folder / "run", environment=Refuses)
    with pytest.raises(ActorCriticError, match=r"raised in the change harder=2.0 ValueError"):
        for report in trainer:
            if report.epoch == 2:
                trainer.change(learning_rate=1e-4, environment={"harder": 2.0})
    assert (trainer.epoch, trainer.changes) == (2, [])
    assert read_changes(folder / "run") == []
    assert [report.epoch for report in trainer] == [3, 4, 5]


def leave_alone(folder: Path) -> None:
    """Leave the loop on rank 0 alone, and exchange nothing afterwards."""
    for report in Trainer(Config(environment="CartPole-v1", num_epochs=9, **SMALL)):
        if report.epoch == 2 and rank() == 0:
            break
    (folder / "after").touch()
    _open.append((folder / "unflushed").open("w"))  # a file that stays open
    _open[-1].write("whole")


PROGRAMS: dict[str, Callable[[Path], None]] = {
    program.__name__: program
    for program in (
        train_all,
        stop_and_resume,
        stop_from_the_loop,
        fail,
        copy_buffers,
        change_differently,
        change_on_a_full_disk,
        refuse_a_change,
        leave_alone,
    )
}

if __name__ == "__main__":
    atexit.register((Path(sys.argv[1]) / f"rank_{rank()}_ended").touch)  # before the ranks join
    for name in sys.argv[2:]:
        (Path(sys.argv[1]) / name).mkdir(exist_ok=True)
        PROGRAMS[name](Path(sys.argv[1]) / name)
