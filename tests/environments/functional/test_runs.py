"""Runs on a functional environment: trials, errors, kills, changed code, missing Numba, and other ways to step it."""

import importlib.util
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from actor_critic import CheckpointError, Config, ConfigError, EnvironmentFault, FunctionalEnvironment, Trainer
from actor_critic.environments import SameStepVectorEnv
from actor_critic.environments.functional import FunctionalVectorEnv, PythonExecutor, make_executor
from tests.cli.running import Shell
from tests.environments.functional.problems import line_of, load, source

ROOT = Path(__file__).parents[3]
COUNTING = source("state.steps += 1\nif state.steps > parameters.gain:\n    raise ValueError('too far')")
"""One environment for several tests, since each is compiled for seconds: it raises after ``gain`` steps."""
SHORT: dict[str, Any] = {
    "num_envs": 2,
    "batch_size": 32,
    "num_epochs": 6,
    "hidden_dim": 8,
    "num_minibatches": 1,
    "update_epochs": 1,
    "checkpoint_interval": 2,
    "evaluation_episodes": 2,
    "backend": "eager",
    "environment_kwargs": {"gain": 1000.0},
}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


def _trainer(name: str, **settings: Any) -> Trainer:
    return Trainer(Config(environment=f"{name}:Walk", **(SHORT | settings)))


def _trained(name: str, **settings: Any) -> str:
    trainer = _trainer(name, **settings)
    for _ in trainer:
        pass
    return trainer.digest


KILLED = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from actor_critic import Config, Trainer
trainer = Trainer(Config(environment="{name}:Walk", **{settings!r}))
trainer.keep_in({run!r})
for report in trainer:
    if report.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_digest_of_an_undisturbed_one(folder: Path) -> None:
    name = load(folder, COUNTING).__name__
    script = KILLED.format(folder=str(folder), name=name, settings=SHORT, run=str(folder / "run"))
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pytest.raises(CheckpointError, match="names code to import"):
        Trainer.resume(folder / "run")
    resumed = Trainer.resume(folder / "run", trust_code=True)
    assert (resumed.epoch, resumed.settings.vectorization) == (2, "compiled")
    for _ in resumed:
        pass
    assert resumed.digest == _trained(name)


def test_a_run_with_changed_dynamics_is_not_resumed(folder: Path) -> None:
    module = load(folder, source())
    trainer = _trainer(module.__name__, vectorization="sync")
    trainer.keep_in(folder / "run")
    next(iter(trainer))
    trainer.close()
    file = folder / f"{module.__name__}.py"
    file.write_text(source(step="STEP = 0.2"))
    with pytest.raises(CheckpointError, match=rf"was trained with another version of {module.__name__}:Walk: its file"):
        Trainer.resume(folder / "run", trust_code=True)
    file.write_text(source())
    assert Trainer.resume(folder / "run", trust_code=True).epoch == 1


def test_a_registered_class_is_found_by_its_id(folder: Path) -> None:
    module = load(folder, COUNTING)
    gym.register("RegisteredWalk-v0", module.Walk, kwargs={"gain": 500.0}, max_episode_steps=9)
    try:
        environment = gym.make("RegisteredWalk-v0", render_mode="ansi", gain=30.0)
        environment.reset(seed=1)
        assert environment.unwrapped.parameters.gain == 30.0  # type: ignore[attr-defined]
        assert str(environment.render()).startswith("at ")
        ends = [environment.step(1)[3] for _ in range(9)]
        assert ends == [False] * 8 + [True]
        trainer = Trainer(Config(environment="RegisteredWalk-v0", **SHORT))
        assert trainer.settings.vectorization == "compiled"
        assert "environment" in trainer._state.code
        current = trainer._environments.current
        assert isinstance(current, FunctionalVectorEnv)
        assert current.episodes.limit == 9
        trainer.close()
    finally:
        del gym.registry["RegisteredWalk-v0"]


def test_wrappers_step_it_in_python(folder: Path) -> None:
    name = load(folder, source()).__name__
    trainer = _trainer(name, wrappers=["gymnasium.wrappers:NormalizeReward"], num_epochs=1)
    assert trainer.settings.vectorization == "sync"
    assert [report.epoch for report in trainer] == [1]
    with pytest.raises(ConfigError, match="wrappers"):
        _trainer(name, wrappers=["gymnasium.wrappers:NormalizeReward"], vectorization="compiled")


def test_without_numba_it_runs_in_python_with_one_warning_and_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = load(folder, COUNTING).__name__
    expected = _trained(name, num_epochs=2)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, *rest: None if wanted == "numba" else found(wanted))
    caplog.set_level(logging.WARNING, "actor_critic")
    assert _trained(name, num_epochs=2) == expected
    (warning,) = (record.getMessage() for record in caplog.records if "Numba" in record.getMessage())
    assert warning.endswith("so the functions run in Python; pip install numba")


def test_an_exception_in_compiled_code_ends_the_run(folder: Path) -> None:
    environment = load(folder, COUNTING).Walk(gain=5.0)
    messages = []
    for executor in (PythonExecutor(environment), make_executor(environment)):
        vector = FunctionalVectorEnv(environment, 2, executor)
        vector.begin(0)
        with pytest.raises(EnvironmentFault) as caught:
            for _ in range(7):
                vector.step_indices(np.ones((2, 1), np.int64))
        assert vector.episodes.counts[0, 1] == 5
        messages.append(str(caught.value))
    assert "Walk: one of its functions raised ValueError: too far (walk_" in messages[0]
    assert "raised an exception; --vectorization sync (in Python) shows it" in messages[1]


@pytest.mark.parametrize(
    ("space", "shown", "message"),
    [
        ("gym.spaces.MultiDiscrete([9, 4])", "out[1] = state.steps", "with a category outside its space: "),
        (
            "gym.spaces.Box(0, 3, (3, 3), np.int8)",
            "out[1, 1] = state.steps",
            "with a number outside the bounds 0 to 3: ",
        ),
        (
            "gym.spaces.Dict(a=gym.spaces.Discrete(2), b=gym.spaces.Tuple([gym.spaces.Discrete(4)]))",
            "out.b[0] = state.steps",
            r'with a category outside its space at \["b"\]\[0\]: 4',
        ),
    ],
)
def test_a_category_outside_its_space_ends_the_run(folder: Path, space: str, shown: str, message: str) -> None:
    text = source("state.steps += 1", space=space, shown=shown)
    module = load(folder, text)
    environment = module.Walk()
    vectors: list[Any] = [FunctionalVectorEnv(environment, 2, PythonExecutor(environment))]
    vectors += [SameStepVectorEnv(module.Walk, 2)]
    for vector in vectors:
        vector.begin(0)
        with pytest.raises(EnvironmentFault, match=message):
            for _ in range(5):
                vector.step_indices(np.ones((2, 1), np.int64))


def test_a_constructor_that_fails_is_one_error(folder: Path) -> None:
    text = source(inside="def __init__(self, **parameters):\n    raise OSError('no level')")
    with pytest.raises(ConfigError, match=r"cannot be made: OSError: no level \(walk_\d+.py, line"):
        _trainer(load(folder, text).__name__)


def test_the_commands_tell_mistakes_in_one_line_each(shell: Shell) -> None:
    wrong, nan = source("x = state.position.speed"), source("if state.steps == 0:\n    state.position = math.nan")
    unknown = source("if state.position > 99.0:\n    x = TABLE[action]", top="TABLE = [1, 2]")
    for name, text in (("wrong", wrong), ("nan", nan), ("unknown", unknown)):
        (shell.folder / f"own_{name}.py").write_text(text)
    checked = shell("check", "own_unknown:Walk")
    (problem,) = (line for line in checked.out.splitlines() if line.startswith("problem"))
    place = (
        f"environment: Walk.transition (own_unknown.py, line {line_of(unknown, 'TABLE[action]')}) cannot be compiled: "
    )
    assert place in problem
    assert (checked.code, checked.err) == (
        3,
        "error: own_unknown:Walk cannot be trained on; the problem is shown above\n",
    )
    for arguments in ((), ("--vectorization", "compiled")):
        trained = shell("train", "--environment", "own_unknown:Walk", *arguments)
        assert trained.code == 2
        assert place in trained.err
        assert "--vectorization sync" in trained.err
        assert trained.err.count("\n") == 1
    trained = shell("train", "--environment", "own_nan:Walk")
    assert trained.code == 3
    assert trained.err.startswith(
        "error: Walk: environment 0, episode 0, step 1: transition wrote state.position = nan;"
    )
    trained = shell("train", "--environment", "own_wrong:Walk")
    assert trained.code == 3
    assert f"(own_wrong.py, line {line_of(wrong, 'position.speed')})" in trained.err
    trained = shell("train", "--environment", "own_nan:Wolk")
    assert (trained.code, trained.err) == (
        2,
        "error: environment: 'own_nan:Wolk' is not registered; own_nan has the class Walk\n",
    )
    assert not [path for path in shell.folder.iterdir() if path.name.startswith("checkpoints")]


@pytest.mark.slow
def test_the_template_runs_as_it_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, seconds in (("check._SECONDS", 0.3), ("check._SECONDS_OF_SPEED", 0.05), ("functions._SECONDS", 0.3)):
        monkeypatch.setattr(f"actor_critic.environments.trials.{module}", seconds)
    written = shell("init", "--template", "functional", "my_machine.py")
    assert written.code == 0
    assert "`actor-critic check my_machine:MyMachine` tries it and `actor-critic train --environment " in written.out
    text = (shell.folder / "my_machine.py").read_bytes()
    again = shell("init", "--template", "functional", "my_machine.py")
    assert (again.code, (shell.folder / "my_machine.py").read_bytes()) == (2, text)
    assert again.err == "error: my_machine.py exists already and is left as it is; name another one\n"
    checked = shell("check", "my_machine:MyMachine")
    assert checked.code == 0
    lines = [line for line in checked.out.splitlines() if "bit by bit" in line or "steps per second in Python" in line]
    assert [line.split()[0] for line in lines] == ["ok", "ok"]
    assert "Python and compiled functions agree bit by bit over" in lines[0]
    assert "compiled with 64 environments in one thread" in lines[1]
    trained = shell("train", "--environment", "my_machine:MyMachine", "--learning-rate", "0.003", "--num-epochs", "30",
                    "--evaluation-episodes", "20", "--backend", "eager")  # fmt: skip
    assert trained.code == 0
    (greedy,) = (line for line in trained.out.splitlines() if line.startswith("greedy"))
    assert float(greedy.split()[1]) > 90.0  # random allowed actions earn 53


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--template", "functional"), "--template needs a file to write, such as my_problem.py"),
        (
            ("--template", "functional", "my-problem.py"),
            "'my-problem.py' is not allowed; expected the name of a Python",
        ),
        (
            ("--template", "functional", "my_problem.txt"),
            "'my_problem.txt' is not allowed; expected the name of a Pyth",
        ),
        (("--template", "functional", "numpy.py"), "a package 'numpy' is installed, so numpy.py would not be found"),
        (("--template", "functional", "no/folder.py"), "no/folder.py cannot be written: No such file or directory"),
        (
            ("--template", "functional", "x.py", "--environment", "CartPole-v1"),
            "--environment does not apply to --templ",
        ),
        (("--template", "other", "x.py"), "'other' is not 'functional'"),
        (("x.py",), "unexpected extra argument 'x.py'"),
    ],
)
def test_a_template_that_cannot_be_written_is_one_error(arguments: tuple[str, ...], words: str, shell: Shell) -> None:
    outcome = shell("init", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert shell.contents() == {}


def test_the_class_is_exported() -> None:
    assert FunctionalEnvironment.__module__ == "actor_critic.environments.functional.environment"
    code = "import sys; from actor_critic import FunctionalEnvironment; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
