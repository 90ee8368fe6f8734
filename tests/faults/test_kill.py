"""kill -9: what a killed run comes to when it is taken up again."""

import random
import shutil
from pathlib import Path

import pytest

from tests.faults import tracing
from tests.faults.conftest import Campaign
from tests.faults.short_runs import (
    Uninterrupted,
    best_is_kept,
    digests,
    metrics,
    resume,
    run_in,
    temporaries,
    train,
    wait_for_a_moment,
)
from tests.faults.tracing import Call
from tests.nursery import Nursery

EPOCHS = 6  # of the runs that are killed inside a save
CONFIGURATIONS = [
    {"environment": environment, "backend": backend, "overlap": overlap, "workers": workers}
    for workers in (1, 2)
    for environment in ("Acrobot-v1", "tests.toys:Sampled-v0")
    for backend in ("eager", "fused")
    for overlap in (False, True)
]
SAMPLED = (0, 5, 11)  # each kind in one of them


@pytest.mark.parametrize("settings", CONFIGURATIONS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_a_killed_run_goes_on_to_the_same_digest_of_every_epoch(
    settings: dict[str, object], campaign: Campaign, nursery: Nursery, uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    has_workers = settings["workers"] == 2
    for seed in campaign.tries(
        "kill -9 at random moments", int(CONFIGURATIONS.index(settings) in SAMPLED), 5 if has_workers else 20
    ):
        alone = {"workers": 1, "vectorization": "sync"} if has_workers else {}  # the same bits from any number
        expected = uninterrupted(**settings | alone)
        chance = random.Random(f"{settings} {seed}")
        folder = tmp_path / str(seed)
        is_early, is_again = chance.random() < 0.1, chance.random() < 0.3
        while not _killed(nursery, folder, train(**settings), chance, is_early):
            shutil.rmtree(folder)
        if is_early and not list(folder.glob("checkpoints_*/epoch_*")):
            shutil.rmtree(folder)  # nothing was kept: the run is begun again
            assert nursery.run(folder, *train(**settings)) == (0, "")
        if is_again and len(digests(folder)) < len(expected):
            _killed(nursery, folder, resume(folder), chance)
        assert digests(folder).items() <= expected.items()
        process = nursery.start(folder, *resume(folder))
        assert (process.wait(), process.err, process.left_behind()) == (0, "", [])
        assert digests(folder) == expected
        assert best_is_kept(folder)
        assert not temporaries(folder)


def _killed(nursery: Nursery, folder: Path, command: list[str], chance: random.Random, is_early: bool = False) -> bool:
    """Start a command and kill it at a random moment; False where it ended before."""
    process = nursery.start(folder, *command)
    was_going = wait_for_a_moment(process, folder, chance, is_early)
    process.kill()
    assert process.left_behind() == []
    return was_going


@pytest.fixture(scope="module")
def saving(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The system calls of six saves."""
    folder = tmp_path_factory.mktemp("traced")
    process = tracing.start(nursery, folder, train(num_epochs=EPOCHS))
    assert process.wait() == 0
    calls = [call for call in tracing.read(folder, process.pid) if "/checkpoints_" in call.path and call.is_main]
    (first, *_, last) = [number for number, call in enumerate(calls) if call.path.endswith("safetensors")]
    return calls[first : last + 1]


@pytest.mark.skipif(bool(tracing.why_not()), reason=tracing.why_not())
@pytest.mark.parametrize("part", range(2))
def test_a_run_killed_inside_a_save_goes_on_to_the_same_digests(
    part: int, saving: list[Call], campaign: Campaign, nursery: Nursery, uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    expected = {epoch: digest for epoch, digest in uninterrupted().items() if epoch <= EPOCHS}
    for seed in campaign.tries("kill -9 inside a save", 2, 25):
        folder = tmp_path / str(seed)
        call = random.Random(f"{part} {seed}").choice(saving)
        print(call.name, call.number, Path(call.path).name)
        fault = f"inject={call.name}:signal=SIGKILL:when={call.number}"
        assert tracing.start(nursery, folder, train(num_epochs=EPOCHS), fault).wait() == -9
        kept = digests(folder)
        assert kept.items() <= expected.items()
        again = nursery.start(folder, *resume(folder))
        if not kept and not (run_in(folder) / "best.safetensors").exists():
            assert (again.wait(), again.err.count("error: ")) == (4, 1)  # killed in its first save
            continue
        assert (again.wait(), again.err) == (0, "")
        assert digests(folder).items() >= {epoch: expected[epoch] for epoch in range(2, EPOCHS + 1)}.items()
        assert digests(folder).items() <= expected.items()
        assert [row["digest"] for row in metrics(folder)] == list(expected.values())
        assert best_is_kept(folder)
        assert not temporaries(folder)
