"""Ctrl-C and failures in a program's loop: the epoch ends and is kept, or the run is back at the state before it."""

import signal
import time
from pathlib import Path

import gymnasium as gym
import pytest

from actor_critic import Config, EnvironmentFault, Trainer, evaluate
from actor_critic.process.interrupts import Interrupted
from actor_critic.storage.runs import newest_sound
from tests import toys
from tests.nursery import Nursery, wait_until
from tests.plain import PLAIN

RUN = {
    "environment": "Interrupting-v0", **PLAIN, "num_envs": 2, "num_steps": 16, "num_epochs": 8,
    "hidden_dim": 8, "seed": 3, "replay": "reset", "checkpoint_interval": 100, "evaluation_episodes": 2,
}  # fmt: skip


class Interrupting(toys.Sampled):
    """Does something once, at a step of its class."""

    at: int | None = None
    steps = 0
    what = staticmethod(lambda: None)

    def step(self, action):  # type: ignore[no-untyped-def]
        cls = type(self)
        cls.steps += 1
        if cls.steps == cls.at:
            cls.at = None
            cls.what()
        return super().step(action)


gym.register("Interrupting-v0", Interrupting)


def _at(step: int | None, what: object = lambda: None) -> None:
    Interrupting.steps, Interrupting.at, Interrupting.what = 0, step, staticmethod(what)  # type: ignore[assignment,arg-type]


def _press() -> None:
    signal.raise_signal(signal.SIGINT)


def _press_twice() -> None:
    _press()
    _press()


def _fail() -> None:
    raise RuntimeError("the port is closed")


def _straight(**changes: object) -> dict[int, str]:
    _at(None)
    trainer = Trainer(Config(**RUN | changes))
    return {report.epoch: trainer.digest for report in trainer}


WAYS = {
    "in turn": {},
    "overlapped": {"overlap": True, "algorithm": "ppo", "clip_coef": 0.2},
    "normalised": {"normalize_observations": True, "normalize_rewards": True, "memory": "gru"},
}


@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "not kept"])
def test_ctrl_c_ends_the_epoch_and_the_next_iteration_goes_on_exactly(
    is_kept: bool, changes: dict[str, object], tmp_path: Path
) -> None:
    expected = _straight(**changes)
    trainer = Trainer(Config(**RUN | changes), tmp_path / "run" if is_kept else None)
    _at(32 * 3 + 9, _press)  # in the fourth rollout
    seen = {}
    with pytest.raises(KeyboardInterrupt) as caught:
        for report in trainer:
            seen[report.epoch] = trainer.digest
    assert caught.type is Interrupted
    reached = 3 if changes.get("overlap") else 4  # a rollout is collected during the epoch before it
    assert (trainer.epoch, trainer.digest) == (reached, expected[reached])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_kept:
        assert newest_sound(tmp_path / "run")[1].digest == expected[reached]
    for report in trainer:
        seen[report.epoch] = trainer.digest
    assert seen == {epoch: digest for epoch, digest in expected.items() if epoch != reached}
    if is_kept:
        rows = (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == [str(epoch) for epoch in range(1, 9)]


@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("what", "kind"), [(_press_twice, Interrupted), (_fail, EnvironmentFault)])
def test_an_epoch_that_is_cut_short_leaves_the_run_at_the_state_before_it(
    what: object, kind: type[BaseException], changes: dict[str, object], tmp_path: Path
) -> None:
    expected = _straight(**changes)
    trainer = Trainer(Config(**RUN | changes), tmp_path / "run")
    _at(32 * 3 + 9, what)
    seen = {}
    with pytest.raises(kind):
        for report in trainer:
            seen[report.epoch] = trainer.digest
    reached = max(seen)
    assert reached in (2, 3)
    assert (trainer.epoch, trainer.digest) == (reached, expected[reached])
    assert newest_sound(tmp_path / "run")[1].digest == expected[reached]
    trainer.close()
    resumed = Trainer.resume(tmp_path / "run")
    assert {report.epoch: resumed.digest for report in resumed} == {e: d for e, d in expected.items() if e > reached}


def test_a_run_without_a_folder_goes_on_from_before_an_error() -> None:
    expected = _straight()
    trainer = Trainer(Config(**RUN))
    for at in (5, 32 * 3 + 9):  # in the first epoch, and in the third of those that are left
        _at(at, _fail)
        with pytest.raises(EnvironmentFault, match="the port is closed"):
            list(trainer)
    assert (trainer.epoch, trainer.digest) == (3, expected[3])
    assert [report.epoch for report in trainer] == [4, 5, 6, 7, 8]
    assert trainer.digest == expected[8]


def test_where_keeping_a_state_is_dear_a_run_goes_back_to_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_critic.training.run_state._SNAPSHOT_SECONDS", -1.0)
    monkeypatch.setattr("actor_critic.training.run_state._SNAPSHOT_SHARE", 0.0)
    expected = _straight(checkpoint_interval=2)
    trainer = Trainer(Config(**RUN | {"checkpoint_interval": 2}), tmp_path / "run")
    _at(32 * 5 + 9, _fail)
    with pytest.raises(EnvironmentFault, match="the port is closed"):
        list(trainer)
    # What was kept last is the checkpoint of the fourth epoch; nothing newer is set aside for it.
    assert (trainer.epoch, trainer.digest) == (4, expected[4])
    assert newest_sound(tmp_path / "run")[1].digest == expected[4]
    assert not list((tmp_path / "run").glob("*.passed_over"))
    assert [report.epoch for report in trainer] == [5, 6, 7, 8]
    assert trainer.digest == expected[8]


def test_workers_that_died_between_two_epochs_cost_what_came_after_the_state_kept_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _straight()
    trainer = Trainer(Config(**RUN), tmp_path / "run")

    def lost() -> None:
        raise EnvironmentFault("a worker died")

    with pytest.raises(ZeroDivisionError):
        for report in trainer:
            if report.epoch == 3:
                monkeypatch.setattr(trainer._state.source, "save_state", lost)
                raise ZeroDivisionError
    assert (trainer.epoch, trainer.digest) == (2, expected[2])
    assert newest_sound(tmp_path / "run")[1].digest == expected[2]
    assert [report.epoch for report in trainer] == [3, 4, 5, 6, 7, 8]
    assert trainer.digest == expected[8]


def test_ctrl_c_in_the_body_of_a_loop_is_a_keyboard_interrupt_at_once() -> None:
    _at(None)
    expected = _straight()
    trainer = Trainer(Config(**RUN))
    with pytest.raises(KeyboardInterrupt):
        for report in trainer:
            if report.epoch == 3:
                _press()
                time.sleep(10)
    assert (trainer.epoch, trainer.digest) == (3, expected[3])
    assert [report.epoch for report in trainer] == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("place", ["set-up", "trial", "start", "evaluation"])
def test_ctrl_c_while_a_run_is_set_up_or_evaluated_is_no_fault_of_an_environment(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object, **__: object) -> None:
        _press()
        time.sleep(10)

    _at(None)
    trainer = Trainer(Config(**RUN))
    name = {"set-up": "__init__", "trial": "step", "start": "reset", "evaluation": "step"}[place]
    monkeypatch.setattr(Interrupting, name, pressed)
    with pytest.raises(Interrupted):
        if place == "start":
            list(trainer)
        elif place == "evaluation":
            evaluate(trainer.agent)
        else:
            Trainer(Config(**RUN | {"replay": "auto"}))


def test_a_program_that_handles_ctrl_c_itself_goes_on_to_do_so() -> None:
    received = []
    previous = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        _at(32 * 3 + 9, _press_twice)
        assert [report.epoch for report in Trainer(Config(**RUN))] == list(range(1, 9))
    finally:
        signal.signal(signal.SIGINT, previous)
    assert received == [signal.SIGINT] * 2


SCRIPT = """
from actor_critic import Config, Trainer
t = Trainer(Config(environment="CartPole-v1", num_envs=4, num_steps=500, num_epochs=400, seed=1), run_folder="run")
try:
    for r in t:
        print(r.epoch, flush=True)
except KeyboardInterrupt:
    print("interrupted", t.epoch, flush=True)
for r in t:
    break
print("went on to", r.epoch)
"""


def test_a_script_that_a_person_interrupts_keeps_its_epoch_and_goes_on(nursery: Nursery, tmp_path: Path) -> None:
    process = nursery.python(tmp_path, "-c", SCRIPT)
    wait_until(lambda: "\n5\n" in process.out, "epoch 5")
    process.send(signal.SIGINT)
    assert process.wait() == 0
    *_, interrupted, went_on = process.out.splitlines()
    reached = int(interrupted.removeprefix("interrupted "))
    assert 5 <= reached < 400
    assert went_on == f"went on to {reached + 1}"
    assert newest_sound(tmp_path / "run")[1].counters["epoch"] == reached + 1
