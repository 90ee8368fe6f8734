"""`sweep`: real processes, killed, stopped, two at once; and what it refuses."""

import json
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actor_critic.config import Config, Layer, resolve
from tests.cli.running import Shell
from tests.nursery import Nursery, Process

pytestmark = pytest.mark.slow

_SPACE: dict[str, Any] = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "hidden_dim": [4, 8]}
_RUN = ["--num-epochs", "5", "--hidden-layers", "1", "--evaluation-episodes", "20", "--backend", "eager"]

_SLOW = """
import os
import time
from pathlib import Path

import gymnasium as gym
import numpy as np


class Slow(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fault=""):
        self.fault = fault

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.fault == "exit":
            os._exit(9)
        if self.fault:
            raise ValueError(self.fault)
        while Path("hold").exists() and Path("begun").exists():
            time.sleep(0.05)
        return np.zeros(1, np.float32), float(action), self.steps == 4, False, {}


if "Slow-v0" not in gym.registry:
    gym.register("Slow-v0", Slow)
"""
_ON_SLOW = ["--environment", "slow:Slow-v0", "--num-envs", "1", "--num-steps", "8", "--num-epochs", "3",
            "--evaluation-episodes", "2", "--backend", "eager", "--replay", "reset",
            "--hidden-layers", "1"]  # fmt: skip


@pytest.fixture
def begin(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Begin commands in the test's folder."""
    begun: list[Process] = []

    def begin(*arguments: str) -> Process:
        begun.append(nursery.python(tmp_path, "-m", "actor_critic", *arguments, warn="error"))
        return begun[-1]

    yield begin
    for process in begun:
        process.end_all()


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "sweep.json").read_text())
    return found


def _write(folder: Path, space: dict[str, Any]) -> None:
    (folder / "space.json").write_text(json.dumps(space))
    (folder / "slow.py").write_text(_SLOW)


def test_a_sweep_finds_confirms_and_keeps_a_winner(begin: Callable[..., Process], tmp_path: Path) -> None:
    _write(tmp_path, _SPACE)
    process = begin("sweep", "space.json", *_RUN, "--trials", "1", "--confirm-seeds", "2")
    assert process.wait() == 0, process.err + process.out
    (folder,) = tmp_path.glob("sweep_*")
    record = _record(folder)
    (best,) = record["trials"]
    assert (best["state"], record["best"]) == ("complete", 0)
    evaluation = json.loads((folder / best["folder"] / "seed_1/evaluation.json").read_text())
    assert best["score"] == evaluation["greedy"]["mean"]
    assert f"best trial {best['number']}" in process.out and process.err == ""
    assert best["values"]["learning_rate"] == 1e-4  # as without search; but hidden_dim is another one
    confirmation = record["confirmation"]
    assert confirmation["seeds"] == [2, 3]
    assert confirmation["winner"]["each"].keys() == confirmation["base"]["each"].keys() == {"2", "3"}
    assert "difference" in process.out and "without search: interquartile mean" in process.out
    page = (folder / "sweep.html").read_text()
    assert "2 seeds do not show that trial 0 is better than the settings without search" in page
    titles = ("score of each trial", "learning curves of the trials", "hidden_dim", "learning_rate")
    assert all(f"<h3>{title}</h3>" in page for title in titles)
    (charts,) = re.findall(r'id="charts">(.*?)</script>', page)
    assert all("width" not in chart["layout"] for chart in json.loads(charts))  # so that they fit into the page
    settings = resolve(Layer("best.json", Config.load(folder / "best.json"))).settings
    for name, value in best["values"].items():
        assert getattr(settings, name) == value
    assert settings.seed == 42
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = begin("sweep", "space.json", *_RUN, "--trials", "1", "--confirm-seeds", "2", "--folder", folder.name)
    assert again.wait() == 0, again.err
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}  # nothing is repeated
    assert _record(folder) == record


@pytest.fixture
def running(begin: Callable[..., Process], tmp_path: Path) -> tuple[list[str], Process]:
    """A sweep in the middle of its first trial, and its command."""
    _write(tmp_path, _SPACE)
    (tmp_path / "hold").touch()
    command = [
        "sweep",
        "space.json",
        *_ON_SLOW,
        "--trials",
        "1",
        "--jobs",
        "1",
        "--confirm-seeds",
        "0",
        "--folder",
        "s",
    ]
    process = begin(*command)
    _wait(lambda: (tmp_path / "s/trial_0000/seed_1/settings.json").exists())
    (tmp_path / "begun").touch()  # from here on, the environment holds
    time.sleep(0.3)
    return command, process


def test_a_sweep_that_is_killed_continues_with_the_trial_that_was_running(
    running: tuple[list[str], Process], begin: Callable[..., Process], tmp_path: Path
) -> None:
    command, process = running
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (tmp_path / "hold").unlink()
    assert process.left_behind() == []
    (before,) = _record(tmp_path / "s")["trials"]
    assert (before["number"], before["state"]) == (0, "waiting")  # as when the sweep began
    again = begin(*command)
    assert again.wait() == 0, again.err
    (trial,) = _record(tmp_path / "s")["trials"]
    assert (trial["number"], trial["state"], trial["folder"]) == (1, "complete", "trial_0001")
    assert trial["values"]["learning_rate"] == 1e-3  # of the settings without search, as in trial 0
    assert "Traceback" not in process.out + process.err + again.out + again.err


def test_ctrl_c_ends_trials_after_their_epoch_and_says_how_to_continue(
    running: tuple[list[str], Process], tmp_path: Path
) -> None:
    command, process = running
    process.send(signal.SIGINT, to_all=True)
    time.sleep(0.5)
    (tmp_path / "hold").unlink()
    assert process.wait() == 130, process.err
    assert process.left_behind() == []
    (way_on,) = (line for line in process.out.splitlines() if line.startswith("stopped; continue with: "))
    assert sorted(shlex.split(way_on.partition("actor-critic ")[2])) == sorted(command)
    (trial,) = _record(tmp_path / "s")["trials"]
    assert (trial["number"], trial["state"]) == (1, "waiting")
    assert (tmp_path / "s/trial_0000/seed_1/last.safetensors").exists()
    assert "Traceback" not in process.out + process.err


def test_two_processes_on_one_storage_share_the_trials(begin: Callable[..., Process], tmp_path: Path) -> None:
    _write(tmp_path, _SPACE)
    shared = ["--storage", "sqlite:///shared.db", "--study", "ours", "--trials", "2", "--jobs", "1"]
    both = [begin("sweep", "space.json", *_ON_SLOW, *shared, "--confirm-seeds", "0", "--folder", name) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0], [process.err for process in both]
    one, two = (_record(tmp_path / name)["trials"] for name in "ab")
    assert [trial["number"] for trial in one] == [trial["number"] for trial in two] == [0, 1]
    assert {trial["state"] for trial in one} == {"complete"}
    folders = {path.name for name in "ab" for path in (tmp_path / name).glob("trial_*")}
    assert folders == {f"trial_{number:04d}" for number in range(2)}
    assert all(any((tmp_path / name).glob("trial_*")) for name in "ab")


def test_a_trial_that_crashes_is_one_failed_trial(begin: Callable[..., Process], tmp_path: Path) -> None:
    _write(tmp_path, {"environment_kwargs": [{}, {"fault": "out of luck"}, {"fault": "exit"}]})
    process = begin("sweep", "space.json", *_ON_SLOW, "--trials", "3", "--confirm-seeds", "0")
    assert process.wait() == 0, process.err
    (folder,) = tmp_path.glob("sweep_*")
    trials = _record(folder)["trials"]
    for trial in trials:
        fault = trial["values"]["environment_kwargs"].get("fault")
        assert trial["state"] == ("failed" if fault else "complete")
        if fault:
            assert {"exit": "exit code 9", "out of luck": "ValueError: out of luck"}[fault] in trial["error"]
    assert {trial["values"]["environment_kwargs"].get("fault") for trial in trials} == {None, "out of luck", "exit"}
    assert "Traceback" not in process.out + process.err


def test_a_sweep_whose_trials_all_fail_ends_with_their_error(begin: Callable[..., Process], tmp_path: Path) -> None:
    _write(tmp_path, {"environment_kwargs": [{"fault": "no"}, {"fault": "no luck"}]})
    process = begin("sweep", "space.json", *_ON_SLOW, "--trials", "1")
    assert process.wait() == 3, process.err
    (line,) = process.err.splitlines()
    assert line.startswith("error: the first trial failed: ") and "ValueError: no" in line


_LINES = [
    (["nothing.json"], "nothing.json does not exist"),
    (["list.json"], "list.json holds an array; expected one JSON object"),
    (["broken.json"], "broken.json is not JSON"),
    (["unknown.json"], "unknown.json: unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
    (["space.json", "--hidden-dim", "8"], "hidden_dim: fixed by --hidden-dim 8 and searched in"),
    (["space.json", "other.json"], "unexpected extra argument 'other.json'"),
    (["space.json", "3"], "unexpected extra argument '3'; did you mean --trial-seeds 3?"),
    (["space.json", "--trial-seeds"], "--trial-seeds takes whole numbers"),
    (["space.json", "--trial-seeds", "1", "1"], "trial_seeds: (1, 1) is not allowed; expected different seeds"),
    (["space.json", "--seed", "1"], "--seed: the seeds of trials are --trial-seeds"),
    (["space.json", "--trials", "0"], "trials: 0 is not allowed; expected a whole number from 1"),
    (["space.json", "--jobs", "0"], "jobs: 0 is not allowed"),
    (["space.json", "--confirm-seeds", "1"], "confirm_seeds: 1 is not allowed"),
    (["space.json", "--objective", "time"], "objective: 'time' is not allowed; expected score or score,time"),
    (["space.json", "--score", "best"], "score: 'best' is not allowed; expected greedy or sampled"),
    (["space.json", "--study", "x"], "study is given without storage"),
    (["space.json", "--storage", "sqlite:///x.db"], "storage is given without study"),
    (["space.json", "--storage", "nonsense", "--study", "x"], "storage: nonsense cannot be used"),
    (["space.json", "--folder", "full"], "holds other files and no sweep"),
    (["space.json", "--folder", "space.json"], "is a file; expected a new folder"),
    (["space.json", "--environment", "NoSuch-v0"], "NoSuch-v0"),
    (["--num-epochs", "0"], "num_epochs: 0 is not allowed"),
]


@pytest.mark.parametrize(("arguments", "words"), _LINES, ids=[" ".join(arguments) for arguments, _ in _LINES])
def test_what_makes_no_sense_is_one_line_and_nothing_is_written(shell: Shell, arguments: list[str], words: str) -> None:
    for name, text in (
        ("space.json", json.dumps(_SPACE)),
        ("other.json", json.dumps(_SPACE)),
        ("unknown.json", json.dumps({"learning_rat": [0.1, 0.2]})),
        ("list.json", "[1]"),
        ("broken.json", "{"),
    ):
        (shell.folder / name).write_text(text)
    (shell.folder / "full").mkdir()
    (shell.folder / "full/notes.txt").write_text("mine")
    before = shell.contents()
    outcome = shell("sweep", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert shell.contents() == before


def test_a_study_of_other_settings_is_one_line_and_stays_as_it_was(shell: Shell) -> None:
    (shell.folder / "space.json").write_text(json.dumps(_SPACE))
    from actor_critic.search import Plan, Space
    from actor_critic.search.study import Study

    (shell.folder / "s").mkdir()
    settings = [Layer("flag", Config(environment="CartPole-v1", num_epochs=2))]
    Study(Plan(settings, Space.read(_SPACE, "")), shell.folder / "s").close()
    outcome = shell("sweep", "space.json", "--environment", "CartPole-v1", "--num-epochs", "3", "--folder", "s")
    assert outcome.code == 2
    assert "num_epochs: 3 is not what the study was begun with, 2" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_without_optuna_one_line_says_what_to_install(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    outcome = shell("sweep", "--num-epochs", "2")
    assert outcome.code == 2
    assert outcome.err == 'error: a sweep needs Optuna, which is not installed: pip install "actor-critic[sweep]"\n'
    assert shell.contents() == {}
