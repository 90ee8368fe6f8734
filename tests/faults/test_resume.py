"""Resumed at any epoch, and again: every later epoch is the one of the run that was never stopped."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from actor_critic import Config, Trainer
from actor_critic.storage.checkpoints import load
from actor_critic.storage.runs import periodic
from tests.faults.conftest import Campaign
from tests.plain import PLAIN

FAULT = "resume at every epoch boundary, and twice-resumed chains"
RUN: dict[str, Any] = {
    **PLAIN, "num_envs": 4, "num_steps": 16, "num_minibatches": 2, "update_epochs": 2,
    "hidden_dim": 8, "seed": 1, "checkpoint_interval": 1, "keep_checkpoints": 50, "normalize_observations": True,
    "normalize_rewards": True, "learning_rate": 0.01,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "in process": {},
    "annealed": {"anneal_lr": True, "anneal_ent": True, "ent_coef": 0.01},
    "with memory": {"memory": "gru"},
    "overlap": {"overlap": True, "clip_coef": 0.2, "anneal_clip": True},
    "eager": {"backend": "eager"},
    "random states": {"environment": "random-states"},
    "workers": {"workers": 2},
    "workers alone, annealed": {"vectorization": "workers", "workers": 2, "anneal_lr": True},
}


def finish(trainer: Trainer) -> None:
    for _ in trainer:
        pass


def digests(folder: Path) -> dict[int, str]:
    return {epoch: load(path).digest for epoch, path in periodic(folder)}


def figures_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics, but for the speed."""
    with open(folder / "metrics.csv", newline="") as stream:
        return [row | {"steps_per_second": ""} for row in csv.DictReader(stream)]


def stopped_after(whole: Path, epoch: int, folder: Path) -> Path:
    """A run folder as it was after an epoch, its metrics as those of a killed run: some rows too many."""
    folder.mkdir()
    for name in ("settings.json", "metrics.csv", f"epoch_{epoch:06d}.safetensors"):
        shutil.copy(whole / name, folder / name)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_the_run_that_was_not_stopped(kind: str, campaign: Campaign, tmp_path: Path) -> None:
    if kind.startswith("workers") and not campaign.is_whole:
        pytest.skip("in the campaign alone: workers take seconds to start")
    last = 50 if campaign.is_whole else 10
    settings = {"environment": "CartPole-v1"} | RUN | {"num_epochs": last} | KINDS[kind]
    whole = tmp_path / "whole"
    finish(Trainer(Config(**settings), whole))
    expected = digests(whole)
    assert len(expected) == len(set(expected.values())) == last
    figures = figures_of(whole)
    for seed in campaign.tries(FAULT, 1, 49):
        epoch = 1 + (seed if campaign.is_whole else 3 * len(kind)) % (last - 1)
        once = stopped_after(whole, epoch, tmp_path / f"once {epoch}")
        resumed = Trainer.resume(once)
        finish(resumed)
        assert digests(once) == {later: digest for later, digest in expected.items() if later >= epoch}
        assert figures_of(once) == figures  # rows are neither lost nor doubled
        second = epoch + (last - epoch) // 2
        twice = stopped_after(once, second, tmp_path / f"twice {epoch}")
        finish(Trainer.resume(twice))
        assert digests(twice) == {later: digest for later, digest in expected.items() if later >= second}
