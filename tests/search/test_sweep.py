"""A search from Python, the process of a trial, and the comparison with the settings without search."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from actor_critic import Config, ConfigError, sweep
from actor_critic.config import Layer, resolve
from actor_critic.search import Confirmation, TrialResult
from actor_critic.search.confirmation import fresh_seeds
from actor_critic.search.plan import Plan
from actor_critic.search.results import Scores, best_of, front_of
from actor_critic.search.space import Space
from actor_critic.search.trial_process import TrialProcess
from actor_critic.storage import newest_sound
from tests.line import RUN, Line


def test_a_search_from_python_takes_objects_and_seeds(tmp_path: Path) -> None:
    found = sweep(
        Config(**RUN),
        {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "num_envs": [4, 8]},
        tmp_path / "s",
        trials=1,
        trial_seeds=[3, 4],
        confirm_seeds=0,
        score="sampled",
        objective="score,time",
        environment=Line,
    )
    assert found.is_finished and found.folder == tmp_path / "s" and found.confirmation is None
    (trial,) = found.trials
    assert found.best == trial and found.front == (trial,)
    scores = [
        json.loads((tmp_path / f"s/trial_0000/seed_{seed}/evaluation.json").read_text())["sampled"]["mean"]
        for seed in (3, 4)
    ]
    assert trial.scores == tuple(scores) and trial.score == pytest.approx(np.mean(scores))
    assert trial.seconds is not None and trial.seconds > 0
    assert found.settings is not None and found.settings.learning_rate == trial.values["learning_rate"]


def test_a_pruned_trial_ends_after_its_epoch_and_keeps_a_checkpoint(tmp_path: Path) -> None:
    settings = resolve(Layer("flag", Config(num_epochs=1000, hidden_dim=4, hidden_layers=1))).settings
    process = TrialProcess(settings, tmp_path, (1, 2), points=20)
    points, outcomes = [], []
    while not outcomes:
        if (point := process.point()) is not None:
            points.append(point[0])
            process.answer(point[0] < 7)
        outcomes = process.ended()
        time.sleep(0.001)
    assert points == [1, 2, 3, 4, 5, 6, 7]
    assert outcomes[0] == {"pruned_at": 0.35, "seconds": pytest.approx(1, rel=1e9)}
    assert newest_sound(tmp_path / "seed_1")[1].counters["epoch"] == 350
    assert list(json.loads((tmp_path / "seed_1/evaluation.json").read_text())) == ["epoch", "before_training"]
    assert not (tmp_path / "seed_2").exists()


def test_arguments_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="space: unknown setting 'lr'; it is called 'learning_rate' here"):
        sweep(Config(), {"lr": [1, 2]}, tmp_path / "s")
    with pytest.raises(ConfigError, match=r"trial_seeds: \[\] is not allowed"):
        sweep(Config(), {"gamma": [0.9, 1.0]}, tmp_path / "s", trial_seeds=[])
    assert list(tmp_path.iterdir()) == []


def test_the_fresh_seeds_are_those_of_no_trial() -> None:
    space = Space.read({"gamma": [0.9, 1.0]}, "")
    assert fresh_seeds(Plan([], space, trial_seeds=[1, 3], confirm_seeds=3)) == [2, 4, 5]


def test_the_best_trial_and_the_front() -> None:
    def trial(number: int, score: float | None, seconds: float) -> TrialResult:
        return TrialResult(number, "complete" if score is not None else "pruned", {}, score, seconds)

    trials = [trial(0, 1.0, 1.0), trial(1, 5.0, 9.0), trial(2, 5.0, 9.0), trial(3, 3.0, 9.0), trial(4, 3.0, 2.0)]
    trials.append(trial(5, None, 0.1))
    best = best_of(trials)
    assert best is not None and best.number == 1
    assert [each.number for each in front_of(trials)] == [1, 4, 0]
    assert best_of(trials[5:]) is None and front_of(trials[5:]) == []


@pytest.mark.parametrize(
    ("difference", "p", "count", "words"),
    [
        (2.0, 0.01, 5, "trial 7 is better than the settings without search"),
        (2.0, 0.2, 5, "5 seeds do not show that trial 7 is better than the settings without search"),
        (2.0, 0.01, 4, "4 seeds do not show that trial 7 is better than the settings without search"),
        (-2.0, 0.01, 5, "trial 7 is worse than the settings without search: keep those"),
    ],
)
def test_a_confirmation_says_which_is_better(difference: float, p: float, count: int, words: str) -> None:
    scores = Scores(2.0, 1.0, 3.0, {seed: float(seed) for seed in range(count)})
    confirmation = Confirmation(7, scores, scores, difference, difference - 1, difference + 1, p, {})
    assert any(line.endswith(words) for line in confirmation.describe())
    assert confirmation.is_better == (words.startswith("trial 7 is better"))
    json.dumps(confirmation.to_document())
