"""A GPU's memory: constant over the epochs of a run, free after it, and one error where it ends."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from actor_critic import Trainer
from actor_critic.errors import ConfigError
from actor_critic.storage.runs import newest_sound
from tests.gpu import ON_GPU, runs

pytestmark = ON_GPU


@pytest.fixture
def whole_gpu() -> Iterator[None]:
    """Give the process the whole memory of the GPU again after the test."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("case", ["perceptron", "normalized", "memory", "cnn", "overlap", "masks"])
def test_memory_is_constant_over_the_epochs_of_a_run(case: str, tmp_path: Path) -> None:
    held = []
    for _ in Trainer(runs.config(case, num_epochs=20), tmp_path / "run"):
        gc.collect()
        held.append(torch.cuda.memory_allocated())
    assert len(set(held[2:])) == 1, held


def test_a_run_that_is_over_leaves_nothing_behind() -> None:
    list(Trainer(runs.config("perceptron", num_epochs=2)))  # cuBLAS keeps its workspace
    gc.collect()
    before = torch.cuda.memory_allocated()
    list(Trainer(runs.config("perceptron", num_epochs=2)))
    gc.collect()
    assert torch.cuda.memory_allocated() == before


def _allow(more: int) -> None:
    """Let the process have only some bytes more than it uses."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + more) / total)


def test_networks_that_do_not_fit_are_one_error(whole_gpu: None) -> None:
    _allow(64 * 2**20)
    with pytest.raises(ConfigError, match=r"the memory of the GPU does not suffice, .* at once; use more num_mini"):
        Trainer(runs.config("perceptron", hidden_dim=2048))


def test_a_run_out_of_memory_ends_with_one_error_and_goes_on_from_its_checkpoint(
    whole_gpu: None, tmp_path: Path
) -> None:
    changes = {"hidden_dim": 512, "num_envs": 64, "batch_size": 16384, "num_minibatches": 1}
    expected = runs.digests(Trainer(runs.config("perceptron", **changes)))
    trainer = Trainer(runs.config("perceptron", checkpoint_interval=100, **changes), tmp_path / "run")
    with pytest.raises(ConfigError, match="the memory of the GPU does not suffice"):
        for report in trainer:
            if report.epoch == 3:
                _allow(4 * 2**20)
    trainer.close()
    assert newest_sound(tmp_path / "run")[1].digest == expected[2]
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert runs.digests(Trainer.resume(tmp_path / "run")) == expected[3:]
