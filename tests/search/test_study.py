"""The study: its trials over several processes, continued or killed, and what it refuses. No trial is trained here."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actor_critic import Config
from actor_critic.config import Layer
from actor_critic.errors import ConfigError
from actor_critic.search import Plan, Space
from actor_critic.search import study as study_module
from actor_critic.search.study import Study, shown

_SPACE = Space.read({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "hidden_dim": [8, 16, 32]}, "space")


def _plan(config: dict[str, Any] | None = None, **how: Any) -> Plan:
    return Plan([Layer("flag", Config(**({"num_epochs": 2} | (config or {}))))], how.pop("space", _SPACE), **how)


@contextlib.contextmanager
def _open(folder: Path, **how: Any) -> Iterator[Study]:
    folder.mkdir(exist_ok=True)
    study = Study(_plan(**how), folder)
    try:
        yield study
    finally:
        study.close()


def _score(values: dict[str, Any]) -> float:
    return -abs(values["learning_rate"] - 2e-3) + values["hidden_dim"] / 1e5


def _advance(study: Study, count: int) -> list[dict[str, Any]]:
    """Do trials of a score that is known at once; return their values."""
    found = []
    while len(found) < count and (trial := study.begin()) is not None:
        found.append(study.values_of(trial))
        study.finish(trial, _score(found[-1]), 1.0)
    return found


def test_a_continued_study_proposes_what_it_would_have_without_a_break(tmp_path: Path) -> None:
    with _open(tmp_path / "whole", trials=12) as study:  # ten are drawn at random, and then TPE proposes
        whole = _advance(study, 12)
    assert len({str(values) for values in whole}) == 12
    parts = []
    for count in (5, 99):
        with _open(tmp_path / "parts", trials=12) as study:
            parts += _advance(study, count)
            if len(parts) == 5:
                stopped = study.begin()
                assert stopped is not None
                study.fail(stopped, "it was stopped", is_tried_again=True)
    assert parts == whole
    with _open(tmp_path / "other", trials=2, seed=1) as study:
        assert _advance(study, 2)[1] != whole[1]


def test_the_first_trial_has_the_settings_without_search(tmp_path: Path) -> None:
    with _open(tmp_path / "a", config={"hidden_dim": 16, "learning_rate": 3e-3}) as study:
        assert _advance(study, 1) == [{"hidden_dim": 16, "learning_rate": 3e-3}]
    with _open(tmp_path / "b", config={"hidden_dim": 17, "learning_rate": 3e-3}) as study:  # 17 is not in the space
        (values,) = _advance(study, 1)
        assert values["learning_rate"] == 3e-3 and values["hidden_dim"] in (8, 16, 32)


def test_two_processes_share_the_number_of_trials_and_never_a_trial(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    how: dict[str, Any] = {"storage": url, "study": "one", "trials": 5}
    with _open(tmp_path / "a", **how) as one, _open(tmp_path / "b", **how) as two:
        begun = [study.begin() for study in (one, two, one, two, one, two, one)]
        numbers = [trial.number for trial in begun if trial is not None]
        assert numbers == [0, 1, 2, 3, 4]
        assert one.unfinished() == numbers == two.unfinished()
        assert two.begun_in == str(tmp_path / "a")


def test_a_trial_that_two_processes_begin_at_once_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _open(tmp_path / "a", trials=2) as study:
        _advance(study, 1)
        seen = study.trials()
        assert study.begin() is not None
        answers = iter([seen])  # as seen before another process began the last trial
        real = study.trials
        monkeypatch.setattr(study, "trials", lambda: next(answers, None) or real())
        assert study.begin() is None
        assert [trial.number for trial in real()] == [0, 1]


def test_a_trial_whose_process_is_dead_fails_and_its_values_are_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with _open(folder, trials=3) as study:
        _advance(study, 1)
        killed = study.begin()
        assert killed is not None
        with _open(folder, trials=3) as other:
            other.release_dead()  # its process lives
            assert other.unfinished() == [1]
        study._lock.release()  # as the operating system does when a process dies
        with _open(folder, trials=3) as other:
            other.release_dead()
            other.release_dead()  # once is enough
            again = other.begin()
            assert again is not None and again.number == 2
            assert other.values_of(again) == other.values_of(killed)
            assert [trial.number for trial in other.trials()] == [0, 2]
            study.finish(killed, 1.0, 1.0)  # nobody takes it any more
            assert not study.report(killed, 1, 1.0)
            other.finish(again, 0.0, 1.0)
            assert len(_advance(other, 9)) == 1
            assert [trial.state.name for trial in other.trials()] == ["COMPLETE"] * 3


def test_values_that_kill_their_process_again_and_again_are_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for _ in range(3):
        with _open(folder, trials=1) as study:
            study.release_dead()
            assert study.begin() is not None
            study._lock.release()
            study._token = "another"  # what a process that is killed leaves is its lock file
    with _open(folder, trials=1) as study:
        study.release_dead()
        assert study.begin() is None
        assert [(trial.number, trial.state.name) for trial in study.trials()] == [(2, "FAIL")]


def test_a_trial_of_another_folder_is_dead_when_its_heart_no_longer_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_module, "_GRACE", 1)
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    how: dict[str, Any] = {"storage": url, "study": "one", "trials": 1}
    with _open(tmp_path / "a", **how) as one, _open(tmp_path / "b", **how) as two:
        trial = one.begin()
        assert trial is not None
        two.release_dead()
        assert two.begin() is None
        with sqlite3.connect(tmp_path / "shared.db") as database:  # an hour ago
            database.execute("update trial_heartbeats set heartbeat = datetime(heartbeat, '-1 hour')")
        database.close()
        two.release_dead()
        again = two.begin()
        assert again is not None and two.values_of(again) == one.values_of(trial)


def test_a_curve_below_the_median_is_pruned_and_its_last_point_is_kept(tmp_path: Path) -> None:
    with _open(tmp_path / "a", trials=8) as study:
        for _ in range(6):
            trial = study.begin()
            assert trial is not None
            assert all(study.report(trial, point, 10.0) for point in range(1, 20))
            study.finish(trial, 10.0, 1.0)
        worse = study.begin()
        assert worse is not None
        goes_on = [study.report(worse, point, 1.0) for point in range(1, 10)]
        assert goes_on == [True] * 4 + [False] * 5
        study.prune(worse)
        assert study.trials()[-1].value == 1.0
    with _open(tmp_path / "b", trials=8, objective="score,time") as study:  # Optuna prunes by one objective only
        trial = study.begin()
        assert trial is not None and not study.prunes and study.report(trial, 1, -9.0)
        study.finish(trial, 10.0, 2.5)
        assert study.trials()[0].values == [10.0, 2.5]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"config": {"gamma": 0.5}}, "gamma: 0.5 is not what the study was begun with, 0.99"),
        ({"space": Space.read({"hidden_dim": [8, 16]}, "")}, "space: hidden_dim: [8, 16] is not what the study was"),
        ({"trial_seeds": [1, 2]}, "trial_seeds: [1, 2] is not what the study was begun with, [1]"),
        ({"seed": 3}, "seed: 3 is not"),
        ({"objective": "score,time"}, 'objective: "score,time" is not'),
        ({"score": "sampled"}, 'score: "sampled" is not'),
        ({"prune": False}, "prune: false is not"),
    ],
)
def test_another_plan_on_the_same_study_is_refused(how: dict[str, Any], words: str, tmp_path: Path) -> None:
    with _open(tmp_path / "a"):
        pass
    with pytest.raises(ConfigError) as caught, _open(tmp_path / "a", **how):
        pass
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_other_machines_may_have_other_workers_and_threads(tmp_path: Path) -> None:
    with _open(tmp_path / "a"):
        pass
    with _open(tmp_path / "a", config={"threads": 4, "log_file": "x.log"}, trials=99, jobs=3):
        pass


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "storage: nonsense cannot be used: Could not parse SQLAlchemy URL"),
        ("sqlite:////no/such/folder/x.db", "unable to open database file"),
        ("mysql://me:secret@host/x", "storage: mysql://me@host/x cannot be used"),
    ],
)
def test_a_wrong_storage_is_one_line_without_the_password(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught, _open(tmp_path / "a", storage=url, study="x"):
        pass
    message = str(caught.value)
    assert words in message and "secret" not in message and "\n" not in message


def test_a_locked_storage_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "_LOCKED", 0.1)
    with _open(tmp_path / "a"):
        pass
    database = sqlite3.connect(tmp_path / "a/sweep.db")
    database.execute("begin exclusive")
    try:
        with pytest.raises(ConfigError, match="cannot be used: database is locked"), _open(tmp_path / "a"):
            pass
    finally:
        database.close()


def test_a_study_of_another_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    monkeypatch.setattr(study_module, "_BEGINNING", 0.0)
    url = f"sqlite:///{tmp_path / 'other.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(storage=storage, study_name="mine", direction="maximize")
    storage.remove_session()
    storage.engine.dispose()
    with (
        pytest.raises(ConfigError, match=r"mine in .* is of another program"),
        _open(tmp_path / "a", storage=url, study="mine"),
    ):
        pass


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql://me:p@ss@host:1/x") == "postgresql://me@host:1/x"
    assert shown("sqlite:///sweep.db") == "sqlite:///sweep.db"
