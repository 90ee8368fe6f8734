"""Disks that refuse: each system call by which a run writes fails once, and whole disks stay full."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from actor_critic.storage.runs import periodic
from tests.faults import tracing
from tests.faults.conftest import Campaign
from tests.faults.short_runs import Uninterrupted, digests, metrics, resume, run_in, temporaries, train
from tests.faults.tracing import Call
from tests.nursery import Nursery

FAULT = "disk faults at each I/O call"
EPOCHS = 2
SETTINGS: dict[str, Any] = {"num_epochs": EPOCHS, "keep_checkpoints": 1}
FAULTS = [
    *[("write", error) for error in ("ENOSPC", "EDQUOT", "EIO")],
    *[("openat", error) for error in ("EROFS", "EACCES", "EIO")],
    *[("fsync", error) for error in ("EIO", "ENOSPC")],
    *[("rename", error) for error in ("EROFS", "EIO")],
    *[("unlink", error) for error in ("EROFS", "EIO")],
    *[("link", error) for error in ("EPERM", "EIO")],
    *[("mkdir", error) for error in ("EACCES", "ENOSPC")],
]
SAMPLED = [
    ("write", "ENOSPC", "stop"),
    ("write", "EIO", "continue"),
    ("fsync", "EIO", "stop"),
    ("rename", "EROFS", "stop"),
]
needs_strace = pytest.mark.skipif(bool(tracing.why_not()), reason=tracing.why_not())


@pytest.fixture(scope="module")
def calls(nursery: Nursery, uninterrupted: Uninterrupted, tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Every call about a file of a run that nothing happens to."""
    uninterrupted()  # compiles: a run that takes longer than its figures wait to be written makes other calls
    folder = tmp_path_factory.mktemp("traced")
    process = tracing.start(nursery, folder, train(**SETTINGS))
    assert process.wait() == 0
    assert digests(folder)
    found = tracing.read(folder, process.pid)
    return [call for call in found if call.path.startswith(str(folder)) and Path(call.path).name not in ("out", "err")]


@needs_strace
@pytest.mark.parametrize("policy", ["stop", "continue"])
@pytest.mark.parametrize(("name", "error"), FAULTS)
def test_a_call_that_fails_is_one_error_and_the_run_goes_on_from_its_checkpoint(
    name: str,
    error: str,
    policy: str,
    calls: list[Call],
    campaign: Campaign,
    nursery: Nursery,
    uninterrupted: Uninterrupted,
    tmp_path: Path,
) -> None:
    expected = uninterrupted()
    chosen = [call for call in calls if call.name == name]
    if not campaign.is_whole:
        chance = random.Random(f"{name} {error} {policy}")
        chosen = chance.sample(chosen, int((name, error, policy) in SAMPLED))
    begun = next(number for number, call in enumerate(calls) if ".metrics.csv" in call.path)
    for call in chosen:
        print(call)
        folder = tmp_path / str(call.number)
        fault = f"inject={name}:error={error}:when={call.number}"
        process = tracing.start(nursery, folder, train(**SETTINGS, on_checkpoint_error=policy), fault)
        code = process.wait()
        assert re.search(rf"{folder}|checkpoints_", injected(folder))
        assert code in codes(call, error, policy, is_kept=calls.index(call) >= begun)
        assert process.err.count("error: ") == (code != 0)
        assert "Traceback" not in process.err
        assert not temporaries(folder)
        if code == 2:
            assert not list(folder.glob("checkpoints_*"))
        elif periodic(run_in(folder)):
            assert digests(folder).items() <= expected.items()
            again = nursery.start(folder, *resume(folder))
            assert (again.wait(), again.err) == (0, "")
            assert digests(folder) == {EPOCHS: expected[EPOCHS]}
            assert [row["digest"] for row in metrics(folder)] == [expected[epoch] for epoch in range(1, EPOCHS + 1)]
            assert (run_in(folder) / "evaluation.json").is_file()
        else:
            assert code == 4
    campaign.survived(FAULT, len(chosen))


def injected(folder: Path) -> str:
    """The call that strace made fail."""
    (line,) = [line for line in (folder / "trace").read_text().splitlines() if "(INJECTED)" in line]
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda found: tracing._bytes(found[0]).decode(errors="replace"), line)


def codes(call: Call, error: str, policy: str, is_kept: bool) -> set[int]:
    """The exit codes that are right where a call fails, before or after the run folder is made."""
    if Path(call.path).suffix == ".log":
        return {0, 2}  # the first line must be written; the others are lost
    if call.has_failed or call.name == "link":
        return {0} if is_kept else {0, 2}  # nothing was there anyway; a copy serves as well as a link
    if error == "EACCES" and call.name == "openat" and not call.is_new:
        return {0, 4} if is_kept else {0, 2}  # a folder that may not be opened is not synced
    if not is_kept:
        return {2}
    return {4} if policy == "stop" else {0, 4}


def test_a_disk_that_stays_full_ends_the_run(nursery: Nursery, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    process = nursery.start(tmp_path, *train(hidden_dim=64), max_file=40_000)
    assert process.wait() == 4
    assert re.fullmatch(
        r"error: \S+/checkpoints_\d+_\d+/\w+\.safetensors cannot be written: File too large; make room on the disk or "
        r"let it be written to, then begin again\n",
        process.err,
    )
    assert not temporaries(tmp_path)
    assert len(metrics(tmp_path)) == 1


def test_a_run_that_is_to_continue_trains_to_its_end_and_ends_with_the_error(
    nursery: Nursery, uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    pytest.importorskip("resource")
    expected = uninterrupted(hidden_dim=64)
    process = nursery.start(tmp_path, *train(hidden_dim=64, on_checkpoint_error="continue"), max_file=40_000)
    assert process.wait() == 4
    assert process.err.count("error: ") == 1
    (log,) = tmp_path.glob("*.log")
    refused = re.findall(r"ERROR \S+\.safetensors cannot be written: File too large; training", log.read_text())
    assert len(refused) == len(expected)
    assert not temporaries(tmp_path)
    assert [row["digest"] for row in metrics(tmp_path)] == list(expected.values())


def test_a_log_on_a_full_disk_ends_no_run(nursery: Nursery, uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    log = tmp_path / "full.log"
    log.write_bytes(b"x" * 99_000)
    process = nursery.start(tmp_path, *train(log_file="full.log"), max_file=100_000)
    assert (process.wait(), process.err) == (0, f"the log {log} cannot be written: File too large\n")
    assert digests(tmp_path) == uninterrupted()
