"""SIGINT and SIGTERM: a run that is asked to stop ends its epoch, saves once, and leaves nothing running."""

import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from actor_critic.storage.runs import newest_sound, periodic
from tests.faults.conftest import Campaign
from tests.faults.short_runs import (
    EPOCHS,
    Uninterrupted,
    digests,
    resume,
    run_in,
    temporaries,
    train,
    wait_for_a_moment,
)
from tests.nursery import Nursery, Process, wait_until

FAULT = "SIGTERM and SIGINT at random moments"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
CONFIGURATIONS = [
    {"environment": environment, "backend": backend, "overlap": overlap, "workers": workers}
    for workers, environment in ((1, "Acrobot-v1"), (2, "tests.toys:Sampled-v0"))
    for backend in ("eager", "fused")
    for overlap in (False, True)
]


@pytest.mark.parametrize("settings", CONFIGURATIONS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_a_stopped_run_goes_on_to_the_same_digest_of_every_epoch(
    settings: dict[str, object], campaign: Campaign, nursery: Nursery, uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    has_workers = settings["workers"] == 2
    for seed in campaign.tries(FAULT, int(CONFIGURATIONS.index(settings) in (0, 3)), 5 if has_workers else 20):
        expected = uninterrupted(**settings | {"workers": 1})
        chance = random.Random(f"{settings} {seed}")
        folder, number = tmp_path / str(seed), chance.choice(SIGNALS)
        while not _stopped(nursery, folder, train(**settings), number, chance):
            shutil.rmtree(folder)
        if len(digests(folder)) < EPOCHS:
            _stopped(nursery, folder, resume(folder), chance.choice(SIGNALS), chance)
        assert digests(folder).items() <= expected.items()
        process = nursery.start(folder, *resume(folder))
        assert (process.wait(), process.err, process.left_behind()) == (0, "", [])
        assert digests(folder) == expected


def _stopped(nursery: Nursery, folder: Path, command: list[str], number: int, chance: random.Random) -> bool:
    """Start a command and ask it to stop at a random moment; False where it was over before."""
    before = list(folder.glob("checkpoints_*/epoch_*"))
    process = nursery.start(folder, *command)
    if not wait_for_a_moment(process, folder, chance):
        return False
    process.send(number, to_all=chance.random() < 0.5)
    if process.wait() == 0:  # it was saying its last words
        return False
    if process.wait() == 128 + number and not process.err:
        _check_stopped(process, folder)
    else:  # before its first epoch or after its last word, when a signal means what it means to any program
        assert process.wait() in (128 + number, -number)
        assert process.err in ("", "\nerror: interrupted\n")
        assert "kept in checkpoints_" in process.out or list(folder.glob("checkpoints_*/epoch_*")) == before
    assert process.left_behind() == []
    return True


def _check_stopped(process: Process, folder: Path) -> None:
    (log,) = folder.glob("*.log")
    path, checkpoint, passed_over = newest_sound(run_in(folder))
    assert not passed_over
    assert not temporaries(folder)
    assert re.findall(r"ended after epoch (\d+)", log.read_text())[-1] == str(checkpoint.counters["epoch"])
    assert (run_in(folder) / "last.safetensors").samefile(path)
    assert process.err == ""


@pytest.mark.parametrize(
    ("number", "how"),
    [(signal.SIGINT, {}), (signal.SIGTERM, {"overlap": True}), (signal.SIGTERM, {"workers": 2, "overlap": True})],
    ids=str,
)
def test_the_first_signal_ends_the_epoch_with_one_checkpoint_and_a_second_ends_the_process(
    number: int, how: dict[str, object], nursery: Nursery, tmp_path: Path
) -> None:
    # An epoch takes a third of a second; a trial of replays would take seconds.
    slow = {"environment": "tests.toys:Slow-v0", "replay": "reset"}
    command = train(checkpoint_interval=1000, num_epochs=1000, **slow, **how)
    for count in (1, 2):
        folder = tmp_path / str(count)
        process = nursery.start(folder, *command)
        wait_until(lambda folder=folder: any("epoch 1/" in log.read_text() for log in folder.glob("*.log")), "an epoch")
        time.sleep(0.1)
        process.send(number)
        if count == 2:
            began = time.monotonic()
            time.sleep(0.02)
            process.send(number)
            assert process.wait() == -number  # which a shell calls 128 + number
            assert time.monotonic() - began < 0.2
            assert not periodic(run_in(folder))
        else:
            assert process.wait() == 128 + number
            ((epoch, _),) = periodic(run_in(folder))
            assert newest_sound(run_in(folder))[1].counters["epoch"] == epoch
            _check_stopped(process, folder)
        assert process.left_behind() == []
