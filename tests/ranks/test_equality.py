"""K ranks are one process, up to the rounding of sums."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from actor_critic import Trainer, verify
from actor_critic.errors import ConfigError
from tests.ranks import programs
from tests.ranks.launch import on_ranks, without_torchrun

pytestmark = pytest.mark.slow

ROUNDING = 2e-6
"""Ten epochs of up to eight steps move a weight by 0.01 or more; float32 rounds sums to 1e-7 of their size."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("alone")
    programs.train_all(folder)
    found: dict[str, Any] = torch.load(folder / "kept_1.pt", weights_only=False)
    return found


@pytest.mark.parametrize("size", [2, 4])
def test_k_ranks_take_the_steps_of_one_process(size: int, alone: dict[str, Any], tmp_path: Path) -> None:
    done = on_ranks(size, "tests.ranks.programs", str(tmp_path), "train_all", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    together = torch.load(tmp_path / "train_all" / f"kept_{size}.pt", weights_only=False)
    for name, mine in alone.items():
        theirs = together[name]
        if name == "pauses":  # a native vector form draws the numbers of all its environments from one seed
            continue
        assert (mine["weights"] - theirs["weights"]).abs().max() < ROUNDING, name
        assert mine["returns"] == theirs["returns"], name
    assert any(alone[name]["digest"] != together[name]["digest"] for name in alone)  # sums are rounded otherwise


def test_two_ranks_stop_resume_change_and_fail_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = (
        "stop_and_resume", "stop_from_the_loop", "fail", "copy_buffers", "change_differently", "change_on_a_full_disk",
        "refuse_a_change", "leave_alone",
    )  # fmt: skip
    (first, told), (second, raised) = without_torchrun(
        "00", "tests.ranks.programs", str(tmp_path), *words, folder=tmp_path
    )

    # Rank 0 has left its loop alone, where it cannot raise the error, and its program has gone on to its end.
    assert (first, second) == (8, 1), told[-3000:] + raised[-3000:]
    assert (tmp_path / "leave_alone" / "after").exists()
    assert (tmp_path / "rank_0_ended").exists()  # by an exit handler
    assert (tmp_path / "leave_alone" / "unflushed").read_text() == "whole"
    what = "all ranks must make the same calls, and leave the loop together; the run ends in epoch 2"
    assert told.splitlines()[-1] == (
        f"error: rank 0, leaving the loop: rank 1 does something else (going on with the loop); {what}"
    )
    assert raised.splitlines()[-1].endswith(
        f"RankFault: rank 1, going on with the loop: rank 0 does something else (leaving the loop); {what}"
    )

    # One process continues a run of two ranks, says that the bits differ, and takes the same steps.
    run = tmp_path / "stop_and_resume" / "run"
    untouched = Path(shutil.copytree(run, tmp_path / "untouched"))
    returns = [float(row["mean_return"]) for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())]
    for path in run.glob("*.safetensors"):
        if path.name not in {f"epoch_{epoch:06}.safetensors" for epoch in (1, 2, 3)}:
            path.unlink()
    with caplog.at_level("WARNING"):
        resumed = Trainer.resume(run)
    assert "was written by 2 rank(s), and the run continues on 1" in caplog.text
    assert resumed.epoch == 3
    assert [report.mean_return for report in resumed] == pytest.approx(returns[3:])
    with pytest.raises(ConfigError, match=r"was trained on 2 rank\(s\), and here are 1"):
        verify(untouched)

    errors = [json.loads((tmp_path / "fail" / f"error_{rank}.json").read_text()) for rank in range(2)]
    assert [error["code"] for error in errors] == [3, 3]
    assert "the simulator is gone" in errors[1]["text"]
    assert errors[0]["text"] == f"rank 1: {errors[1]['text']}"
    epoch = errors[0]["epoch"]
    assert epoch == errors[1]["epoch"]
    assert (tmp_path / "fail" / "run" / f"epoch_{epoch:06}.safetensors").exists()  # the state before the failed epoch
