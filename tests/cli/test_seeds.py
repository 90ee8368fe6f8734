"""`train --seeds`."""

import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from actor_critic import Config, Trainer
from actor_critic.storage.runs import newest_sound
from tests.cli.running import Shell
from tests.nursery import Nursery

pytestmark = pytest.mark.slow


def test_each_seed_is_the_run_it_would_be_alone_and_they_are_summed_up(shell: Shell) -> None:
    outcome = shell.process("train", "--num-epochs", "3", "--hidden-dim", "8", "--seeds", "1", "2", "3")
    assert outcome.code == 0, outcome.err
    (folder,) = shell.folder.glob("checkpoints_*")
    assert {entry.name for entry in folder.iterdir()} == {"seed_1", "seed_2", "seed_3", "seeds.json", "report.html"}
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


class _Seeds:
    """`train --seeds 1 2 3` in a process of its own, two at a time on any machine, and with no end."""

    def __init__(self, nursery: Nursery, folder: Path, *arguments: str) -> None:
        self.folder = folder
        code = (
            "from actor_critic.process import cores; cores.available = lambda: 2; "
            "from actor_critic.cli import main; main()"
        )
        command = ["-c", code, "train", "--num-epochs", "1000000", "--hidden-dim", "8"]
        command += ["--checkpoint-interval", "1000000", "--threads", "1", *arguments, "--seeds", "1", "2", "3"]
        self.process = nursery.python(folder, *command)

    def children(self) -> list[psutil.Process]:
        """The processes of the seeds, in the order of their seeds."""
        found = psutil.Process(self.process.pid).children()
        return sorted((each for each in found if "spawn_main" in " ".join(each.cmdline())), key=lambda each: each.pid)

    def wait_for_epochs(self) -> None:
        """Until two seeds have done an epoch."""
        _wait(lambda: sum("epoch 1/" in path.read_text() for path in self.folder.glob("*/seed_*/*.log")) == 2)

    def end(self) -> int:
        """The exit code, when no process is left."""
        code = self.process.wait(60)
        assert self.process.left_behind() == []
        return code

    def kept(self) -> dict[str, int]:
        """The seeds that have begun, each with the epoch of its checkpoint."""
        return {path.name: newest_sound(path)[1].counters["epoch"] for path in self.folder.glob("*/seed_*")}

    @property
    def out(self) -> str:
        return self.process.out + self.process.err


@pytest.fixture
def begin(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[..., _Seeds]]:
    """Begin to train seeds in the test's folder."""
    begun: list[_Seeds] = []

    def begin(*arguments: str) -> _Seeds:
        begun.append(_Seeds(nursery, tmp_path, *arguments))
        return begun[-1]

    yield begin
    for seeds in begun:
        seeds.process.end_all()


@pytest.mark.parametrize(
    ("number", "to_all"),
    [
        (signal.SIGTERM, False),
        (signal.SIGINT, False),
        (signal.SIGINT, True),  # as a terminal does
        (signal.SIGHUP, True),  # as a terminal does when it is closed
        (signal.SIGKILL, False),
    ],
)
def test_seeds_that_are_stopped_keep_their_checkpoints_and_leave_no_process(
    number: signal.Signals, to_all: bool, begin: Callable[..., _Seeds]
) -> None:
    seeds = begin()
    seeds.wait_for_epochs()
    seeds.process.send(number, to_all)
    assert seeds.end() == (-number if number == signal.SIGKILL else 128 + number)
    kept = seeds.kept()
    assert kept.keys() == {"seed_1", "seed_2"}
    assert all(epoch > 0 for epoch in kept.values())
    assert "Traceback" not in seeds.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_while_the_processes_of_the_seeds_still_begin_is_heard_by_each(
    number: signal.Signals, begin: Callable[..., _Seeds]
) -> None:
    seeds = begin()
    _wait(lambda: len(seeds.children()) > 0)
    seeds.process.send(number, to_all=True)
    assert seeds.end() == 128 + number
    assert seeds.kept() == {}
    assert "stopped; continue each seed" in seeds.out
    assert "Traceback" not in seeds.out


def test_a_second_signal_ends_the_command_at_once_and_its_seeds_after_their_epoch(begin: Callable[..., _Seeds]) -> None:
    seeds = begin()
    seeds.wait_for_epochs()
    children = seeds.children()
    for child in children:
        child.suspend()
    seeds.process.send(signal.SIGTERM)
    time.sleep(0.5)
    seeds.process.send(signal.SIGTERM)
    assert seeds.process.wait(5) == -signal.SIGTERM  # which a shell calls 143
    for child in children:
        child.resume()
    seeds.end()
    assert all(epoch > 0 for epoch in seeds.kept().values())
    assert "Traceback" not in seeds.out


def test_seeds_whose_processes_alone_are_told_to_end_keep_their_checkpoints(
    begin: Callable[..., _Seeds], tmp_path: Path
) -> None:
    seeds = begin()
    seeds.wait_for_epochs()
    first, second = seeds.children()
    first.terminate()
    _wait(lambda: any(tmp_path.glob("*/seed_3")))  # the others go on
    second.terminate()
    (third,) = (child for child in seeds.children() if child.pid not in (first.pid, second.pid))
    third.terminate()
    assert seeds.end() == 143
    kept = seeds.kept()
    assert kept.keys() == {"seed_1", "seed_2", "seed_3"}
    assert kept["seed_1"] > 0 < kept["seed_2"]
    assert "Traceback" not in seeds.out


def test_where_the_process_of_a_seed_is_killed_the_others_go_on_and_one_line_says_so(
    begin: Callable[..., _Seeds], tmp_path: Path
) -> None:
    seeds = begin()
    seeds.wait_for_epochs()
    first, _ = seeds.children()
    first.kill()
    _wait(lambda: any(tmp_path.glob("*/seed_3/*.log")))
    assert "seed 1 failed: its process ended without a result (exit code -9)" in seeds.out
    seeds.process.send(signal.SIGTERM)
    assert seeds.end() == 143
    assert "Traceback" not in seeds.out
    (folder,) = tmp_path.glob("*/seed_2")
    assert newest_sound(folder)[1].counters["epoch"] > 0
    assert f"continue seed 2: actor-critic resume {folder.relative_to(tmp_path)}\n" in seeds.out
    assert "continue seed 1: actor-critic train --num-epochs 1000000" in seeds.out  # it had no checkpoint yet


_BRITTLE = """
import os
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv


class Brittle(CartPoleEnv):
    def step(self, action):
        if Path(f"break_{os.getpid()}").exists():
            raise ValueError("broken on purpose")
        return super().step(action)


gym.register("Brittle-v0", Brittle, max_episode_steps=500)
"""


def test_where_a_seed_fails_the_others_go_on_and_each_can_be_gone_on_with(
    begin: Callable[..., _Seeds], tmp_path: Path
) -> None:
    (tmp_path / "brittle.py").write_text(_BRITTLE)
    seeds = begin("--environment", "brittle:Brittle-v0", "--workers", "1", "--backend", "eager")
    seeds.wait_for_epochs()
    first, _ = seeds.children()
    (tmp_path / f"break_{first.pid}").touch()
    _wait(lambda: any("epoch 1/" in path.read_text() for path in tmp_path.glob("*/seed_3/*.log")))
    assert "seed 1 failed: " in seeds.out and "broken on purpose" in seeds.out
    seeds.process.send(signal.SIGTERM)
    assert seeds.end() == 143
    assert "Traceback" not in seeds.out
    for seed in (2, 3):
        (folder,) = tmp_path.glob(f"*/seed_{seed}")
        assert newest_sound(folder)[1].counters["epoch"] > 0
        assert f"actor-critic resume {folder.relative_to(tmp_path)} --trust-code" in seeds.out


_UNLUCKY = """
import gymnasium as gym
import numpy as np


class Unlucky(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def observe(self):
        return self.np_random.uniform(-1, 1, 1).astype(np.float32)

    def step(self, action):
        self.steps += 1
        seen = self.observe()
        if seen[0] > 0.995:
            raise RuntimeError("out of luck")
        return seen, 1.0, self.steps == 3, False, {}


gym.register("Unlucky-v0", Unlucky)
"""


def test_seeds_that_finish_are_summed_up_where_another_fails_and_its_way_on_works_as_printed(shell: Shell) -> None:
    (shell.folder / "unlucky.py").write_text(_UNLUCKY)
    settings = ["--environment", "unlucky:Unlucky-v0", "--num-epochs", "2", "--num-envs", "2", "--num-steps", "30"]
    settings += ["--hidden-dim", "4", "--evaluation-episodes", "2", "--replay", "reset", "--backend", "eager"]
    outcome = shell.process("train", *settings, "--seeds", "1", "2", "3")
    (folder,) = shell.folder.glob("checkpoints_*")
    finished = [seed for seed in (1, 2, 3) if (folder / f"seed_{seed}/evaluation.json").exists()]
    failed = [seed for seed in (1, 2, 3) if seed not in finished]
    assert (finished, failed) == ([1, 2], [3])  # what it shows follows from the seeds alone
    assert outcome.code == 3
    summary = json.loads((folder / "seeds.json").read_text())
    assert summary["seeds"] == finished
    assert summary["greedy"]["each"] == [3.0] * len(finished)
    assert list(summary["failed"]) == [str(seed) for seed in failed]
    assert f"last weights, {len(finished)} of 3 seeds" in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ") and "out of luck" in line
    for seed in failed:
        assert f"seed {seed}: Unlucky-v0" in line
        (way_on,) = (row for row in outcome.out.splitlines() if row.startswith(f"continue seed {seed}: "))
        words = shlex.split(way_on.partition("actor-critic ")[2])
        assert words == ["resume", f"{folder.name}/seed_{seed}", "--trust-code"]  # from before the epoch that failed
        again = shell.process(*words)
        assert (again.code, "out of luck" in again.err) == (3, True)


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
