"""Two ranks that share a GPU: NCCL refuses them, so their gradients travel over the CPU."""

import json
import sys
from pathlib import Path

import torch

from actor_critic import Trainer
from actor_critic.ranks import join, rank
from tests.gpu import ON_GPU, runs
from tests.ranks.launch import on_ranks
from tests.ranks.programs import Noisy

pytestmark = ON_GPU

CASES = ("perceptron", "normalized", "memory", "cnn")
ROUNDING = 1e-3


def _train(folder: Path) -> None:
    """Train each case; rank 0 keeps the weights."""
    kept = {}
    for case in CASES:
        trainer = Trainer(runs.config(case))
        found = runs.digests(trainer)
        kept[case] = {"digests": found, "weights": trainer.agent.parameters.values.tolist()}
        assert trainer.agent.parameters.values.is_cuda
    noisy = Trainer(runs.config("perceptron"), encoder=Noisy)  # its buffers are copied from rank 0
    for _ in noisy:
        pass
    trainer = Trainer(runs.config("perceptron"), folder / "run")
    for report in trainer:
        if report.epoch == 3:
            break
    trainer.close()
    kept["resumed"] = {"digests": runs.digests(Trainer.resume(folder / "run"))}
    if rank() == 0:
        (folder / f"kept_{join(60).size}.json").write_text(json.dumps(kept))


def test_two_ranks_on_one_gpu_are_one_process(tmp_path: Path) -> None:
    for name in ("alone", "two"):
        (tmp_path / name).mkdir()
    _train(tmp_path / "alone")
    done = on_ranks(2, "tests.gpu.test_ranks", str(tmp_path / "two"), folder=tmp_path, seconds=120.0)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = json.loads((tmp_path / "alone" / "kept_1.json").read_text())
    two = json.loads((tmp_path / "two" / "kept_2.json").read_text())
    for case in CASES:
        mine, theirs = (torch.tensor(kept[case]["weights"]) for kept in (alone, two))
        assert (mine - theirs).abs().max() < ROUNDING, case
    for kept in (alone, two):
        assert kept["resumed"]["digests"] == kept["perceptron"]["digests"][3:]


if __name__ == "__main__":
    _train(Path(sys.argv[1]))
