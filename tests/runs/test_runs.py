"""train, train_seeds and Run: what they return, in memory and from a folder."""

import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from actor_critic import Config, Run, Table, Trainer, evaluate, train, train_seeds
from actor_critic.config import settings_of
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.storage import checkpoints
from actor_critic.training import METRICS, begun_or_continued, find_run
from tests.line import OBJECTS, RUN, Line
from tests.nursery import Nursery
from tests.plain import PLAIN


def _train(folder: Path | None = None, **settings: Any) -> Run:
    return train(Config(**RUN | settings), folder, environment=Line, progress=False)


def test_a_run_in_memory_and_one_from_its_folder_tell_the_same(tmp_path: Path) -> None:
    in_memory, written = _train(), _train(tmp_path / "run")
    opened = Run.open(tmp_path / "run", environment=Line)
    for run in (in_memory, written, opened):
        assert (run.epochs, run.env_steps) == (4, 512)
        again = evaluate(in_memory.agent)
        assert (run.evaluation.greedy, run.evaluation.sampled) == (again.greedy, again.sampled)
        assert list(run.history()) == METRICS
    for name in set(METRICS) - {"steps_per_second"}:
        np.testing.assert_array_equal(in_memory.history()[name], opened.history()[name])
    for name in ("epoch", "return", "length"):
        np.testing.assert_array_equal(in_memory.episodes()[name], opened.episodes()[name])
    assert (written.stop_reason, opened.stop_reason, written.folder) == ("finished", None, tmp_path / "run")


def test_every_training_episode_is_there() -> None:
    trainer = Trainer(Config(**RUN), environment=Line)
    reports = list(trainer)
    episodes = Run.of(trainer, reports).episodes()
    assert episodes.rows == reports[-1].episodes == 64
    assert set(episodes["length"]) == {8.0}
    assert episodes["return"].mean() == pytest.approx(reports[-1].mean_return)
    assert episodes["epoch"].tolist() == [1.0] * 16 + [2.0] * 16 + [3.0] * 16 + [4.0] * 16


def test_a_resumed_run_has_the_whole_history_and_every_episode_once(tmp_path: Path) -> None:
    for report in (trainer := Trainer(Config(**RUN, checkpoint_interval=3), tmp_path / "run", environment=Line)):
        if report.epoch == 3:
            break
    trainer.close()
    rest = Trainer.resume(tmp_path / "run", environment=Line)
    run = Run.of(rest, list(rest))
    whole = _train()
    np.testing.assert_array_equal(run.history()["mean_return"], whole.history()["mean_return"])
    np.testing.assert_array_equal(run.episodes()["return"], whole.episodes()["return"])


def test_random_states_have_no_file_of_episodes(tmp_path: Path) -> None:
    run = train(Config(num_epochs=2), tmp_path / "run", progress=False)
    assert not (tmp_path / "run/episodes.csv").exists()
    assert run.episodes().rows == 0
    assert train(Config(num_epochs=2), progress=False).episodes().rows == 64


def test_a_table_is_read_by_pandas_and_shows_itself() -> None:
    history = _train().history()
    frame = history.to_pandas()
    pandas.testing.assert_frame_equal(frame, pandas.DataFrame(dict(history)))
    assert frame.shape == (4, len(METRICS))
    assert repr(history).startswith("<Table of 4 rows: epoch, env_steps,")
    assert history._repr_html_().count("<tr>") == 5
    shown = Table({"<b>": np.array([1.0, np.nan, 2.5])})._repr_html_()
    assert "&lt;b&gt;" in shown and ">2.5<" in shown and ">1<" in shown
    assert ">inf<" in Table({"x": np.array([np.inf])})._repr_html_()
    long = Table({"x": np.arange(30.0)})._repr_html_()
    assert "the last 10 of 30 rows" in long and long.count("<tr>") == 11


def test_a_run_shows_itself_with_its_evaluation_and_findings() -> None:
    run = _train()
    assert repr(run) == "<Run of tests.line:Line: 4 epochs, 512 steps>"
    assert "few-updates" in [finding.name for finding in run.findings()]
    assert run.evaluation.greedy.mean > -8
    shown = run._repr_html_()
    for words in ("tests.line:Line", "4 of 4", "greedy return", "The run had 4 epochs"):
        assert words in shown


def test_a_report_and_an_evaluation_show_themselves() -> None:
    trainer = Trainer(Config(**RUN), environment=Line, reward_model=OBJECTS["reward_model"])
    trainer.log("mine", 3)
    report = next(iter(trainer))
    trainer.close()
    shown = report._repr_html_()
    for words in ("env_steps", ">128<", "mean_model_return", "mine", ">3<"):
        assert words in shown, words
    assert "evaluation_greedy_return" not in shown  # there was none
    shown = evaluate(trainer.agent, episodes=3)._repr_html_()
    for words in ("tests.line:Line, 3 episodes each", "model return", "greedy", "sampled", ">8.0<"):
        assert words in shown, words


def test_ctrl_c_ends_a_call_of_train_with_the_run_so_far(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from actor_critic import *\nfrom tests.line import RUN, Line\n"
        "run = train(Config(**RUN | {'num_epochs': 10**6}), 'run', environment=Line)\n"
        "print('then', run.epochs, run.stop_reason, run.agent.optimizer_steps > 0)\n"
    )
    process = nursery.python(tmp_path, "script.py")
    while "epoch 1/" not in process.out:
        assert not process.has_ended, process.err
        time.sleep(0.05)
    process.send(signal.SIGINT)
    assert process.wait() == 0, process.err
    _, epochs, *rest = process.out.splitlines()[-1].split()
    assert rest == ["interrupted", "True"]
    resumed = Trainer.resume(tmp_path / "run", environment=Line)
    assert 0 < resumed.epoch == int(epochs) < 10**6
    resumed.close()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run folder"):
        Run.open(tmp_path)
    _train(tmp_path / "run", num_epochs=1)
    (tmp_path / "run/episodes.csv").write_text("epoch,return,length\n1,x,3\n")
    with pytest.raises(CheckpointError, match=r"episodes\.csv is damaged"):
        Run.open(tmp_path / "run", environment=Line)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"env": Line}, "unknown argument 'env'; .*it is called 'environment' here"), ({"seed": 1}, r"Config\(seed=")],
)
def test_an_argument_of_another_name_says_what_is_meant(arguments: dict[str, Any], message: str) -> None:
    for call in (train, train_seeds):
        with pytest.raises(ConfigError, match=message):
            call(Config(**RUN), **arguments)


# --- several seeds ---

SEEDS = """
from tests.line import OBJECTS, RUN
from actor_critic import *
if __name__ == "__main__":
    runs = train_seeds(Config(**RUN), [3, 4, 5], "runs", **OBJECTS)
    for seed, run in runs.items():
        print(seed, run.settings.seed, run.history()["mean_return"][-1], run.evaluation.greedy.mean)
"""


def test_several_seeds_of_objects_are_the_runs_that_each_seed_is_alone(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SEEDS)
    process = nursery.python(tmp_path, "script.py")
    assert process.wait() == 0, process.err
    for line, seed in zip(process.out.splitlines(), (3, 4, 5), strict=True):
        alone = train(Config(**RUN | {"seed": seed}), progress=False, **OBJECTS)
        last = alone.history()["mean_return"][-1]
        assert line == f"{seed} {seed} {last} {alone.evaluation.greedy.mean}"


def test_seeds_that_are_equal_or_fail_are_one_error(nursery: Nursery, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seeds: \[1, 1\] is not allowed; expected different seeds"):
        train_seeds(Config(**RUN), [1, 1], tmp_path / "runs")
    with pytest.raises(ConfigError, match="seed: -1 is not allowed"):
        train_seeds(Config(**RUN), [1, -1], tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ActorCriticError, match=r"2 of 2 seeds failed, in .*: seed 1: environment: 'No-v0' is not"):
        train_seeds(Config(**RUN, environment="No-v0"), [1, 2], tmp_path / "runs")


def test_a_run_that_was_read_before_is_continued_without_reading_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(Config(environment="CartPole-v1", **PLAIN, num_epochs=2, checkpoint_interval=1))
    trainer = begun_or_continued(settings, tmp_path / "run")
    next(iter(trainer))
    trainer.close()
    reads, load = [], checkpoints.load
    monkeypatch.setattr(checkpoints, "load", lambda path: (reads.append(path), load(path))[1])
    for found, count in ((None, 1), (find_run(tmp_path / "run"), 0)):
        reads.clear()
        trainer = begun_or_continued(settings, tmp_path / "run", found)
        assert (trainer.epoch, len(reads)) == (1, count)
        trainer.close()
