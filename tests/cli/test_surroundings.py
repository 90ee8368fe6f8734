"""What environments do to the process around them changes nothing of the command's."""

import json
import shlex
import signal
import time

import psutil

from tests.cli.running import Shell
from tests.nursery import Nursery, wait_until

_NASTY = """
import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import numpy as np

HERE = Path(__file__).parent


class Nasty(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, does=()):
        if "wander" in does:
            os.chdir("/")
        if "print" in does:
            print("from Python")
            os.write(1, b"from a system call\\n")
            ctypes.CDLL(None).printf(b"from C\\n")
            subprocess.run(["echo", "from a child"])
        if "replace" in does:
            sys.stdout = sys.stderr = open(os.devnull, "w")
        if "stay" in does and not (HERE / "child").exists():
            threading.Thread(target=time.sleep, args=(600,)).start()
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            (HERE / "child").write_text(str(child.pid))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def observe(self):
        return self.np_random.uniform(-1, 1, 1).astype(np.float32)

    def step(self, action):
        self.steps += 1
        return self.observe(), 1.0, self.steps == 3, False, {}


class Fickle(Nasty):
    def observe(self):
        return np.random.default_rng().uniform(-1, 1, 1).astype(np.float32)


gym.register("Nasty-v0", Nasty)
gym.register("Fickle-v0", Fickle)
"""
_SHORT = ["--num-epochs", "2", "--num-envs", "2", "--num-steps", "8", "--hidden-dim", "4", "--evaluation-episodes", "2"]
_SHORT += ["--backend", "eager"]


def _nasty(shell: Shell, *does: str) -> list[str]:
    (shell.folder / "nasty.py").write_text(_NASTY)
    return ["--environment", "nasty:Nasty-v0", "--environment-kwargs", json.dumps({"does": does}), *_SHORT]


def test_a_run_ends_with_its_code_and_leaves_its_files_where_it_was_started(shell: Shell) -> None:
    outcome = shell.process("train", *_nasty(shell, "wander", "replace", "stay"))
    assert (outcome.code, outcome.err) == (0, "")
    (run,) = shell.folder.glob("checkpoints_*")
    assert {entry.name for entry in shell.folder.iterdir()} <= {
        run.name, "nasty.py", "child", "actor_critic_training.log", "__pycache__",
    }  # fmt: skip
    assert outcome.out.splitlines()[0] == "setting up nasty:Nasty-v0"
    assert "epoch 2/2" in outcome.out
    assert outcome.out.splitlines()[-1] == f"kept in {run.name}"
    assert (run / "evaluation.json").exists()
    assert "ended after epoch 2: finished" in (shell.folder / "actor_critic_training.log").read_text()
    child = int((shell.folder / "child").read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_document_is_all_that_standard_output_holds(shell: Shell) -> None:
    assert shell.process("train", *_nasty(shell, "print")).code == 0
    (run,) = shell.folder.glob("checkpoints_*")
    outcome = shell.process("evaluate", run.name, "--trust-code", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["greedy"]["mean"] == 3.0
    for words in ("from Python", "from a system call", "from a child"):
        assert words in outcome.err
    assert json.loads(shell("evaluate", run.name, "--trust-code", "--json").out)["checkpoint"].startswith(run.name)


def test_notes_of_the_set_up_are_shown_and_kept_and_a_mistake_leaves_no_log(shell: Shell) -> None:
    nasty = _nasty(shell)
    nasty[1] = "nasty:Fickle-v0"
    refused = shell.process("train", *nasty, "--log-file", "nowhere/run.log")
    assert refused.code == 2 and "log_file: nowhere/run.log cannot be written" in refused.err
    refused = shell.process("train", *nasty, "--input-dim", "5")
    assert refused.code == 2
    assert {entry.name for entry in shell.folder.iterdir()} <= {"nasty.py", "__pycache__"}
    # The command that the message names writes a file that fits, from which the run begins.
    words = shlex.split(refused.err.partition("`actor-critic ")[2].partition("`")[0])
    assert shell.process(*words).code == 0
    outcome = shell.process("train", "--config", words[words.index("--config") + 1], *nasty[2:])
    assert (outcome.code, outcome.err) == (0, "")
    (shown,) = (line for line in outcome.out.splitlines() if "resume not exact" in line)
    assert shown.startswith("warning: ")
    log = (shell.folder / "actor_critic_training.log").read_text().splitlines()
    assert "INFO command ['train'" in log[0]
    kept = [line for line in log if "resume not exact" in line]
    assert len(kept) == 1 and "WARNING" in kept[0]
    assert any("INFO replay: testing" in line for line in log)
    assert not any(line.startswith("epoch") and line in log for line in outcome.out.splitlines())


def test_commands_are_printed_as_they_can_be_typed(shell: Shell, nursery: Nursery) -> None:
    (shell.folder / "my runs").mkdir()
    nasty = _nasty(shell)
    assert shell.process("train", *nasty, "--num-epochs", "1000000", "--max-hours", "1e-9").code == 0
    (run,) = shell.folder.glob("checkpoints_*")
    moved = run.rename(shell.folder / "my runs" / "it's one")
    log = shell.folder / "actor_critic_training.log"
    log.unlink()
    command = ["-m", "actor_critic", "resume", str(moved), "--trust-code", "--max-hours", "1"]
    process = nursery.python(shell.folder, *command)
    wait_until(lambda: log.exists() and "epoch 3/" in log.read_text(), "epoch 3")
    process.send(signal.SIGTERM)
    assert process.wait() == 143
    (line,) = (line for line in process.out.splitlines() if line.startswith("continue with: actor-critic "))
    words = shlex.split(line.partition("actor-critic ")[2])
    assert words == ["resume", "my runs/it's one", "--trust-code"]
    assert shell.process(*words, "--max-hours", "1e-9").code == 0
