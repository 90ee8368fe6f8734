"""Files that mean harm: nothing in them is executed, and each is refused at once in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actor_critic import Config, Trainer
from tests.faults.conftest import Campaign
from tests.faults.hostile import FILES, FOLDERS, HARMLESS, NAME, ONLY_RESUME
from tests.faults.test_resume import RUN, finish

FAULT = "hostile files"
KINDS = [*FILES, *FOLDERS]
SECONDS = 1.0
MEMORY = 200 << 20
COMMANDS = ("inspect", "evaluate", "resume")

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices are those of POSIX")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound run with one checkpoint, to make hostile ones of."""
    folder = tmp_path_factory.mktemp("hostile") / "run"
    settings = {"environment": "CartPole-v1", "num_epochs": 4, "checkpoint_interval": 3, "evaluation_episodes": 1}
    settings["vectorization"] = "sync"  # the running episodes of which are forged
    finish(Trainer(Config(**RUN | settings), folder))
    (folder / "epoch_000004.safetensors").unlink()  # as if the run had been killed after three
    (folder / "best.safetensors").unlink(missing_ok=True)  # what resume would fall back on
    (folder / "last.safetensors").unlink()
    (folder / "evaluation.json").unlink()
    return folder


def test_nothing_is_executed_and_each_is_refused_at_once_in_one_line(
    run: Path, campaign: Campaign, tmp_path: Path
) -> None:
    assert len(KINDS) >= 40 and (run / NAME).exists()
    kinds = KINDS if campaign.is_whole else KINDS[::3]
    words = [sys.executable, "-m", "tests.faults.hostile", str(run), *kinds]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    *warm, control = [json.loads(line) for line in result.stdout.splitlines()[: len(COMMANDS) + 1]]
    outcomes = [json.loads(line) for line in result.stdout.splitlines()[len(COMMANDS) + 1 :]]
    assert [found["code"] for found in warm] == [0, 0, 0], warm
    assert control["is_executed"] and {seen.split()[0] for seen in control["seen"]} >= {
        "pickle.find_class",
        "os.system",
    }
    assert [found["command"] for found in outcomes] == [*COMMANDS] * len(kinds)
    wrong = [f"{found['name']}, {found['command']}: {why} {found}" for found in outcomes if (why := _wrong(found))]
    assert not wrong, "\n".join(wrong)
    campaign.survived(FAULT, len(kinds))


def _wrong(found: dict) -> str:
    """What is wrong with how a command ended; nothing, if it is right."""
    if found["is_executed"] or found["seen"]:
        return "did something"
    if found["memory"] > MEMORY:
        return "took memory"
    if not (found["err"] + found["out"]).replace("\n", "").isprintable():
        return "wrote to the terminal"
    if found["code"] == 0:
        is_right = found["command"] == "inspect" or found["name"] in HARMLESS
        is_right |= found["command"] == "evaluate" and found["name"] in ONLY_RESUME
        is_right |= found["command"] == "evaluate" and found["name"].startswith(("episodes", "collector"))
        return "" if is_right else "was done"
    codes = (3, 4) if found["name"].startswith("episodes") else (2, 4)  # an episode may replay otherwise
    if found["code"] not in codes or found["err"].count("\n") != 1 or not found["err"].startswith("error: "):
        return "ended wrongly"
    return "" if found["seconds"] < SECONDS else "took long"
