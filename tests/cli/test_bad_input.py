"""Bad input: one clear line on standard error, exit code 2, and nothing touched."""

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.running import Outcome, Shell

DESCRIBED = b"""{
  "input_dim": 10,
  "output_dim": 2,
  "hidden_dim": 256,
  "learning_rate": 1e-4,
  "batch_size": 32,
  "num_epochs": 100,
  "seed": 42
}
"""


def _with(**changes: Any) -> bytes:
    return json.dumps({**json.loads(DESCRIBED), **changes}).encode()


def _check_refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2, outcome
    assert not outcome.out or outcome.out.startswith("setting up ")  # what it was doing when it found out
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in line
    for word in words:
        assert word in line, line


FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "unknown key": (_with(gama=0.9), ("config.json", "unknown setting 'gama'", "did you mean 'gamma'?")),
    "text for a number": (_with(learning_rate="1e-4"), ("learning_rate: '1e-4'", "above 0 and at most 1")),
    "bool for a whole number": (_with(seed=True), ("seed: True", "whole number at least 0 and at most 4294967295")),
    "fraction for a whole number": (_with(batch_size=32.0), ("batch_size: 32.0", "whole number at least 1")),
    "number for a bool": (_with(anneal_lr=1), ("anneal_lr: 1", "true or false")),
    "out of range": (_with(gamma=1.01), ("gamma: 1.01", "at least 0 and at most 1")),
    "unknown choice": (_with(algorithm="dqn"), ("algorithm: 'dqn'", '"a2c" or "ppo"')),
    "zero epochs": (_with(num_epochs=0), ("num_epochs: 0", "at least 1")),
    "NaN": (b'{"gamma": NaN}', ("gamma: nan", "finite")),
    "Infinity": (b'{"max_hours": Infinity}', ("max_hours: inf", "finite")),
    "1e999": (b'{"learning_rate": 1e999}', ("learning_rate: inf", "finite")),
    "thousands of digits": (b'{"seed": ' + b"9" * 5000 + b"}", ("seed: inf", "finite")),
    "duplicate key": (b'{"seed": 1, "gamma": 0.9, "seed": 2}', ("config.json", "'seed' appears twice")),
    "nested duplicate key": (
        b'{"environment_kwargs": {"gravity": 1, "gravity": 2}}', ("config.json", "'gravity' appears twice")
    ),
    "nesting bomb": (b'{"a": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", ("config.json", "nested too deeply")),
    "open nesting bomb": (b"[" * 10**5, ("config.json", "nested too deeply")),
    "not JSON": (b"learning_rate: 1e-4\n", ("config.json", "not JSON", "line 1, column 1")),
    "cut short": (DESCRIBED[:-3], ("config.json", "not JSON", "line 8")),
    "empty": (b"", ("config.json", "not JSON")),
    "not UTF-8": (b'{"environment": "\xe9"}', ("config.json", "not UTF-8")),
    "an array": (b"[" + DESCRIBED + b"]", ("config.json", "an array", "expected one JSON object")),
    "too large": (DESCRIBED + b" " * (1 << 20), ("config.json", "larger than")),
    "batch and environments": (_with(num_envs=5), ("batch_size: 32", "num_envs=5", "try 30")),
    "batch and minibatches": (_with(num_minibatches=3), ("num_minibatches: 3", "batch_size=32", "divisors")),
    "two lengths": (_with(total_timesteps=3200), ("num_epochs=100", "total_timesteps=3200", "keep one")),
    "two batches": (_with(num_steps=1), ("batch_size=32", "num_steps=1", "keep one")),
    "a NUL in a path": (b'{"log_file": "a\\u0000b"}', ("log_file", "not allowed")),
    "reward of no environment": (_with(reward_model="environment"), ("reward_model", '"linear" or "module:Class"')),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file_is_refused_in_one_line_and_left_as_it_is(case: str, shell: Shell) -> None:
    data, words = FILES[case]
    (shell.folder / "config.json").write_bytes(data)
    _check_refused(shell("train"), *words)
    assert shell.contents() == {"config.json": data}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gama", "0.9"], ("--gama", "--gamma")),
        (["--gamma", "x"], ("gamma: 'x'", "finite number at least 0 and at most 1")),
        (["--gamma", "nan"], ("gamma: nan", "finite number at least 0 and at most 1")),
        (["--gamma", "1e999"], ("gamma: inf", "finite number at least 0 and at most 1")),
        (["--gamma"], ("--gamma", "argument")),
        (["--seed", "-1"], ("seed: -1", "whole number at least 0 and at most 4294967295")),
        (["--seed", "1.5"], ("seed: 1.5", "whole number")),
        (["--seed", "9" * 5000], ("seed: '999", "whole number")),
        (["--seed", ""], ("seed: ''", "whole number")),
        (["--anneal-lr", "yes"], ("unexpected extra argument 'yes'", "to switch a setting on, write --its-name")),
        (["--clip-coef", "on"], ("clip_coef: 'on'", 'above 0 or "off"')),
        (["--device", "tpu"], ("device: 'tpu'", '"cpu"')),
        (["--wrappers", "nonsense"], ("wrappers: 'nonsense'", "module:Class")),
        (["--wrappers", "["], ("wrappers: '['", "a list")),
        (["--environment-kwargs", "{"], ("environment_kwargs: '{'", "not JSON")),
        (["--environment-kwargs", "5"], ("environment_kwargs: '5'", "expected one JSON object")),
        (["--environment-kwargs", '{"g": 1, "g": 2}'], ("environment_kwargs", "'g' appears twice")),
        (["--environment-kwargs", '{"g": NaN}'], ("environment_kwargs", "g: nan", "finite")),
        (["--environment-kwargs", "[" * 10**5], ("environment_kwargs", "nested too deeply")),
        (["--num-epochs", "5", "--total-timesteps", "160"], ("num_epochs=5", "total_timesteps=160", "keep one")),
        (["--total-timesteps", "31"], ("total_timesteps: 31", "at least 32")),
        (["--config", "missing.json"], ("missing.json does not exist", "init")),
        (["--config", "folder"], ("folder is a folder", "expected a JSON file")),
        (["--config", "config.json/config.json"], ("config.json/config.json cannot be read",)),
        (["--config", "x" * 300], ("xxx cannot be read",)),
        (["stray"], ("stray",)),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_refused_in_one_line_and_nothing_is_written(
    arguments: list[str], words: tuple[str, ...], shell: Shell
) -> None:
    (shell.folder / "config.json").write_bytes(DESCRIBED)
    (shell.folder / "folder").mkdir()
    _check_refused(shell("train", *arguments), *words)
    assert shell.contents() == {"config.json": DESCRIBED, "folder": None}


def test_a_wrong_flag_leaves_an_empty_folder_empty(shell: Shell) -> None:
    _check_refused(shell("train", "--num-envs", "5"), "batch_size: 32", "num_envs=5 (flag)")
    _check_refused(shell("train", "--clip-vloss"), "clip_vloss", "clip_coef=off")
    assert shell.contents() == {}


def test_a_folder_in_the_place_of_the_settings_file_is_refused(shell: Shell) -> None:
    (shell.folder / "config.json").mkdir()
    _check_refused(shell("train"), "config.json is a folder", "expected a JSON file")
    assert shell.contents() == {"config.json": None}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused(shell: Shell) -> None:
    (shell.folder / "config.json").write_bytes(DESCRIBED)
    (shell.folder / "config.json").chmod(0)
    _check_refused(shell("train"), "config.json cannot be read: Permission denied")


# --- what is found out only with the environment at hand: in processes, since libraries like to write warnings ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--environment", "CartPol-v1"], ("environment: 'CartPol-v1' is not registered", "did you mean CartPole-v1")),
        (["--environment", "Pendulum-v1"], ("action space", "continuous", "Discrete")),
        (["--environment", "CartPole-v1", "--log-file", "nowhere/run.log"], ("log_file: nowhere/run.log", "writable")),
        (["--hidden-dim", "16000000"], ("hidden_dim: 16000000 cannot fit", "is free", "expected a smaller")),
        (["--batch-size", "2147483648", "--log-file", "folder"], ("batch_size: 2147483648 cannot fit", "is free")),
    ],
    ids=["unknown environment", "continuous actions", "unwritable log", "network too large", "batch too large"],
)
def test_a_process_refuses_in_one_line_and_leaves_no_run_folder(
    arguments: list[str], words: tuple[str, ...], shell: Shell
) -> None:
    (shell.folder / "config.json").write_bytes(DESCRIBED)
    (shell.folder / "folder").mkdir()
    _check_refused(shell.process("train", *arguments), *words)
    assert shell.contents() == {"config.json": DESCRIBED, "folder": None}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--environment", "CartPole-v9"], ("environment: 'CartPole-v9' is not registered", "CartPole-v1")),
        (["--environment", "no_such_module:Id-v0"], ("environment: 'no_such_module:Id-v0'", "no_such_module")),
        (["--environment", "CartPole-v1", "--environment-kwargs", '{"g": 1}'], ("environment_kwargs", "{'g': 1}")),
        (["--environment", "CartPole-v1", "--wrappers", "no_such_module:C"], ("wrappers", "'no_such_module:C'")),
        (
            ["--environment", "CartPole-v1", "--wrappers", "json:nothing"],
            ("wrappers", "has no class or function 'nothing'"),
        ),
        (["--environment", "CartPole-v1", "--input-dim", "5"], ("input_dim: 5", "says 4", "actor-critic init")),
        (["--environment", "CartPole-v1", "--output-dim", "3"], ("output_dim: 3", "says 2", "actor-critic init")),
        (["--environment", "CartPole-v1", "--init-from", "nowhere"], ("init_from: nowhere", "does not exist")),
        (["--reward-model", "json:JSONDecoder"], ("reward_model: json:JSONDecoder", "not a subclass")),
        (["--log-file", "folder"], ("log_file: folder", "writable")),
        (["--input-dim", "1000000"], ("input_dim: 1000000 cannot fit", "is free")),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_what_does_not_fit_the_environment_is_refused_with_a_mend(
    arguments: list[str], words: tuple[str, ...], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10**10}))
    (shell.folder / "config.json").write_bytes(DESCRIBED)
    (shell.folder / "folder").mkdir()
    _check_refused(shell("train", *arguments), *words)
    assert shell.contents() == {"config.json": DESCRIBED, "folder": None}


@pytest.mark.skipif(importlib.util.find_spec("Box2D") is not None, reason="the extra is installed")
def test_a_missing_extra_is_named_with_the_command_that_installs_it(shell: Shell) -> None:
    _check_refused(
        shell("train", "--environment", "LunarLander-v3"),
        "environment: 'LunarLander-v3'",
        'pip install "gymnasium[box2d]"',
    )
    assert shell.contents() == {}


def test_a_continuous_action_space_is_refused_with_the_environment_that_has_it(shell: Shell) -> None:
    for command in ("train", "init"):
        _check_refused(shell(command, "--environment", "Pendulum-v1"), "environment", "Pendulum-v1", "continuous")
    assert shell.contents() == {}


def test_an_outdated_environment_is_refused_in_one_line(shell: Shell) -> None:
    _check_refused(shell.process("train", "--environment", "Taxi-v3"), "environment: 'Taxi-v3'", "Taxi-v4")


def test_an_error_of_several_lines_is_told_in_one(shell: Shell) -> None:
    (shell.folder / "failing_module.py").write_text("raise ValueError('first line\\nsecond line')")
    outcome = shell("train", "--environment", "failing_module:Id-v0")
    _check_refused(outcome, "environment: 'failing_module:Id-v0'", "ValueError: first line second line")
    assert {entry.name for entry in shell.folder.iterdir()} <= {"failing_module.py", "__pycache__"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
@pytest.mark.parametrize("arguments", [["presets"], ["schema"], ["train", "--num-epochs", "2"]], ids=lambda it: it[0])
def test_standard_output_that_takes_nothing_is_one_error(arguments: list[str], shell: Shell) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "actor_critic", *arguments]
        result = subprocess.run(command, cwd=shell.folder, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr.count("\n")) == (4, 1)
    assert result.stderr.startswith("error: standard output cannot be written: No space left")
