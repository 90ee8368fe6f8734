"""Changes between epochs: their effect, and the same bits after a kill, on resume, in workers and in a verification."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actor_critic import Config, EpochReport, Run, Trainer, verify
from actor_critic.environments import FunctionalVectorEnv, PythonExecutor
from actor_critic.errors import CheckpointError, ConfigError, EnvironmentFault
from actor_critic.storage import Change, read_changes
from tests.hallway import Hallway
from tests.line import Line
from tests.nursery import ROOT, Nursery

RUN: dict[str, Any] = {
    "num_envs": 4, "batch_size": 128, "num_epochs": 7, "seed": 1, "evaluation_episodes": 4, "checkpoint_interval": 1,
    "keep_checkpoints": 99,
}  # fmt: skip
EPOCHS = RUN["num_epochs"]


def grow(trainer: Trainer, report: EpochReport) -> None:
    """A curriculum and schedules that follow the report alone."""
    environment = {"length": 8 + report.epoch} if report.epoch % 2 else {"begin_at": 0.1 * report.epoch}
    trainer.change(
        environment=environment, learning_rate=1e-3 / report.epoch, ent_coef=0.01 * report.epoch,
        update_epochs=1 + report.epoch % 3,
    )  # fmt: skip
    trainer.log("asked length", 8 + report.epoch)


def train(trainer: Trainer, stop: int = EPOCHS) -> dict[int, str]:
    digests = {}
    if trainer.epoch == 0:
        trainer.change(environment={"length": 5}, clip_coef=0.1)
    for report in trainer:
        digests[report.epoch] = trainer.digest
        grow(trainer, report)
        if report.epoch == stop:
            break
    trainer.close()
    return digests


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train(Trainer(Config(**RUN), folder, environment=Line))


def test_settings_change_from_the_next_epoch_on_and_lengths_from_the_next_episodes() -> None:
    trainer = Trainer(Config(**RUN, anneal_lr=False), environment=Line)
    rates, lengths = [], []
    for report in trainer:
        rates.append(report.learning_rate)
        lengths.append(set(report.episode_lengths.tolist()))
        if report.epoch == 2:
            trainer.change(learning_rate=0.5, environment={"length": 20})
    assert rates == [1e-3, 1e-3, *[0.5] * (EPOCHS - 2)]
    assert lengths[:2] == [{8.0}, {8.0}]
    assert {20.0} in lengths and lengths[-1] == {20.0}
    assert trainer.settings.learning_rate == 1e-3
    assert trainer.changes == [Change(2, {"learning_rate": 0.5}, {"length": 20})]


@pytest.mark.parametrize(
    "where",
    [{"workers": 2}, {"vectorization": "workers", "workers": 2, "max_worker_restarts": 1}, {"workers": 4}],
    ids=str,
)
def test_changes_are_the_same_bits_in_workers(where: dict[str, Any], whole: tuple[Path, dict[int, str]]) -> None:
    assert train(Trainer(Config(**RUN, **where), environment=Line)) == whole[1]


@pytest.mark.parametrize("settings", [{"replay": "fresh"}, {"backend": "eager"}], ids=str)
def test_changes_are_resumed_with_other_replays_and_backends(settings: dict[str, Any], tmp_path: Path) -> None:
    expected = train(Trainer(Config(**RUN, **settings), environment=Line))
    train(Trainer(Config(**RUN, **settings), tmp_path / "run", environment=Line), stop=3)
    resumed = train(Trainer.resume(tmp_path / "run", environment=Line))
    assert resumed == {epoch: digest for epoch, digest in expected.items() if epoch > 3}


def test_a_run_stopped_after_any_epoch_goes_on_with_the_same_bits(
    whole: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    for stop in range(1, EPOCHS):
        folder = tmp_path / str(stop)
        train(Trainer(Config(**RUN), folder, environment=Line), stop)
        resumed = train(Trainer.resume(folder, environment=Line))
        assert resumed == {epoch: digest for epoch, digest in whole[1].items() if epoch > stop}
        assert read_changes(folder) == read_changes(whole[0])


SCRIPT = f"""
import os, sys, signal
sys.path.insert(0, {str(ROOT)!r})
from actor_critic import Config, Trainer
from tests.hallway import Hallway
from tests.line import Line
from tests.training.test_changes import RUN, grow
folder = "run"
if os.path.exists(folder):
    trainer = Trainer.resume(folder, environment=Line)
else:
    trainer = Trainer(Config(**RUN), folder, environment=Line)
    trainer.change(environment={{"length": 5}}, clip_coef=0.1)
first = trainer.epoch + 1
for report in trainer:
    print(report.epoch, trainer.digest, flush=True)
    grow(trainer, report)
    if report.epoch == first:
        os.kill(os.getpid(), signal.SIGKILL)  # the next process continues
"""


def test_a_run_killed_after_every_epoch_goes_on_with_the_same_bits(
    nursery: Nursery, whole: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    digests: dict[int, str] = {}
    (tmp_path / "script.py").write_text(SCRIPT)
    for _ in range(EPOCHS):
        process = nursery.python(tmp_path, "script.py")
        process.wait()
        epoch, digest = process.out.split()
        digests[int(epoch)] = digest
    assert digests == whole[1]
    assert verify(tmp_path / "run", from_epoch=0, environment=Line).compared == EPOCHS


def test_a_verification_repeats_the_changes_and_misses_none(whole: tuple[Path, dict[int, str]], tmp_path: Path) -> None:
    folder, _ = whole
    for first in (0, 3, EPOCHS - 1):
        assert verify(folder, from_epoch=first, environment=Line).compared == EPOCHS - first
    other = tmp_path / "run"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    document = json.loads((other / "changes.json").read_text())
    document["changes"][2]["settings"]["learning_rate"] *= 2
    (other / "changes.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="has other changes than the checkpoint"):
        verify(other, from_epoch=0, environment=Line)
    (other / "changes.json").write_text('{"changes": [{"epoch": 1, "settings": {}, "environment": {"__class__": 1}}]}')
    with pytest.raises(CheckpointError, match=r"changes\.json is damaged"):
        verify(other, from_epoch=0, environment=Line)


def test_a_file_of_changes_that_was_edited_is_refused(whole: tuple[Path, dict[int, str]], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for path in whole[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    original = json.loads((folder / "changes.json").read_text())

    def edited(number: int, **values: Any) -> None:
        document = json.loads(json.dumps(original))
        document["changes"][number] |= values
        (folder / "changes.json").write_text(json.dumps(document))

    for values, message in (
        ({"settings": {"learning_rate": 0.5}}, "has other changes than the checkpoint; put them back"),
        ({"settings": {}, "environment": {"_x": 1}}, r"changes\.json is damaged: "),
    ):
        edited(1, **values)
        with pytest.raises(CheckpointError, match=message):
            Trainer.resume(folder, environment=Line)
    for settings in ({"gamma": 0.5}, {"learning_rate": "x"}, {"foo": 1}):
        edited(EPOCHS, settings=settings)  # of the last epoch, which no checkpoint has
        with pytest.raises(CheckpointError, match=r"changes\.json is damaged: "):
            Trainer.resume(folder, environment=Line)


def test_methods_that_a_file_names_are_called_only_with_trust(tmp_path: Path) -> None:
    import gymnasium as gym

    gym.register("Trusted-v0", Line)
    try:
        trainer = Trainer(Config(**RUN, environment="Trusted-v0"), tmp_path / "run")
        for report in trainer:
            trainer.change(environment={"length": 9})
            if report.epoch == 2:
                break
        trainer.close()
        for call in (Trainer.resume, verify):
            with pytest.raises(CheckpointError, match=r"names methods or attributes of the environment: length; add"):
                call(tmp_path / "run")
        assert Trainer.resume(tmp_path / "run", trust_code=True).epoch == 2
    finally:
        del gym.registry["Trusted-v0"]


def test_a_change_that_the_environment_refuses_is_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    trainer = Trainer(Config(**RUN), tmp_path / "run", environment=Line)
    with pytest.raises(EnvironmentFault, match=r"raised in the change begin_at='x' ValueError"):
        for report in trainer:
            if report.epoch == 3:
                trainer.change(environment={"begin_at": "x"})
    assert (trainer.epoch, trainer.changes) == (3, [])
    assert read_changes(tmp_path / "run") == []
    with pytest.raises(ConfigError, match="has no method or attribute 'lenght'"):
        trainer.change(environment={"lenght": 3})  # while no loop runs
    assert [report.epoch for report in trainer] == [4, 5, 6, 7]
    plain = Trainer(Config(**RUN), environment=Line)
    assert [plain.digest for _ in plain][-1] == trainer.digest


class Queue(Line):
    """Takes its values from a list that it empties."""

    def fill(self, items: list[float]) -> None:
        self.start = items.pop() + items.pop()


def test_an_environment_that_changes_its_value_changes_only_its_own() -> None:
    digests = set()
    for where in ({}, {"workers": 2}, {"workers": 4}):
        trainer = Trainer(Config(**RUN, **where), environment=Queue)
        trainer.change(environment={"fill": [0.1, 0.2, 0.3]})
        digests.add([trainer.digest for _ in trainer][-1])
        assert trainer.changes[0].environment == {"fill": [0.1, 0.2, 0.3]}
    assert len(digests) == 1


def test_what_is_logged_stands_beside_the_metrics(whole: tuple[Path, dict[int, str]]) -> None:
    history = Run.open(whole[0], environment=Line).history()
    np.testing.assert_array_equal(history["asked length"], 8 + np.arange(1, EPOCHS + 1))
    trainer = Trainer(Config(**RUN), environment=Line)
    trainer.log("before", 3)
    for report in trainer:
        assert report.logged["before"] == 3
        trainer.log("twice", np.float32(2 * report.epoch))
    assert report.logged["twice"] == 2 * EPOCHS - 2
    assert "before" not in Run.of(trainer, []).history()
    for name, value in (("mean_return", 1), ("a,b", 1), ("", 1), (3, 1), ("x", "y"), ("x", None), ("x", 10**400)):
        with pytest.raises(ConfigError, match=r"^log: "):
            trainer.log(name, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": 0.9}, "change: gamma cannot change during a run; these can: learning_rate, clip_coef"),
        ({"lr": 0.1}, "change: unknown setting 'lr'; it is called 'learning_rate' here"),
        ({"learning_rate": -1}, "learning_rate: -1 is not allowed; expected a finite number above 0"),
        ({"clip_coef": "off"}, "change: clip_coef='off' is not allowed; it is on"),
        ({"clip_rewards": 3.0}, "change: clip_rewards=3.0 is not allowed; it is off"),
        ({"clip_rewards": "off"}, "change: clip_rewards='off' is not allowed; it is off"),
        (
            {"environment": {"lenght": 3}},
            "environment: Line has no method or attribute 'lenght'; did you mean 'length'",
        ),
        ({"environment": {"_t": 3}}, "change: environment: '_t' is not allowed"),
        ({"environment": {"length": object()}}, "environment_kwargs: .* is not allowed; expected JSON values"),
    ],
)
def test_what_cannot_change_is_refused_and_nothing_changes(changes: dict[str, Any], message: str) -> None:
    trainer = Trainer(Config(**RUN), environment=Line)
    with pytest.raises(ConfigError, match=message):
        trainer.change(**changes)
    assert trainer.changes == []
    trainer.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "environment: gravity cannot change in random states"),
        ({"environment": "CartPole-v1"}, "environment: gravity cannot change with vectorization compiled"),
        ({"environment": "CartPole-v1", "vectorization": "native"}, "environment: gravity cannot change with"),
        ({"environment": "CartPole-v1", "vectorization": "sync", "overlap": True}, "cannot change with overlap"),
    ],
)
def test_environments_that_cannot_change_say_so(settings: dict[str, Any], message: str) -> None:
    trainer = Trainer(Config(**settings, num_epochs=1))
    with pytest.raises(ConfigError, match=message):
        trainer.change(environment={"gravity": 3})
    trainer.close()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    folder = tmp_path_factory.mktemp("compiled") / "run"
    trainer = Trainer(Config(**RUN), folder, environment=Hallway)
    assert trainer.settings.vectorization == "compiled"
    return folder, train(trainer)


def test_parameters_of_a_compiled_environment_change_with_the_next_episodes() -> None:
    trainer = Trainer(Config(**RUN, anneal_lr=False), environment=Hallway)
    lengths = []
    for report in trainer:
        lengths.append(report.episode_lengths.tolist())
        if report.epoch == 2:
            trainer.change(environment={"length": 20})
        if report.epoch == 3:  # within episodes of 20 steps
            trainer.change(environment={"length": 3})
    assert {*lengths[0], *lengths[1]} == {8.0}
    assert lengths[2] == [8.0] * 4 + [20.0] * 4  # 32 steps each; the episode of 8 had begun with the change
    assert lengths[3][:4] == [20.0] * 4 and {*lengths[3][4:], *lengths[4]} == {3.0}


@pytest.mark.parametrize("settings", [{"vectorization": "sync"}, {"vectorization": "workers", "workers": 2}], ids=str)
def test_changes_are_the_same_bits_in_python_and_compiled(
    settings: dict[str, Any], compiled: tuple[Path, dict[int, str]]
) -> None:
    trainer = Trainer(Config(**RUN, **settings), environment=Hallway)
    trainer.change(environment={"length": 5}, clip_coef=0.1)
    reference = Trainer(Config(**RUN), environment=Hallway)
    reference.change(environment={"length": 5}, clip_coef=0.1)
    for report, other in zip(trainer, reference, strict=True):
        np.testing.assert_array_equal(report.episode_returns, other.episode_returns)
        np.testing.assert_array_equal(report.episode_lengths, other.episode_lengths)
        assert (report.policy_loss, report.value_loss) == (other.policy_loss, other.value_loss)
        grow(trainer, report)
        grow(reference, other)


def test_a_compiled_run_with_changes_goes_on_with_the_same_bits(
    compiled: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    for stop in range(1, EPOCHS):
        folder = tmp_path / str(stop)
        train(Trainer(Config(**RUN), folder, environment=Hallway), stop)
        resumed = train(Trainer.resume(folder, environment=Hallway))
        assert resumed == {epoch: digest for epoch, digest in compiled[1].items() if epoch > stop}
    for first in (0, 3, EPOCHS - 1):
        assert verify(compiled[0], from_epoch=first, environment=Hallway).compared == EPOCHS - first


def test_a_compiled_environment_keeps_only_the_parameters_in_use() -> None:
    environment = FunctionalVectorEnv(Hallway(), 3, PythonExecutor(Hallway()))
    environment.begin(1)
    changes: list[dict[str, Any]] = []
    for number in range(1, 40):
        changes.append({"length": 2 + number % 2})
        environment.change(changes)
        for _ in range(4):
            environment.step_indices(np.zeros((3, 1), np.int64))
        assert len(environment.episodes.parameters) <= 3
        state = environment.save_state()
        other = FunctionalVectorEnv(Hallway(), 3, PythonExecutor(Hallway()))
        other.change(changes)
        other.load_state(state)
        for mine, its in zip(environment.save_state().items(), other.save_state().items(), strict=True):
            assert mine[0] == its[0]
            np.testing.assert_array_equal(mine[1], its[1])
    state["functional.versions"] = np.array([0, 1, 40])
    with pytest.raises(ValueError, match=r"functional\.versions are not those"):
        other.load_state(state)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"lenght": 3}, "Hallway has no method or attribute 'lenght'; did you mean 'length'"),
        ({"length": "long"}, "length='long' of Hallway; expected int64"),
        ({"pull": [1.0, 2.0, 3.0]}, r"pull=\[1.0, 2.0, 3.0\] of Hallway; expected the shape \(2,\)"),
        ({"lengthen": [1.0, 2.0, 3.0]}, "lengthen changes the shape of a parameter of Hallway"),
        (
            {"max_episode_steps": 3},
            "max_episode_steps of Hallway is no parameter, and nothing else changes",
        ),
        ({"begin_at": "x"}, "Hallway raised in the change begin_at='x' ValueError"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_are_refused_and_nothing_changes(environment: dict[str, Any], message: str) -> None:
    trainer, plain = (Trainer(Config(**RUN), environment=Hallway) for _ in range(2))
    with pytest.raises((ConfigError, EnvironmentFault), match=message):
        trainer.change(environment=environment)
    assert trainer.changes == []
    assert [trainer.digest for _ in trainer] == [plain.digest for _ in plain]
