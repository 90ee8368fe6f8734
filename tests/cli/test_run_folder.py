"""``train --run-folder``: a new run, the same run continued, or one clear refusal."""

import json
from pathlib import Path

import pytest

from actor_critic import Config, Trainer
from actor_critic.training import find_run
from tests.cli.running import Shell

RUN = ["train", "--environment", "CartPole-v1", "--batch-size", "32", "--num-minibatches", "1", "--num-envs", "2"]
RUN += ["--evaluation-episodes", "1", "--hidden-dim", "4", "--no-report", "--num-epochs", "4", "--run-folder", "run"]


def begun(folder: Path, epochs: int, **settings: object) -> None:
    """Make the run of the command, stopped after some epochs."""
    run = {"environment": "CartPole-v1", "batch_size": 32, "num_minibatches": 1, "num_envs": 2, "hidden_dim": 4}
    run |= {"evaluation_episodes": 1, "report": False, "num_epochs": 4, **settings}
    trainer = Trainer(Config(**run), folder)
    for report in trainer:
        if report.epoch == epochs:
            break
    trainer.close()


def test_the_same_command_begins_continues_and_finds_the_end(shell: Shell, tmp_path: Path) -> None:
    undisturbed = shell(*RUN[:-1], "undisturbed")
    assert undisturbed.code == 0, undisturbed.err
    begun(tmp_path / "run", 2)
    continued = shell(*RUN)
    assert continued.code == 0, continued.err
    assert "continuing run after epoch 2" in continued.out
    assert find_run(tmp_path / "run").checkpoint.digest == find_run(tmp_path / "undisturbed").checkpoint.digest
    again = shell(*RUN)
    assert (again.code, "the run is finished: 4 of 4 epochs" in again.out) == (0, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--gamma", "0.5"], "--run-folder: run holds a run with gamma=0.995, and this command has gamma=0.5; name"),
        (["--max-episode-steps", "7"], "holds a run with max_episode_steps=None, and this command has max_episode"),
        (["--seeds", "1", "2"], "--run-folder: run holds a single run; --seeds needs a new folder"),
    ],
)
def test_another_run_is_refused(words: list[str], expected: str, shell: Shell, tmp_path: Path) -> None:
    begun(tmp_path / "run", 2)
    outcome = shell(*RUN, *words)
    assert (outcome.code, expected in outcome.err) == (2, True), outcome.err
    assert find_run(tmp_path / "run").checkpoint.counters["epoch"] == 2


def test_what_the_command_leaves_out_is_not_taken_from_the_folder(shell: Shell, tmp_path: Path) -> None:
    begun(tmp_path / "run", 2, max_episode_steps=7)
    outcome = shell(*RUN)
    assert (outcome.code, "holds a run with max_episode_steps=7, and this" in outcome.err) == (2, True), outcome.err


def test_code_that_only_the_folder_names_is_not_imported(shell: Shell, tmp_path: Path) -> None:
    begun(tmp_path / "run", 2)
    (tmp_path / "planted.py").write_text("open('planted', 'w')\nWrapper = Encoder = None\n")
    settings = json.loads((tmp_path / "run/settings.json").read_text())
    for name, value in (("wrappers", ["planted:Wrapper"]), ("encoder", "planted:Encoder")):
        (tmp_path / "run/settings.json").write_text(json.dumps(settings | {name: value}))
        assert shell(*RUN).code != 0
        assert not (tmp_path / "planted").exists()


def test_the_first_weights_are_read_once(shell: Shell, tmp_path: Path) -> None:
    begun(tmp_path / "first", 1)
    words = [*RUN, "--init-from", "first/last.safetensors"]
    assert shell(*words).code == 0
    again = shell(*words)
    assert (again.code, "the run is finished" in again.out) == (0, True), again.err


def test_a_file_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    outcome = shell(*RUN)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "--run-folder: run cannot be used: Not a directory; expected a run folder" in outcome.err
