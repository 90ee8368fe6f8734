"""Saved and loaded ten thousand times: nothing is held on to."""

import gc
from pathlib import Path

import psutil
import pytest

from actor_critic import ActorCriticAgent
from actor_critic.errors import CheckpointError
from actor_critic.storage import checkpoints
from tests.faults.conftest import Campaign
from tests.storage.test_golden import GOLDEN

FAULT = "save and load cycles: descriptors and memory flat"
WARM = 50
MEGABYTES = 8


def test_neither_descriptors_nor_memory_grow(campaign: Campaign, tmp_path: Path) -> None:
    process = psutil.Process()
    path, broken = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    broken.write_bytes(GOLDEN.read_bytes()[:-1])

    def cycle(number: int) -> None:
        checkpoint = checkpoints.load(GOLDEN if number == 0 else path)
        if number % 10 == 0:
            ActorCriticAgent.from_checkpoint(checkpoint, path, "cpu").save(path)
        checkpoints.save(checkpoint, path)
        for bad in (broken, tmp_path):
            with pytest.raises(CheckpointError):
                checkpoints.load(bad)

    for number in range(WARM):
        cycle(number)
    gc.collect()
    descriptors, memory = process.num_fds() if hasattr(process, "num_fds") else 0, process.memory_info().rss
    for seed in campaign.tries(FAULT, 200, 10_000):
        cycle(seed + 1)
    gc.collect()
    assert (process.num_fds() if hasattr(process, "num_fds") else 0) == descriptors
    assert process.memory_info().rss - memory < MEGABYTES << 20
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
