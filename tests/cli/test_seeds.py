"""`train --seeds`."""

import json

import numpy as np
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
