"""Run folders with given scores, for tests that need no training."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from actor_critic import Config
from actor_critic.config import Layer, resolve
from actor_critic.storage import detail_columns
from actor_critic.training.report import METRICS

EPOCHS = 20


def evaluation_document(environment: str, mean: float, episodes: int = 10) -> dict[str, Any]:
    interval = {"low": mean - 1, "high": mean + 1, "level": 0.95}
    returns = [mean - 2.0, mean + 2.0] * (episodes // 2)
    mode = {"mean": mean, "std": 2.0, "interval": interval, "mean_length": mean, "truncated": 0}
    return {
        "environment": environment, "episodes": episodes, "epoch": EPOCHS,
        "greedy": {**mode, "episode_returns": returns}, "sampled": {**mode, "episode_returns": returns},
    }  # fmt: skip


def write_run(folder: Path, seed: int, score: float | None, speed: float = 1000.0, **config: Any) -> Path:
    """Write a run that rises from 10 to its score; a score of None is a run that is not over."""
    folder.mkdir(parents=True)
    run = resolve(
        Layer(
            "test",
            Config(
                **{"environment": "CartPole-v1", "total_timesteps": 40_960, "batch_size": 2048, **config, "seed": seed}
            ),
        )
    ).settings
    run = run.replace(input_dim=4, output_dim=2)
    (folder / "settings.json").write_bytes(run.to_json())
    epochs = np.arange(1, EPOCHS + 1)
    columns: dict[str, Any] = dict.fromkeys(METRICS, "")
    columns |= {
        "epoch": epochs, "env_steps": 2048 * epochs, "episodes": 20 * epochs, "mean_episodes": 20,
        "mean_return": np.linspace(10, 100.0 if score is None else score, EPOCHS), "mean_length": 50.0,
        "policy_loss": -0.01, "value_loss": 0.1, "entropy": np.linspace(0.69, 0.2, EPOCHS), "approx_kl": 0.01,
        "clip_fraction": 0.1, "gradient_norm": 0.5, "explained_variance": np.linspace(0, 0.9, EPOCHS),
        "learning_rate": 1e-3, "optimizer_steps": 320, "steps_per_second": speed,
    }  # fmt: skip
    rows = zip(*(np.broadcast_to(np.asarray(column), EPOCHS) for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(str(cell) for cell in row) for row in rows)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    details = [f"{epoch},0.1,0.2,0,0.5,0.01,0,{0.5 + epoch / 100},{0.5 - epoch / 100}" for epoch in epochs]
    (folder / "details.csv").write_text("\n".join([",".join(detail_columns([2])), *details]) + "\n")
    if score is not None:
        document = evaluation_document(run.environment, score)
        (folder / "evaluation.json").write_text(json.dumps(document))
    return folder


def write_seeds(folder: Path, scores: dict[int, float], **config: Any) -> Path:
    """Write a folder with a run for each seed."""
    for seed, score in scores.items():
        write_run(folder / f"seed_{seed}", seed, score, **config)
    return folder
