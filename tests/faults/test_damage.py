"""Damaged checkpoints: a run goes on from the newest one that is whole, and names every one that is not."""

import random
import shutil
from pathlib import Path

import pytest

from actor_critic import Config, Trainer
from actor_critic.errors import CheckpointError
from actor_critic.storage import runs
from actor_critic.storage.checkpoints import load
from tests.faults.conftest import Campaign
from tests.faults.test_resume import RUN, finish

FAULT = "truncated, bit-flipped, zero-filled, spliced checkpoint files"
EPOCHS = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five epochs, a checkpoint of each."""
    return _trained(tmp_path_factory.mktemp("damage") / "run", seed=1)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another run with the same sizes."""
    return _trained(tmp_path_factory.mktemp("damage") / "other", seed=2)


def _trained(folder: Path, seed: int) -> Path:
    settings = RUN | {"environment": "CartPole-v1", "num_epochs": EPOCHS, "seed": seed, "evaluation_episodes": 1}
    finish(Trainer(Config(**settings), folder))
    return folder


def damaged(chance: random.Random, good: bytes, strangers: list[bytes]) -> bytes:
    """A file cut short or made longer, with bits turned or zeros in it, or put together from two."""
    size = len(good)
    at = chance.randrange(size)
    until = min(size, at + chance.choice([1, 8, 512, 4096, size]))
    match chance.randrange(8):
        case 0:
            return good[:at]
        case 1:
            return good + bytes(chance.choice([1, 8, 4096]))
        case 2 | 3:
            bad = bytearray(good)
            for _ in range(chance.choice([1, 1, 2, 64])):
                bad[chance.randrange(size)] ^= 1 << chance.randrange(8)
            return bytes(bad)
        case 4:
            return good[:at] + bytes(until - at) + good[until:]
        case 5:
            return bytes(size)
        case 6:
            stranger = chance.choice(strangers)
            return good[:at] + stranger[at:]
        case _:
            stranger = chance.choice(strangers)
            return good[:at] + stranger[at:until] + good[until:]


def test_the_newest_whole_checkpoint_is_taken_and_the_others_are_named(
    run: Path, other: Path, campaign: Campaign, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    files = [path for _, path in reversed(runs.periodic(folder))]
    # Copying the run made a file of its own of the last, which was a second name of the newest.
    good = {path: path.read_bytes() for path in [*files, folder / "last.safetensors", folder / "best.safetensors"]}
    strangers = [path.read_bytes() for source in (run, other) for _, path in runs.periodic(source)]
    expected = {path: load(path).digest for path in good}
    for seed in campaign.tries(FAULT, 150, 1500):
        chance = random.Random(seed)
        count = chance.choice([1, 1, 1, 2, 2, 3, EPOCHS, EPOCHS + 1, len(good)])
        bad = {}
        for path in [*good][:count]:
            while bad.get(path, good[path]) in (good[path], *strangers):  # two equal bytes change places now and then
                bad[path] = damaged(chance, good[path], strangers)
            path.write_bytes(bad[path])
        if count == len(good):
            with pytest.raises(CheckpointError) as caught:
                Trainer.resume(folder)
            assert all(str(path) in str(caught.value) for path in good)
        else:
            path, checkpoint, passed_over = runs.newest_sound(folder)
            assert path == [*good][count]
            assert checkpoint.digest == expected[path]
            assert len(passed_over) == count
            assert all(str(one) in why for one, why in zip(bad, passed_over, strict=True))
            if seed % 10 == 0:
                resumed = Trainer.resume(folder)
                assert resumed.epoch == checkpoint.counters["epoch"] > 0
                resumed.close()
                (folder / "settings.json").write_bytes((run / "settings.json").read_bytes())
        for path in bad:
            path.write_bytes(good[path])
