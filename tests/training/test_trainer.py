"""The training run: what it computes, reports, keeps, and takes up again."""

import csv
import errno
import json
import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from actor_critic import (
    CheckpointError,
    Config,
    ConfigError,
    EnvironmentFault,
    NumericalError,
    RewardModel,
    Settings,
    Trainer,
    VerificationError,
    verify,
)
from actor_critic.algorithm import Batch, Coefficients, UpdateStatistics
from actor_critic.backends import EagerBackend
from actor_critic.seeding import Purpose, episode_seed
from actor_critic.storage import runs
from actor_critic.storage.checkpoints import load
from actor_critic.storage.runs import RunFolder, newest_sound
from tests import toys
from tests.nursery import Nursery
from tests.plain import PLAIN

CARTPOLE = {"environment": "CartPole-v1", "num_envs": 4, "num_steps": 16, "hidden_dim": 16, "seed": 7}
PPO = {"algorithm": "ppo", "num_minibatches": 4, "update_epochs": 2, "evaluation_episodes": 2}


def _train(run_folder: Path | None = None, **settings: object) -> Trainer:
    trainer = Trainer(Config(**(CARTPOLE | PPO | settings)), run_folder)
    for _ in trainer:
        pass
    trainer.close()
    return trainer


def _digest(trainer: Trainer) -> str:
    assert trainer.run_folder is not None
    return newest_sound(trainer.run_folder)[1].digest


class Bonus(RewardModel):
    """The environment's reward and ten more for every step that does not terminate."""

    def rewards(
        self,
        states: npt.NDArray[np.float32],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[np.float32],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        # The counter in the state tells whether state and next state belong together, also at an episode's end.
        assert (next_states[:, 0] == states[:, 0] + 1).all()
        assert (terminated == (next_states[:, 0] == 3)).all()
        np.testing.assert_array_equal(environment_rewards, states[:, 1] * actions)
        return environment_rewards + 10 * ~terminated


class Broken(Bonus):
    def rewards(self, *transitions: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        return np.full(len(transitions[0]), np.nan, np.float32)


def test_an_epoch_reports_its_place_and_its_figures() -> None:
    reports = list(
        Trainer(Config(environment="Countdown-v0", num_envs=2, num_steps=2, num_minibatches=1, num_epochs=3))
    )
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert [report.env_steps for report in reports] == [4, 8, 12]
    assert [report.episodes for report in reports] == [0, 2, 4]
    assert reports[0].mean_return is None
    assert reports[0].mean_length is None
    assert reports[1].mean_length == 3.0
    assert reports[0].entropy == pytest.approx(np.log(2), abs=0.01)
    assert reports[0].mean_model_return is None


def test_without_a_run_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _train(num_epochs=2)
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_loop_closes_the_environments_and_iterating_again_goes_on_exactly() -> None:
    straight = _train(num_epochs=6)
    trainer = Trainer(Config(**(CARTPOLE | PPO | {"num_epochs": 6})))
    for stop in (1, 4, 6):
        for report in trainer:
            assert not trainer._environments.current.closed
            if report.epoch == stop:
                break
        assert trainer._environments.current.closed
    assert trainer.epoch == 6
    assert torch.equal(trainer.agent.parameters.values, straight.agent.parameters.values)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"algorithm": "a2c", "num_minibatches": 1, "update_epochs": 1},
        {"normalize_observations": True, "normalize_rewards": True, "clip_rewards": 5.0, "shared_encoder": True},
        {"environment": "random-states", "num_steps": None, "batch_size": 64, "num_envs": None},
        {"anneal_lr": False, "target_kl": 0.001, "clip_vloss": True},
        {"overlap": True, "normalize_observations": True, "normalize_rewards": True},
        {"overlap": True, "backend": "eager", "memory": "gru", "shared_encoder": True},
    ],
    ids=["ppo", "a2c", "normalised", "random states", "target_kl", "overlap", "overlap, eager"],
)
def test_a_resumed_run_is_the_run_that_was_stopped(tmp_path: Path, settings: dict[str, object]) -> None:
    settings = {"num_epochs": 9, "checkpoint_interval": 1, "keep_checkpoints": 9, **settings}
    straight = _train(tmp_path / "straight", **settings)
    trainer = Trainer(Config(**(CARTPOLE | PPO | settings)), tmp_path / "stopped")
    for report in trainer:
        if report.epoch == 4:
            break
    trainer.close()
    resumed = Trainer.resume(tmp_path / "stopped")
    assert resumed.epoch == 4
    for _ in resumed:
        pass
    resumed.close()
    for epoch in range(1, 10):
        name = f"epoch_{epoch:06d}.safetensors"
        assert load(tmp_path / "straight" / name).digest == load(tmp_path / "stopped" / name).digest, name
    assert len({load(path).digest for path in (tmp_path / "straight").glob("epoch_*")}) == 9
    with open(tmp_path / "stopped" / "metrics.csv") as ours, open(tmp_path / "straight" / "metrics.csv") as theirs:
        for mine, other in zip(csv.DictReader(ours), csv.DictReader(theirs), strict=True):
            assert {**mine, "steps_per_second": ""} == {**other, "steps_per_second": ""}
    evaluations = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("straight", "stopped")]
    assert evaluations[0] == evaluations[1]
    assert straight.evaluation == resumed.evaluation


def test_records_do_not_change_what_is_computed(tmp_path: Path) -> None:
    plain = _train(num_epochs=4)
    kept = _train(tmp_path / "run", num_epochs=4, checkpoint_interval=1, evaluation_interval=2)
    assert torch.equal(plain.agent.parameters.values, kept.agent.parameters.values)


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    long = _train(tmp_path / "long", num_epochs=6, anneal_lr=False)
    _train(tmp_path / "short", num_epochs=3, anneal_lr=False)
    longer = Trainer.resume(tmp_path / "short", num_epochs=6)
    assert [report.epoch for report in longer] == [4, 5, 6]
    assert _digest(longer) == _digest(long)
    longer.close()
    with pytest.raises(ConfigError, match="num_epochs: 5 is less than the 6 epochs that are done"):
        Trainer.resume(tmp_path / "short", num_epochs=5)


def test_where_a_run_is_to_end_is_known_after_a_kill_before_its_next_checkpoint(tmp_path: Path) -> None:
    _train(tmp_path / "run", num_epochs=2, anneal_lr=False)
    longer = Trainer.resume(tmp_path / "run", num_epochs=400, target_return=470.0, max_hours=3.0)
    training = iter(longer)
    next(training)
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    training.close()
    again = Trainer.resume(tmp_path / "killed")
    assert again.epoch == 2
    assert (again.settings.num_epochs, again.settings.target_return, again.settings.max_hours) == (400, 470.0, 3.0)
    again.close()
    assert Trainer.resume(tmp_path / "killed", new_episodes=True, num_epochs=401).settings.num_epochs == 401
    assert verify(tmp_path / "killed", from_epoch=0).last == 2


def test_settings_that_were_edited_are_told_and_never_quietly_put_back(tmp_path: Path) -> None:
    _train(tmp_path / "run", num_epochs=2)
    path = tmp_path / "run/settings.json"
    edited, count = re.subn('"learning_rate": [0-9.]+', '"learning_rate": 0.5', path.read_text())
    assert count == 1
    path.write_text(edited)
    with pytest.raises(ConfigError, match=r"settings.json says learning_rate=0\.5 and not 0\..* put them"):
        Trainer.resume(tmp_path / "run", num_epochs=3)
    with pytest.raises(VerificationError, match=r"learning_rate=0\.5"):
        verify(tmp_path / "run")
    assert path.read_text() == edited


@pytest.mark.parametrize(("name", "said"), [("keep_checkpoints", 7), ("log_file", "other.log"), ("max_hours", 3.0)])
def test_an_edit_of_what_computes_nothing_is_not_undone_without_a_word(
    name: str, said: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _train(tmp_path / "run", num_epochs=2, anneal_lr=False)
    path = tmp_path / "run/settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: said}))
    if name == "max_hours":  # which a resume may change, and which a killed one leaves so
        Trainer.resume(tmp_path / "run", num_epochs=3).close()
        assert f"{path} says max_hours=3.0, but the run continues with None" in caplog.text
        return
    with pytest.raises(ConfigError, match=rf"settings\.json says {name}={said!r} and not .* put them back"):
        Trainer.resume(tmp_path / "run", num_epochs=3)


@pytest.mark.parametrize("killed", ["save", "write_settings"])
def test_a_run_whose_resume_was_killed_half_way_is_taken_up(
    killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train(tmp_path / "run", num_epochs=2, anneal_lr=False)
    later: dict[str, Any] = {"num_epochs": 4, "max_hours": 5.0, "target_return": 1e6, "new_episodes": True}
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, killed, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Trainer.resume(tmp_path / "run", **later)
    Trainer.resume(tmp_path / "run", **later).close()  # killed before its first checkpoint
    trainer = Trainer.resume(tmp_path / "run")
    assert (trainer.settings.num_epochs, trainer.settings.max_hours) == (4, 5.0)
    trainer.close()


def test_a_key_in_a_runs_settings_that_is_no_setting_is_refused_by_name(tmp_path: Path) -> None:
    _train(tmp_path / "run", num_epochs=2)
    path = tmp_path / "run/settings.json"
    path.write_text(path.read_text().replace("{", '{"gama": 0.5,', 1))
    words = r"settings\.json says gama=0\.5, which is no setting; did you mean 'gamma'\?"
    with pytest.raises(ConfigError, match=words):
        Trainer.resume(tmp_path / "run", num_epochs=3)
    with pytest.raises(VerificationError, match=words):
        verify(tmp_path / "run")
    assert '"gama"' in path.read_text()


def test_a_length_that_would_change_the_learning_rates_is_refused(tmp_path: Path) -> None:
    _train(tmp_path / "run", num_epochs=3, anneal_lr=True)
    with pytest.raises(ConfigError, match="num_epochs: 6 would change this run, which is annealed over 3"):
        Trainer.resume(tmp_path / "run", num_epochs=6)


def test_what_is_annealed_falls_linearly_to_one_step_above_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    update = EagerBackend.update

    def spy(self: EagerBackend, batch: Batch, minibatches: list[np.ndarray], rules: Coefficients) -> UpdateStatistics:
        seen.append((rules.learning_rate, rules.clip_coef, rules.ent_coef))
        return update(self, batch, minibatches, rules)

    monkeypatch.setattr(EagerBackend, "update", spy)  # the rules are those of any backend
    settings = {"learning_rate": 0.1, "clip_coef": 0.2, "ent_coef": 0.01, "num_epochs": 4, "backend": "eager"}
    _train(**settings, anneal_lr=True, anneal_clip=True, anneal_ent=True)
    assert np.array(seen) == pytest.approx(np.outer([1, 0.75, 0.5, 0.25], [0.1, 0.2, 0.01]))
    seen.clear()
    _train(**settings, anneal_lr=False)
    assert np.array(seen) == pytest.approx(np.tile([0.1, 0.2, 0.01], (4, 1)))


def test_the_run_folder_holds_all_that_is_described(tmp_path: Path) -> None:
    trainer = _train(tmp_path / "run", num_epochs=25, keep_checkpoints=2)
    names = {entry.name.split(".tfevents")[0] for entry in (tmp_path / "run").iterdir()}
    assert names == {
        ".lock", "settings.json", "metrics.csv", "episodes.csv", "details.csv", "evaluation.json", "events.out",
        "best.safetensors", "last.safetensors", "epoch_000020.safetensors", "epoch_000025.safetensors",
    }  # fmt: skip
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["input_dim"] == 4
    assert Config(**settings).learning_rate == trainer.settings.learning_rate
    last = load(tmp_path / "run" / "last.safetensors")
    assert (last.counters["epoch"], last.counters["env_steps"]) == (25, 25 * 64)


def test_training_from_the_saved_settings_is_the_same_run(tmp_path: Path) -> None:
    first = _train(tmp_path / "first", num_epochs=3)
    again = Trainer(Config.load(tmp_path / "first" / "settings.json"), tmp_path / "again")
    for _ in again:
        pass
    assert _digest(again) == _digest(first)
    again.close()


def test_the_best_checkpoint_is_the_one_with_the_highest_score(tmp_path: Path) -> None:
    trainer = Trainer(
        Config(**(CARTPOLE | PPO | {"num_epochs": 12, "evaluation_interval": 3, "learning_rate": 0.01})),
        tmp_path / "run",
    )
    scores = {report.epoch: report.evaluation.greedy.mean for report in trainer if report.evaluation}
    trainer.close()
    assert list(scores) == [3, 6, 9, 12]
    best = load(tmp_path / "run" / "best.safetensors")
    assert best.counters["epoch"] == max(scores, key=lambda epoch: scores[epoch])
    assert best.records["best"] == max(scores.values())


def test_a_reward_model_replaces_rewards_and_is_reported_beside_the_true_return() -> None:
    settings = {"environment": "Countdown-v0", "reward_model": "tests.training.test_trainer:Bonus", "seed": 1}
    trainer = Trainer(Config(num_envs=2, num_steps=6, num_minibatches=1, num_epochs=2, **settings))
    for report in trainer:
        assert report.mean_return is not None
        assert report.mean_return <= 3.0
        assert report.mean_model_return == pytest.approx(report.mean_return + 20.0)


def test_a_reward_model_that_returns_nonsense_is_a_fault() -> None:
    trainer = Trainer(
        Config(environment="Countdown-v0", reward_model="tests.training.test_trainer:Broken", num_epochs=1)
    )
    with pytest.raises(EnvironmentFault, match="reward_model Broken returned nan for transition 0"):
        next(iter(trainer))


def test_a_run_stops_early_when_the_target_is_reached(tmp_path: Path) -> None:
    trainer = Trainer(
        Config(environment="Countdown-v0", num_envs=8, num_steps=16, num_epochs=500, target_return=0.5),
        tmp_path / "run",
    )
    reports = list(trainer)
    trainer.close()
    assert trainer.stop_reason == "target_return 0.5 reached"
    assert reports[-1].mean_return is not None
    assert reports[-1].mean_return >= 0.5
    assert reports[-1].episodes >= 100
    assert load(tmp_path / "run" / "last.safetensors").counters["epoch"] == reports[-1].epoch < 500
    assert (tmp_path / "run" / "evaluation.json").exists()


def test_a_run_that_was_interrupted_in_its_last_epoch_goes_no_further_when_resumed(tmp_path: Path) -> None:
    config = Config(environment="Countdown-v0", num_envs=8, num_steps=16, num_epochs=500, target_return=0.5)
    whole, stopped = Trainer(config, tmp_path / "whole"), Trainer(config, tmp_path / "stopped")
    for _ in whole:
        pass
    for report in stopped:
        if report.epoch == whole.epoch:
            stopped.stop("interrupted")
    assert stopped.evaluation is None
    resumed = Trainer.resume(tmp_path / "stopped")
    assert list(resumed) == []
    assert (resumed.stop_reason, resumed.evaluation) == (whole.stop_reason, whole.evaluation)
    assert resumed.digest == whole.digest


def test_a_run_stops_early_when_its_time_has_passed() -> None:
    trainer = Trainer(Config(**(CARTPOLE | PPO | {"num_epochs": 10**6, "max_hours": 0.2 / 3600})))
    count = sum(1 for _ in trainer)
    assert 1 <= count < 10**4
    assert trainer.stop_reason is not None
    assert trainer.stop_reason.startswith("max_hours")


def test_a_warm_start_takes_weights_and_normaliser_and_nothing_else(tmp_path: Path) -> None:
    source = _train(tmp_path / "source", num_epochs=3, normalize_observations=True)
    fresh = Trainer(
        Config(**(CARTPOLE | PPO | {"init_from": str(tmp_path / "source"), "normalize_observations": True}))
    )
    assert torch.equal(fresh.agent.parameters.values, source.agent.parameters.values)
    state, old = fresh.agent.state(), source.agent.state()
    assert torch.equal(state["observation_normalizer.mean"], old["observation_normalizer.mean"])
    assert not state["optimizer.first_moment"].any()
    assert (fresh.epoch, fresh.agent.optimizer_steps) == (0, 0)
    for changes, words in (
        ({"hidden_dim": 8}, r"policy\.trunk\.hidden\.0\.weight: expected \(8, 4\)"),
        ({"normalize_observations": False}, "trained with normalize_observations=True, and this run has False"),
        ({"activation": "relu"}, "trained with activation=tanh, and this run has relu"),
        ({"init_from": str(tmp_path / "nowhere")}, "does not exist"),
    ):
        settings = {"init_from": str(tmp_path / "source"), "normalize_observations": True, **changes}
        with pytest.raises(ConfigError, match=rf"init_from: .* does not fit: .*{words}"):
            Trainer(Config(**(CARTPOLE | PPO | settings)))


def test_a_run_left_in_any_way_has_a_checkpoint_of_its_last_epoch(tmp_path: Path) -> None:
    for name, stop_at in (("broken off", 3), ("stopped", 3), ("before the first epoch", 0)):
        trainer = Trainer(Config(**(CARTPOLE | PPO | {"num_epochs": 9})), tmp_path / name)
        if stop_at == 0:
            trainer.stop("on second thoughts")
        for report in trainer:
            if report.epoch == stop_at and name == "broken off":
                break
            if report.epoch == stop_at:
                trainer.stop("enough")
        assert newest_sound(tmp_path / name)[1].counters["epoch"] == stop_at
        resumed = Trainer.resume(tmp_path / name)
        assert next(iter(resumed)).epoch == stop_at + 1
        resumed.close()


def test_a_run_that_is_kept_late_or_was_refused_by_the_disk_has_a_checkpoint_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _train(num_epochs=3)
    trainer.keep_in(tmp_path / "late")
    assert list(trainer) == []
    assert newest_sound(tmp_path / "late")[1].counters["epoch"] == 3
    trainer = Trainer(Config(**(CARTPOLE | PPO | {"num_epochs": 3})), tmp_path / "refused")
    with monkeypatch.context() as full:
        full.setattr(runs.checkpoints, "write_durably", _refuse)
        with pytest.raises(CheckpointError, match="No space left"):
            list(trainer)
    assert list(trainer) == []
    assert newest_sound(tmp_path / "refused")[1].counters["epoch"] == 3


def _refuse(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_last_checkpoint_that_a_kill_kept_from_its_second_name_has_it_when_resumed(tmp_path: Path) -> None:
    _train(tmp_path / "run", num_epochs=3, checkpoint_interval=1)
    newest, last = tmp_path / "run/epoch_000003.safetensors", tmp_path / "run/last.safetensors"
    last.unlink()
    last.hardlink_to(tmp_path / "run/epoch_000002.safetensors")
    assert list(Trainer.resume(tmp_path / "run")) == []
    assert last.read_bytes() == newest.read_bytes()


def test_what_an_evaluation_meets_costs_no_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {episode_seed(7, Purpose.SELECTION, env, 0) for env in range(2)}
    monkeypatch.setattr(toys.Judged, "bad_seeds", bad)
    changes = {"environment": "Judged-v0", "evaluation_interval": 4, "checkpoint_interval": 100, "num_epochs": 9}
    trainer = Trainer(Config(**(CARTPOLE | PPO | changes)), tmp_path / "run")
    with pytest.raises(EnvironmentFault, match=r"Judged-v0, environment 0 of an evaluation: after 1 steps .* is not"):
        list(trainer)
    with open(tmp_path / "run/metrics.csv") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4"]
    monkeypatch.setattr(toys.Judged, "bad_seeds", set())
    resumed = Trainer.resume(tmp_path / "run")
    assert [report.epoch for report in resumed] == [5, 6, 7, 8, 9]


def test_an_environment_that_cannot_be_closed_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = _train(tmp_path / "run", environment="Clings-v0", num_epochs=2)
    assert trainer.is_evaluated
    assert "Clings-v0: close raised RuntimeError: the display is gone" in caplog.text
    Trainer.resume(tmp_path / "run").close()


def test_a_trainer_may_be_iterated_over_in_another_thread(tmp_path: Path) -> None:
    trainer = Trainer(Config(**(CARTPOLE | PPO | {"num_epochs": 2})), tmp_path / "run")
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(list, trainer).result()) == 2


def test_what_an_environment_does_to_its_arguments_changes_no_settings(tmp_path: Path) -> None:
    numbers = list(range(8))
    changes = {"environment": "Shuffles-v0", "environment_kwargs": {"numbers": numbers}, "num_epochs": 2}
    trainer = _train(tmp_path / "run", **changes)
    assert trainer.settings.environment_kwargs == {"numbers": list(range(8))}
    assert json.loads((tmp_path / "run/settings.json").read_text())["environment_kwargs"]["numbers"] == numbers
    assert trainer.settings.replay == "fresh"


def test_an_epoch_that_was_cut_short_is_not_built_on() -> None:
    trainer = Trainer(Config(environment="Faulty-v0", environment_kwargs={"fault": "raise"}, num_epochs=1))
    for _ in range(2):
        with pytest.raises(EnvironmentFault):
            next(iter(trainer))
        assert (trainer.epoch, trainer.agent.optimizer_steps) == (0, 0)


def test_one_run_is_iterated_over_once_at_a_time() -> None:
    trainer = Trainer(Config(**(CARTPOLE | PPO | {"num_epochs": 3})))
    for _ in trainer:
        with pytest.raises(RuntimeError, match="iterated over already"):
            next(iter(trainer))


def test_a_run_cut_off_before_its_evaluation_is_evaluated_when_resumed(tmp_path: Path) -> None:
    trainer = _train(tmp_path / "run", num_epochs=2)
    assert trainer.is_evaluated
    (tmp_path / "run" / "evaluation.json").unlink()
    resumed = Trainer.resume(tmp_path / "run")
    assert not resumed.is_evaluated
    assert list(resumed) == []
    assert resumed.is_evaluated
    assert resumed.evaluation == trainer.evaluation


def test_reward_model_arguments_reach_the_model_of_random_states() -> None:
    first, other = (Trainer(Config(reward_model_kwargs={"seed": seed}, num_epochs=1)) for seed in (0, 1))
    directions = [trainer._environments.current.reward_model.directions for trainer in (first, other)]
    assert not np.allclose(*directions)


def test_dimensions_that_contradict_the_environment_say_how_to_get_a_fitting_file() -> None:
    with pytest.raises(ConfigError, match=r"input_dim: 10 contradicts CartPole-v1.*says 4.*actor-critic init --env"):
        Trainer(Config(environment="CartPole-v1", input_dim=10))
    with pytest.raises(ConfigError, match=r"output_dim: 3 contradicts CartPole-v1"):
        Trainer(Config(environment="CartPole-v1", output_dim=3))


def test_wrappers_frame_stack_and_step_limit_reach_the_environment() -> None:
    trainer = Trainer(
        Config(
            environment="CartPole-v1",
            wrappers=["gymnasium.wrappers:FlattenObservation"],
            frame_stack=3,
            max_episode_steps=5,
            num_epochs=1,
            num_envs=2,
            num_steps=16,
            num_minibatches=1,
        )
    )
    assert trainer.settings.input_dim == 12
    (report,) = trainer
    assert report.mean_length == 5.0


def test_discrete_observations_are_learned_from() -> None:
    trainer = Trainer(
        Config(environment="FrozenLake-v1", environment_kwargs={"is_slippery": False}, seed=1, total_timesteps=40_000)
    )
    assert trainer.settings.input_dim == 16
    reports = list(trainer)
    assert reports[-1].mean_return is not None
    assert reports[-1].mean_return > 0.9


def test_a_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    trainer = Trainer(Config(environment="Faulty-v0", environment_kwargs={"fault": "raise"}, num_epochs=1))
    with caplog.at_level(logging.INFO, "actor_critic"), pytest.raises(EnvironmentFault, match="the simulator crashed"):
        next(iter(trainer))
    assert "the run failed in epoch 1" in caplog.text
    assert "Traceback" in caplog.text


def test_settings_can_be_given_resolved() -> None:
    resolved = Trainer(Config(**(CARTPOLE | PPO))).settings
    assert isinstance(resolved, Settings)
    assert Trainer(resolved).settings == resolved


@pytest.mark.parametrize(
    ("backend", "changes"), [("eager", {}), ("fused", {}), ("eager", {"memory": "gru", "shared_encoder": True})]
)
def test_the_batch_that_a_number_went_bad_in_is_kept_beside_the_checkpoints(
    backend: str, changes: dict[str, object], tmp_path: Path
) -> None:
    config = Config(
        environment="CartPole-v1",
        **PLAIN,
        num_envs=4,
        num_steps=8,
        backend=backend,
        wrappers=["tests.toys:Enormous"],
        **changes,
    )
    trainer = Trainer(config, tmp_path / "run")
    before = trainer.agent.parameters.values.clone()
    with pytest.raises(NumericalError, match=r"not finite.*; the batch is kept in .*failed_epoch_000001.safetensors$"):
        next(iter(trainer))
    assert torch.equal(trainer.agent.parameters.values, before)
    batch = safetensors.torch.load_file(tmp_path / "run/failed_epoch_000001.safetensors")
    assert batch["features"].shape == (32, 4)
    assert not batch["returns"].isfinite().all()


def test_a_finished_run_that_is_opened_again_is_over(tmp_path: Path) -> None:
    ended = _train(tmp_path / "run", num_epochs=2, anneal_lr=False)
    again = Trainer.resume(tmp_path / "run")
    assert (again.is_over, again.stop_reason, again.evaluation) == (True, "finished", ended.evaluation)
    assert again.evaluation is not None
    assert again.evaluation.to_document() == ended.evaluation.to_document()  # type: ignore[union-attr]
    assert list(again) == []
    longer = Trainer.resume(tmp_path / "run", num_epochs=4)
    assert (longer.is_over, longer.stop_reason, longer.evaluation) == (False, None, None)
    assert [report.epoch for report in longer] == [3, 4]
    (tmp_path / "run/evaluation.json").write_text('{"epoch": 4, "greedy": {"mean": "high"}, "sampled": 1}')
    unread = Trainer.resume(tmp_path / "run")
    assert (unread.is_over, unread.evaluation) == (True, None)
    assert list(unread) == []
    assert unread.evaluation == longer.evaluation
    unread.close()
    random = Trainer(Config(num_epochs=2, evaluation_episodes=50), tmp_path / "random")
    assert len(list(random)) == 2
    assert Trainer.resume(tmp_path / "random").evaluation == random.evaluation  # with its optimum


def test_a_run_that_ended_early_says_so_when_it_is_opened_again(tmp_path: Path) -> None:
    config = Config(environment="Countdown-v0", num_envs=8, num_steps=16, num_epochs=500, target_return=0.5)
    trainer = Trainer(config, tmp_path / "run")
    assert len(list(trainer)) < 500
    again = Trainer.resume(tmp_path / "run")
    assert (again.is_over, again.stop_reason, again.evaluation) == (True, trainer.stop_reason, trainer.evaluation)


def test_a_run_that_this_program_holds_says_what_to_do(tmp_path: Path) -> None:
    trainer = _train(tmp_path / "run", num_epochs=2)
    held = Trainer.resume(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"in use by another trainer in this program; close it first"):
        Trainer.resume(tmp_path / "run" / ".." / "run")
    held.close()
    held = Trainer.resume(tmp_path / "run")
    with pytest.raises(ConfigError, match="close it first"):
        list(trainer)
    held.close()
    assert list(trainer) == []


def test_evaluations_stand_in_metrics_and_events_whose_axis_is_environment_steps(tmp_path: Path) -> None:
    config = Config(**(CARTPOLE | PPO | {"num_epochs": 6, "evaluation_interval": 2}))
    trainer, found = Trainer(config, tmp_path / "run"), {}
    for report in trainer:
        if report.evaluation:
            found[report.epoch] = (report.evaluation.greedy.mean, report.evaluation.sampled.mean)
        if report.epoch == 3:
            break
    for report in trainer:
        if report.evaluation:
            found[report.epoch] = (report.evaluation.greedy.mean, report.evaluation.sampled.mean)
    assert list(found) == [2, 4, 6]
    with open(tmp_path / "run/metrics.csv") as stream:
        rows = {int(row["epoch"]): row for row in csv.DictReader(stream)}
    columns = ("evaluation_greedy_return", "evaluation_sampled_return")
    for epoch, row in rows.items():
        assert tuple(row[name] for name in columns) == tuple(map(str, found.get(epoch, ("", ""))))
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    steps = [64 * epoch for epoch in range(1, 7)]
    assert [(each.step, each.value) for each in events.Scalars("epoch")] == list(zip(steps, range(1, 7), strict=True))
    greedy = [(each.step, each.value) for each in events.Scalars(columns[0])]
    assert greedy == [(64 * epoch, pytest.approx(mean)) for epoch, (mean, _) in found.items()]
    assert trainer.evaluation is not None
    (last,) = events.Scalars("last_evaluation_greedy_return")
    assert (last.step, last.value) == (6 * 64, pytest.approx(trainer.evaluation.greedy.mean))


@pytest.mark.parametrize("interval", [1, 2])
def test_the_best_checkpoint_is_not_chosen_by_the_short_episodes_that_ended_first(
    interval: int, tmp_path: Path
) -> None:
    # Three episodes in five are of 1 step and the rest of 12, each paying -1 a step: in the first epoch short ones end.
    config = Config(
        environment="Uneven-v0", **PLAIN | {"hidden_dim": 4}, num_envs=120, num_steps=3, num_epochs=9, replay="reset",
        checkpoint_interval=interval, keep_checkpoints=20, evaluation_episodes=2,
    )  # fmt: skip
    trainer, means = Trainer(config, tmp_path / "run"), {}
    for report in trainer:
        means[report.epoch] = (report.mean_episodes, report.mean_return, trainer._counters.totals.is_representative)
    assert means[1][0] >= 100  # the window is full of episodes of one step
    assert means[1][1] == -1.0
    found = {epoch for epoch, (*_, is_representative) in means.items() if is_representative}
    assert 1 not in found
    assert found
    chosen = load(tmp_path / "run/best.safetensors")
    candidates = {epoch: means[epoch][1] for epoch in found if epoch % interval == 0 or epoch == 9}
    assert chosen.records["best"] == max(candidates.values())
    assert chosen.counters["epoch"] == max(candidates, key=lambda epoch: candidates[epoch])


def test_where_no_mean_was_representative_the_last_checkpoint_is_the_best(tmp_path: Path) -> None:
    settings = {"num_epochs": 5, "checkpoint_interval": 2, "anneal_lr": False}
    _train(tmp_path / "run", **settings)  # too short for a hundred episodes
    best = load(tmp_path / "run/best.safetensors")
    assert (best.counters["epoch"], best.records["best"]) == (5, None)
    for _ in Trainer.resume(tmp_path / "run", num_epochs=7):
        pass
    assert load(tmp_path / "run/best.safetensors").counters["epoch"] == 7


def test_a_report_says_how_many_episodes_its_means_cover() -> None:
    config = Config(environment="Countdown-v0", num_envs=2, num_steps=2, num_minibatches=1, num_epochs=3)
    described = [report.describe(3) for report in Trainer(config)]
    assert "return" not in described[0]
    assert re.search(r"\| return \d\.\d\d over 2 episodes \|", described[1])
    assert re.search(r"\| return \d\.\d\d over 4 episodes \|", described[2])


JITTER = """
import sys
from actor_critic import Config, Trainer
trainer = Trainer(Config(environment=sys.argv[1], wrappers=sys.argv[2:], num_envs=2, num_steps=16, num_minibatches=2,
                         num_epochs=2, hidden_dim=8, seed=3, backend="eager"))
for _ in trainer: pass
print(trainer.digest)
"""
JITTERY = """
import gymnasium as gym, numpy as np, torch, random
class Jitter(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.shift = float(np.random.uniform(-0.01, 0.01))
    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        return (observation + self.shift + random.random() / 99 + float(torch.rand(()))).astype(np.float32), info
gym.register("Jittery-v0", lambda: Jitter(gym.make("CartPole-v1")))
"""


@pytest.mark.parametrize("words", [["CartPole-v1", "jittery:Jitter"], ["jittery:Jittery-v0"]])
def test_what_draws_from_the_global_generators_draws_the_same_from_the_first_reset_on(
    words: list[str], nursery: Nursery, tmp_path: Path
) -> None:
    (tmp_path / "jittery.py").write_text(JITTERY)
    processes = [nursery.python(tmp_path, "-c", JITTER, *words) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert processes[0].out == processes[1].out


def test_an_environment_registered_here_is_code_of_others_and_gymnasiums_own_is_not() -> None:
    assert Trainer(Config(environment="Countdown-v0"))._seeds.is_needed
    assert not Trainer(Config(**CARTPOLE))._seeds.is_needed
    assert not Trainer(Config())._seeds.is_needed


class Dropped(nn.Module):
    """Draws from PyTorch's global generator while it learns."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(shape[0], 8), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Draws(gym.Wrapper):  # type: ignore[type-arg]
    """Draws from PyTorch's global generator, and seeds it, and shows nothing of it."""

    def step(self, action):  # type: ignore[no-untyped-def]
        torch.manual_seed(int(torch.randint(1000, ())))
        return self.env.step(action)


def test_what_an_encoder_drops_is_no_matter_of_what_environments_draw() -> None:
    weights = []
    for wrappers in ([], ["tests.training.test_trainer:Draws"]):
        settings = CARTPOLE | PPO | {"wrappers": wrappers, "num_epochs": 2, "vectorization": "sync"}
        trainer = Trainer(Config(**settings), encoder=Dropped)
        for _ in trainer:
            pass
        weights.append(trainer.agent.parameters.values.clone())
    assert torch.equal(*weights)


def test_paths_are_those_of_the_folder_that_a_run_began_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    config = Config(**(CARTPOLE | PPO | {"num_epochs": 4, "anneal_lr": False}))
    first, late = Trainer(config, "run"), Trainer(config)
    os.chdir("elsewhere")
    late.keep_in("late")
    for trainer in (first, late):
        next(iter(trainer))
    assert (first.run_folder, late.run_folder) == (tmp_path / "run", tmp_path / "late")
    os.chdir(tmp_path)
    resumed = Trainer.resume("run")
    os.chdir("elsewhere")
    assert [report.epoch for report in resumed] == [2, 3, 4]
    assert list((tmp_path / "elsewhere").iterdir()) == []
