"""Short runs for the tests on a GPU."""

from typing import Any

from actor_critic import Config, Trainer
from tests.gpu import GPU
from tests.plain import PLAIN

SMALL: dict[str, Any] = {
    "environment": "CartPole-v1", "num_envs": 8, "batch_size": 256, "num_minibatches": 4, "update_epochs": 2,
    "hidden_dim": 32, "seed": 5, "backend": "eager", "device": GPU, "vectorization": "sync", "replay": "reset",
    "evaluation_episodes": 2, "checkpoint_interval": 1, "num_epochs": 6,
}  # fmt: skip

CASES: dict[str, dict[str, Any]] = {
    "perceptron": SMALL,
    "a2c": {"algorithm": "a2c", **SMALL, "num_minibatches": 1, "update_epochs": 1},
    "normalized": {
        **SMALL, "normalize_observations": True, "normalize_rewards": True, "clip_vloss": True, "target_kl": 0.01,
    },
    "masks": {**SMALL, "environment": "Taxi-v4"},
    "embedding": {**SMALL, "environment": "Taxi-v4", "embedding_dim": 4},
    "pauses": {**SMALL, "environment": "tests.toys:Wordy-v0", "vectorization": "native", "replay": "auto"},
    "memory": {**SMALL, "environment": "tests.toys:Recall-v0", "memory": "gru"},
    "lstm": {**SMALL, "environment": "tests.toys:Recall-v0", "memory": "lstm", "shared_encoder": True},
    "cnn": {**SMALL, "environment": "tests.toys:Lamp-v0"},
    "pictures": {**SMALL, "environment": "tests.toys:Lamp-v0", "environment_kwargs": {"side": 48}},
    "overlap": {**SMALL, "overlap": True},
    "compiled": {**SMALL, "vectorization": "compiled"},
    "one step": {**SMALL, **PLAIN, "hidden_dim": 32},
}  # fmt: skip
"""A run of each kind; the CPU trains them too."""


def config(case: str, **changes: Any) -> Config:
    """Return the settings of a case."""
    return Config(**(CASES[case] | changes))


def digests(trainer: Trainer) -> list[str]:
    """Train to the end, and return the digest after each epoch."""
    return [trainer.digest for _ in trainer]
