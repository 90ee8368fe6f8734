"""Measure eager training on a GPU beside the CPU, by width of the networks and size of the minibatch.

    python -m benchmarks.speed.gpu
    python -m benchmarks.speed.gpu --widths 64 --batches 256 1024 --pictures 256 --seconds 0.3 --output /tmp/gpu.json

Each point is a run on CartPole (compiled environments, two hidden layers), or on pictures of 84 × 84 × 4 with the CNN
of Mnih et al. An epoch is one minibatch with four optimizer steps on it. Two rates are given, in transitions a second:
of the update (features, targets and optimizer steps), and of whole epochs. The CPU is measured with the eager and the
fused backend, and with all cores. The crossover of a width is the smallest minibatch from which on the GPU is the
fastest.

A point that would take longer than the others allow is left out, and so are all points after ``--limit`` seconds.
Without a GPU only the CPU is measured. Writes benchmarks/results/gpu.json after each point.
"""

import argparse
import itertools
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import psutil
import torch
from torch import nn

from actor_critic import Config, Trainer

RESULTS = Path(__file__).parents[1] / "results/gpu.json"

WIDTHS = (64, 256, 1024, 4096)
BATCHES = (256, 1024, 4096, 16384, 65536)
PICTURES = (256, 1024, 4096)
UPDATE_EPOCHS = 4
_LONGEST = 2.0  # seconds of an epoch; a larger minibatch is not measured
_LEAST = 2  # epochs of a measurement

BASE: dict[str, Any] = {
    "preset": "none", "algorithm": "ppo", "num_minibatches": 1, "update_epochs": UPDATE_EPOCHS, "clip_coef": 0.2,
    "normalize_advantages": True, "num_epochs": 100_000,
}  # fmt: skip
CONTENDERS = {
    "gpu eager": {"device": "cuda", "backend": "eager"},
    "cpu eager": {"device": "cpu", "backend": "eager"},
    "cpu eager, all cores": {"device": "cpu", "backend": "eager", "threads": psutil.cpu_count()},
    "cpu fused": {"device": "cpu", "backend": "fused"},
}


class Pictures(gym.Env[Any, Any]):
    """Shows the same picture at each step, so that stepping takes almost no time."""

    observation_space = gym.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    action_space = gym.spaces.Discrete(6)
    picture: ClassVar = np.random.default_rng(0).integers(0, 256, (84, 84, 4), np.uint8)

    def __init__(self) -> None:
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of 100 steps."""
        super().reset(seed=seed)
        self._steps = 0
        return self.picture, {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Pay 1 for action 0."""
        self._steps += 1
        return self.picture, float(action == 0), self._steps == 100, False, {}


def _settings(network: str, size: int, batch: int) -> dict[str, Any]:
    """Return the settings of a point."""
    if network == "cnn":
        steps = 16
        return {
            "num_envs": batch // steps, "num_steps": steps, "encoder": "nature_cnn", "hidden_dim": size,
            "hidden_layers": 1, "shared_encoder": True, "vectorization": "sync", "replay": "reset",
        }  # fmt: skip
    return {
        "environment": "CartPole-v1", "num_envs": batch // 16, "num_steps": 16, "hidden_dim": size,
        "vectorization": "compiled",
    }  # fmt: skip


def measure(settings: dict[str, Any], seconds: float, environment: type[gym.Env[Any, Any]] | None) -> dict[str, Any]:
    """Return transitions per second of the update and of whole epochs, and the seconds of an epoch."""
    epochs, updates = [], []
    trainer = Trainer(Config(**BASE | settings), environment=environment)
    batch = trainer.settings.batch_size
    ends = time.perf_counter()
    started = ends
    for report in trainer:
        now = time.perf_counter()
        epochs.append(now - started)
        updates.append(report.seconds["update"])
        if report.epoch == 1:
            ends = now + seconds  # the first epoch loads kernels
        if now > ends and report.epoch > _LEAST:
            break
        started = time.perf_counter()
    trainer.close()
    whole, update = (statistics.median(times[1:]) for times in (epochs, updates))
    return {"update": batch / update, "epochs": batch / whole, "seconds": whole, "measured": len(epochs) - 1}


def _any_weights(tensor: torch.Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw initial weights that are not orthogonal, which takes ten seconds for a wide layer and changes no rate."""
    return nn.init.normal_(tensor, std=gain / tensor.shape[-1] ** 0.5, generator=generator)


def _machine() -> dict[str, Any]:
    """Return the machine and the versions that the figures are from."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": f"{psutil.cpu_count()} cores, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": np.__version__,
        "command": f"python -m benchmarks.speed.gpu {' '.join(sys.argv[1:])}".strip(),
    }


def crossover(points: list[dict[str, Any]], rate: str) -> int | None:
    """Return the smallest minibatch from which on the GPU is faster than the CPU in all ways; None if it is not.

    Args:
        points: The points of one network, by size of the minibatch.
        rate: "update" or "epochs".
    """
    found = None
    for point in reversed(points):
        gpu, cpu = point.get("gpu eager"), [point.get(name) for name in CONTENDERS if name.startswith("cpu")]
        if gpu is None:
            continue
        if any(other and other[rate] >= gpu[rate] for other in cpu):
            break
        if any(cpu):  # where the CPU would take too long, nothing was compared
            found = int(point["minibatch"])
    return found


def main() -> None:
    """Measure all points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS, help="units of each hidden layer")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="transitions of a minibatch")
    parser.add_argument("--pictures", type=int, nargs="*", default=PICTURES, help="the same for the CNN")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds of a measurement, after its first epoch")
    parser.add_argument("--limit", type=float, default=170.0, help="seconds after which no measurement begins")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    began = time.monotonic()
    nn.init.orthogonal_ = _any_weights
    networks = [("cnn", 512, given.pictures), *(("mlp", width, given.batches) for width in given.widths)]
    results: dict[str, Any] = {"machine": _machine(), "update_epochs": UPDATE_EPOCHS, "networks": []}
    for network, size, batches in networks:
        points: list[dict[str, Any]] = [{"minibatch": batch} for batch in batches]
        entry = {"network": network, "width": size, "points": points}
        results["networks"].append(entry)
        for name, contender in CONTENDERS.items():
            if contender["device"] == "cuda" and not torch.cuda.is_available():
                continue
            expected = 0.0
            for point, following in itertools.zip_longest(points, points[1:]):
                if expected > _LONGEST or time.monotonic() - began > given.limit:
                    point[name] = None
                    continue
                settings = _settings(network, size, point["minibatch"]) | contender
                point[name] = found = measure(settings, given.seconds, Pictures if network == "cnn" else None)
                if following:
                    expected = found["seconds"] * following["minibatch"] / point["minibatch"]
                print(
                    f"{network} {size} {point['minibatch']:6} {name}: {found['update']:12,.0f} {found['epochs']:12,.0f}"
                )
                given.output.write_text(json.dumps(results, indent=1) + "\n")
        if torch.cuda.is_available():
            entry["crossover"] = {rate: crossover(points, rate) for rate in ("update", "epochs")}
            print(network, size, "the GPU is faster from:", entry["crossover"])
    results["machine"]["seconds"] = round(time.monotonic() - began)
    given.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
