"""Runs of a second that save every epoch, and what they must come to."""

import csv
import random
import time
from pathlib import Path
from typing import Any

from actor_critic.storage import checkpoints, runs
from tests.nursery import Nursery, Process, wait_until
from tests.plain import PLAIN

EPOCHS = 34  # in which the episodes of each environment end
_SETTINGS = {
    **PLAIN, "environment": "CartPole-v1", "num_envs": 4, "num_steps": 16, "num_minibatches": 2,
    "update_epochs": 2, "clip_coef": 0.2, "hidden_dim": 8, "num_epochs": EPOCHS, "checkpoint_interval": 1,
    "keep_checkpoints": 1000, "evaluation_episodes": 1,
}  # fmt: skip


def train(**changes: Any) -> list[str]:
    """The command line of a short run."""
    words = ["train"]
    for name, value in (_SETTINGS | changes).items():
        flag = name.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def resume(folder: Path) -> list[str]:
    """The command line that takes up the run in a folder."""
    return ["resume", run_in(folder).name, "--trust-code"]


def run_in(folder: Path) -> Path:
    """The one run folder there."""
    (found,) = folder.glob("checkpoints_*")
    return found


def digests(folder: Path) -> dict[int, str]:
    """The digest of every epoch of the run there, each checkpoint proved whole."""
    return {epoch: checkpoints.load(path).digest for epoch, path in runs.periodic(run_in(folder))}


def metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of its metrics."""
    with open(run_in(folder) / "metrics.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def best_is_kept(folder: Path) -> bool:
    """Whether the best checkpoint is the one that the newest has heard of."""
    best, last = (checkpoints.load(run_in(folder) / f"{name}.safetensors") for name in ("best", "last"))
    return best.records["best"] == last.records["best"]


def temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


class Uninterrupted:
    """The digests of runs that nothing happened to, each trained once."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self._folder = folder
        self._found: dict[str, dict[int, str]] = {}

    def __call__(self, **changes: Any) -> dict[int, str]:
        key = str(sorted(changes.items()))
        if key not in self._found:
            folder = self._folder / str(len(self._found))
            assert self._nursery.run(folder, *train(**changes)) == (0, "")
            self._found[key] = digests(folder)
            assert len(set(self._found[key].values())) == len(self._found[key])
        return self._found[key]


def wait_for_a_moment(process: Process, folder: Path, chance: random.Random, is_early: bool = False) -> bool:
    """Wait until a random moment of a run: of any of its epochs, or ``is_early`` of the time before the first is saved.

    Returns:
        Whether the run is still going.
    """
    if is_early:
        time.sleep(chance.uniform(0, 0.25))
        return not process.has_ended
    wait_until(lambda: process.has_ended or any(folder.glob("checkpoints_*/epoch_*.safetensors")), "a checkpoint")
    if not process.has_ended:
        epoch = chance.randrange(len(digests_seen(folder)), EPOCHS)
        path = run_in(folder) / f"epoch_{epoch:06d}.safetensors"
        wait_until(lambda: process.has_ended or path.exists(), f"{path}")
        time.sleep(chance.uniform(0, 0.04))
    return not process.has_ended


def digests_seen(folder: Path) -> list[Path]:
    """The checkpoints that a run has so far."""
    return [path for _, path in runs.periodic(run_in(folder))]
