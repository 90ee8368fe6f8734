"""Many processes: a folder for each, and one digest for one seed."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actor_critic.storage import checkpoints
from actor_critic.storage.runs import newest_sound
from tests.faults.conftest import Campaign
from tests.faults.short_runs import run_in, train
from tests.nursery import ROOT, Nursery

pytestmark = pytest.mark.slow

AT_A_MOMENT = """
import sys, time
from pathlib import Path
from actor_critic import Config, Trainer
from actor_critic.storage.runs import timestamped_path
trainer = Trainer(Config(environment="CartPole-v1", preset="none", num_epochs=2, evaluation_episodes=1))
time.sleep(max(0.0, float(sys.argv[1]) - time.time()))
trainer.keep_in(timestamped_path(Path()))
for _ in trainer:
    pass
"""


def test_runs_started_in_the_same_second_get_folders_of_their_own(
    campaign: Campaign, nursery: Nursery, tmp_path: Path
) -> None:
    count = 32 if campaign.is_whole else 4
    moment = math.ceil(time.time() + 1 + count / 4)  # by when each of them is set up
    processes = [nursery.python(tmp_path, "-c", AT_A_MOMENT, str(moment)) for _ in range(count)]
    assert [process.wait() for process in processes] == [0] * count
    folders = list(tmp_path.glob("checkpoints_*"))
    assert len(folders) == count
    assert any(folder.name.endswith("_2") for folder in folders)
    assert len({newest_sound(folder)[1].digest for folder in folders}) == 1
    campaign.survived("runs started in the same second", count)


SILENT = """
from actor_critic import Config, Trainer
if __name__ == "__main__":
    for _ in Trainer(Config({settings}), "checkpoints_1"):
        pass
"""
KINDS = [("CartPole-v1", 7), ("tests.toys:Guarded-v0", 7), ("random-states", 6)]


@pytest.mark.parametrize(("environment", "count"), KINDS)
def test_a_seed_is_one_digest_in_every_fresh_process(
    environment: str, count: int, campaign: Campaign, nursery: Nursery, tmp_path: Path
) -> None:
    settings = {"environment": environment, "num_epochs": 8, "seed": 5}
    assert nursery.run(tmp_path / "forked", *train(**settings)) == (0, "")
    expected = checkpoints.load(run_in(tmp_path / "forked") / "last.safetensors").digest
    for seed in campaign.tries("the same seed in fresh processes", 1, count):
        changes = dict(settings)
        if seed % 2:
            changes |= {"evaluation_interval": 3}
        if environment != "random-states":
            changes |= {"workers": 1 + seed % 4}
        assert (
            _digest_in_a_fresh_process(tmp_path / str(seed), changes, has_log=seed % 3 < 2, hash_seed=seed) == expected
        )


def _digest_in_a_fresh_process(folder: Path, changes: dict[str, object], has_log: bool, hash_seed: int) -> str:
    folder.mkdir()
    words = train(**changes)
    if has_log:
        command = [sys.executable, "-m", "actor_critic", *words]
    else:
        settings = {name[2:].replace("-", "_"): value for name, value in zip(words[1::2], words[2::2], strict=True)}
        typed = [f"{name}={value if _is_number(value) else repr(value)}" for name, value in settings.items()]
        (folder / "silent.py").write_text(SILENT.format(settings=", ".join(typed)))
        command = [sys.executable, "silent.py"]
    variables = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)}
    result = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert bool(list(folder.glob("*.log"))) == has_log
    return checkpoints.load(run_in(folder) / "last.safetensors").digest


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
