"""Power loss: what a disk may hold afterwards, worked out from the system calls of a true run."""

import csv
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actor_critic.errors import CheckpointError
from actor_critic.storage.metrics import _rows_until
from actor_critic.storage.runs import newest_sound
from actor_critic.training.report import METRICS
from tests.faults import tracing
from tests.faults.conftest import Campaign
from tests.faults.short_runs import Uninterrupted, train
from tests.faults.tracing import Call
from tests.nursery import Nursery

pytestmark = pytest.mark.skipif(bool(tracing.why_not()), reason=tracing.why_not())


@dataclass
class Inode:
    """What was written to a file, and how many of these writes are known to be on the disk."""

    writes: list[bytes] = field(default_factory=list)
    durable: int = 0


GONE = Inode()


class Disk:
    """A disk that keeps what was synced, and of all else what chance decides, in any order.

    POSIX promises no more: that an fsync of a file makes its content durable, that an fsync of a folder makes its names
    durable, and that a rename happens or does not.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Inode | None] = {}  # as the running process sees it
        self._durable: dict[str, Inode | None] = {}
        self._waiting: list[dict[str, Inode | None]] = []  # changes of names that no fsync made durable

    def do(self, call: Call) -> None:
        """What one system call does."""
        match call.name:
            case "mkdir":
                self._name({call.path: None})
            case "openat" if call.is_new and call.path not in self._seen:
                self._name({call.path: Inode()})
            case "write" if inode := self._seen.get(call.path):
                inode.writes.append(call.data)
            case "fsync" if inode := self._seen.get(call.path):
                inode.durable = len(inode.writes)
            case "fsync":
                for change in self._waiting:
                    if os.path.dirname(next(iter(change))) == call.path:
                        _apply(change, self._durable)
                self._waiting = [c for c in self._waiting if os.path.dirname(next(iter(c))) != call.path]
            case "rename":
                self._name({call.target: self._seen[call.path], call.path: GONE})
            case "link" | "linkat":
                self._name({call.target: self._seen[call.path]})
            case "unlink":
                self._name({call.path: GONE})

    def _name(self, change: dict[str, Inode | None]) -> None:
        _apply(change, self._seen)
        self._waiting.append(change)

    def lose_power(self, folder: str, chance: random.Random) -> dict[str, bytes]:
        """The files in a folder when the power is back."""
        names = dict(self._durable)
        for change in self._waiting:
            if chance.random() < 0.5:
                _apply(change, names)
        contents: dict[int, bytes] = {}  # two names of one file hold the same
        for path, inode in names.items():
            if inode is not None and folder in names and os.path.dirname(path) == folder:
                contents.setdefault(id(inode), _content(inode, chance))
        return {os.path.basename(path): contents[id(inode)] for path, inode in names.items() if id(inode) in contents}


def _apply(change: dict[str, Inode | None], names: dict[str, Inode | None]) -> None:
    for path, inode in change.items():
        names[path] = inode
        if inode is GONE:
            del names[path]


def _content(inode: Inode, chance: random.Random) -> bytes:
    """Every write that was not synced is there, is not, or is torn; what is missing may read as zeros."""
    synced, content = b"".join(inode.writes[: inode.durable]), b""
    for data in inode.writes[inode.durable :]:
        kept = {"kept": len(data), "lost": 0, "torn": chance.randrange(len(data) + 1)}
        content += data[: kept[chance.choice(list(kept))]].ljust(len(data), b"\0")
    return synced + (content if chance.random() < 0.5 else content.rstrip(b"\0"))


@pytest.fixture(scope="module")
def calls(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Three epochs of which only the newest stays."""
    folder = tmp_path_factory.mktemp("traced")
    process = tracing.start(nursery, folder, train(num_epochs=3, keep_checkpoints=1))
    assert process.wait() == 0
    return [call for call in tracing.read(folder, process.pid) if not call.has_failed]


@pytest.mark.parametrize("part", range(2))
def test_after_a_power_loss_the_old_or_the_new_checkpoint_is_there(
    part: int, calls: list[Call], campaign: Campaign, uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    expected = uninterrupted()
    folder = next(call.path for call in calls if call.name == "mkdir")
    points = 0
    for seed in campaign.tries("power loss during a save", 2, 25):
        disk, saved, begun = Disk(), 0, 0
        for number, call in enumerate(calls):
            disk.do(call)
            if call.name == "rename" and "/epoch_" in call.target:
                begun = int(call.target[-18:-12])
            if call.name == "fsync" and call.path == folder:
                saved = begun
            chance = random.Random(f"{part} {seed} {number}")
            _check(disk.lose_power(folder, chance), saved, expected, tmp_path / f"{seed} {number}")
            points += 1
    campaign.survived("power loss during a save", points - points // len(calls))  # each point is a try


def _check(files: dict[str, bytes], saved: int, expected: dict[int, str], folder: Path) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        _, checkpoint, _ = newest_sound(folder)
    except CheckpointError:
        assert saved == 0
        return
    epoch = checkpoint.counters["epoch"]
    assert epoch in (saved, saved + 1)
    assert checkpoint.digest == expected[epoch]
    rows = csv.DictReader(_rows_until(folder / "metrics.csv", [*METRICS, "digest"], epoch).decode().splitlines())
    assert [row["digest"] for row in rows] == [expected[number] for number in range(1, epoch + 1)]
    assert (folder / "settings.json").stat().st_size


def test_a_program_that_syncs_nothing_loses_its_checkpoint_on_this_disk(calls: list[Call], tmp_path: Path) -> None:
    folder = next(call.path for call in calls if call.name == "mkdir")
    disk = Disk()
    for call in calls:
        if call.name != "fsync" or call.path == str(Path(folder).parent):
            disk.do(call)
    found = [disk.lose_power(folder, random.Random(seed)).get("epoch_000003.safetensors") for seed in range(20)]
    assert None in found
    assert len({content for content in found if content}) > 1
