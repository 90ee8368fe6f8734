"""`train --seeds`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from actor_critic import Config, Trainer
from actor_critic.runs import newest_sound
from tests.cli.running import Shell


def test_each_seed_is_the_run_it_would_be_alone_and_they_are_summed_up(shell: Shell) -> None:
    outcome = shell.process("train", "--num-epochs", "3", "--hidden-dim", "8", "--seeds", "1", "2", "3")
    assert outcome.code == 0, outcome.err
    (folder,) = shell.folder.glob("checkpoints_*")
    assert {entry.name for entry in folder.iterdir()} == {"seed_1", "seed_2", "seed_3", "seeds.json"}
    summary = json.loads((folder / "seeds.json").read_text())
    evaluations = [json.loads((folder / f"seed_{seed}/evaluation.json").read_text()) for seed in (1, 2, 3)]
    assert summary["seeds"] == [1, 2, 3]
    assert summary["greedy"]["each"] == [evaluation["greedy"]["mean"] for evaluation in evaluations]
    assert summary["greedy"]["interquartile_mean"] == pytest.approx(np.mean(summary["greedy"]["each"]))
    assert "unit is the seed" in summary["meaning"]
    for seed in (1, 2, 3):
        assert f"seed {seed}: greedy" in outcome.out
        assert "epoch 3/3" in (folder / f"seed_{seed}/actor_critic_training.log").read_text()
    alone = Trainer(Config(num_epochs=3, hidden_dim=8, seed=2), shell.folder / "alone")
    for _ in alone:
        pass
    assert newest_sound(folder / "seed_2")[1].digest == newest_sound(shell.folder / "alone")[1].digest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_seeds_that_are_stopped_keep_their_checkpoints_and_leave_no_process(
    number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "actor_critic", "train", "--num-epochs", "1000000", "--hidden-dim", "8"]
    command += ["--checkpoint-interval", "1000000", "--seeds", "1", "2"]
    with open(tmp_path / "out", "w") as out:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True)

    def logs() -> list[str]:
        return [path.read_text() for path in tmp_path.glob("checkpoints_*/seed_*/actor_critic_training.log")]

    _wait(lambda: any("epoch 1/" in text for text in logs()))
    seeds = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    assert process.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
    _wait(lambda: not any(seed.is_running() and seed.status() != psutil.STATUS_ZOMBIE for seed in seeds))
    begun = [path.parent for path in tmp_path.glob("checkpoints_*/seed_*/actor_critic_training.log")]
    assert all(newest_sound(folder)[1].counters["epoch"] > 0 for folder in begun if "epoch 1/" in _log_of(folder))
    assert "Traceback" not in (tmp_path / "out").read_text()


def _log_of(folder: Path) -> str:
    return (folder / "actor_critic_training.log").read_text()


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds"], "--seeds takes at least two different seeds"),
        (["--seeds", "1", "1"], "--seeds takes at least two different seeds"),
        (["--seeds", "1", "2", "--seed", "3"], "--seed and --seeds are both given"),
        (["7"], "unexpected extra argument '7'; did you mean --seeds 7?"),
        (["--seeds", "1", "-2"], "-2"),
        (["--seeds", "1", "x"], "--seeds: 'x' is not allowed; expected whole numbers from 0 to 4294967295"),
        (["--seeds", "1", "4294967296"], "--seeds: '4294967296' is not allowed"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(shell: Shell, arguments: list[str], words: str) -> None:
    outcome = shell("train", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert shell.contents() == {}
