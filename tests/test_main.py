"""The program as a person starts it: real processes, real signals, real files."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actor_critic import Config, Trainer, evaluate
from actor_critic.storage.runs import newest_sound
from tests.nursery import Nursery, wait_until

ROOT = Path(__file__).parent.parent
DESCRIBED = {
    "input_dim": 10, "output_dim": 2, "hidden_dim": 256, "learning_rate": 1e-4, "batch_size": 32, "num_epochs": 100,
    "seed": 42,
}  # fmt: skip
QUICK_CARTPOLE = ["--environment", "CartPole-v1", "--evaluation-episodes", "2", "--hidden-dim", "16"]


def _main(folder: Path, *arguments: str, program: str = "main.py") -> str:
    command = [sys.executable, "-W", "error", str(ROOT / program), *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def _command(folder: Path, *arguments: str) -> Any:
    command = [sys.executable, "-W", "error", "-m", "actor_critic", *arguments, "--json"]
    return json.loads(subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout)


def _digest(run: Path) -> str:
    return newest_sound(run)[1].digest


def _only_run(folder: Path) -> Path:
    (run,) = folder.glob("checkpoints_*")
    return run


def test_main_without_a_config_writes_one_and_trains_as_described(tmp_path: Path) -> None:
    output = _main(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    said = {name: value for name, value in config.items() if value is not None}
    assert said == DESCRIBED | {"environment": "random-states", "algorithm": "a2c"}
    run = _only_run(tmp_path)
    assert re.fullmatch(r"checkpoints_\d{8}_\d{6}", run.name)
    assert (run / "epoch_000100.safetensors").exists()
    log = (tmp_path / "actor_critic_training.log").read_text()
    for words in ("'learning_rate': 0.0001", "evaluation before training", "epoch 1/100", "policy loss", "value loss"):
        assert words in log
    assert "evaluation after training" in log
    assert len(re.findall(r"epoch \d+/100", log)) == 100
    assert "epoch 100/100" in output
    assert 20 <= len(re.findall(r"^epoch ", output, re.MULTILINE)) <= 22
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["episodes"] == 1000
    assert evaluation["greedy"]["normalized"] > 0.9
    assert abs(evaluation["before_training"]["sampled"]["normalized"]) < 0.15

    # A second process, started from the file that the first one wrote and by the other name: the same bits.
    before = (tmp_path / "config.json").read_bytes()
    _main(tmp_path, "--log-file", "other.log", program="app.py")
    assert (tmp_path / "config.json").read_bytes() == before
    first, second = sorted(tmp_path.glob("checkpoints_*"))
    shown = _command(tmp_path, "inspect", str(first / "last.safetensors"))
    assert shown["digest"] == _digest(first) == _digest(second)
    assert (shown["epoch"], shown["env_steps"], shown["settings"]["seed"]) == (100, 3200, 42)


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    digests = set()
    for seed in (1, 2):
        trainer = Trainer(Config(seed=seed, num_epochs=2), tmp_path / str(seed))
        for _ in trainer:
            pass
        trainer.close()
        digests.add(_digest(tmp_path / str(seed)))
    assert len(digests) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_epoch_and_the_run_resumes_to_the_same_bits(
    nursery: Nursery, tmp_path: Path, number: int
) -> None:
    arguments = [*QUICK_CARTPOLE, "--num-epochs", "120", "--checkpoint-interval", "1000"]
    log = tmp_path / "actor_critic_training.log"
    process = nursery.python(tmp_path, str(ROOT / "main.py"), *arguments)
    wait_until(lambda: log.exists() and "epoch 5/120" in log.read_text(), "epoch 5")
    process.send(number)
    assert process.wait() == 128 + number
    assert "continue with: actor-critic resume" in process.out
    run = _only_run(tmp_path)
    assert 5 <= newest_sound(run)[1].counters["epoch"] < 120
    assert nursery.python(tmp_path, "-m", "actor_critic", "resume", run.name).wait() == 0
    straight = Trainer(Config(environment="CartPole-v1", hidden_dim=16, num_epochs=120), tmp_path / "straight")
    for _ in straight:
        pass
    straight.close()
    assert _digest(run) == _digest(tmp_path / "straight")


def test_code_that_a_checkpoint_names_is_imported_only_with_trust(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import gymnasium, pathlib\n"
        "pathlib.Path('imported').touch()\n"
        "class Same(gymnasium.Wrapper): pass\n"
        "import torch\n"
        "class Mine(torch.nn.Identity): pass\n"
    )  # fmt: skip
    words = ["train", *QUICK_CARTPOLE, "--num-epochs", "1", "--wrappers", "mine:Same", "--encoder", "mine:Mine"]
    assert nursery.python(tmp_path, "-m", "actor_critic", *words).wait() == 0
    (tmp_path / "imported").unlink()
    run = _only_run(tmp_path).name
    for words in (["inspect", run], ["evaluate", run], ["resume", run, "--num-epochs", "1"]):
        process = nursery.python(tmp_path, "-m", "actor_critic", *words)
        assert process.wait() == (0 if words[0] == "inspect" else 4)
        if words[0] != "inspect":
            assert "names code to import: mine:Mine, mine:Same; add --trust-code" in process.err
    assert not (tmp_path / "imported").exists()
    words = ["evaluate", run, "--trust-code", "--episodes", "3", "--json"]
    process = nursery.python(tmp_path, "-m", "actor_critic", *words, warn="error")
    assert process.wait() == 0
    evaluation = json.loads(process.out)
    assert (evaluation["episodes"], evaluation["environment"]) == (3, "CartPole-v1")
    assert (tmp_path / "imported").exists()


def test_five_seeds_of_the_described_job_reach_the_optimum() -> None:
    normalized = []
    for seed in range(1, 6):
        trainer = Trainer(Config(seed=seed))
        for _ in trainer:
            pass
        evaluation = evaluate(trainer.agent)
        assert evaluation.reference is not None
        score = evaluation.reference.normalized(evaluation.greedy.mean)
        assert score is not None
        normalized.append(score)
    assert sum(normalized) / 5 >= 0.95, normalized
