"""Settings of runs that tests follow step by step."""

from typing import Any

PLAIN: dict[str, Any] = {
    "preset": "none",
    "update_epochs": 1,
    "num_minibatches": 1,
    "hidden_dim": 256,
    "learning_rate": 1e-4,
    "anneal_lr": False,
    "adam_epsilon": 1e-8,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_coef": "off",
    "normalize_advantages": False,
    "normalize_observations": False,
    "normalize_rewards": False,
    "ent_coef": 0.0,
    "target_kl": "off",
}
"""Every setting of the general presets, except sizes, at its plain value: one unclipped step over the whole batch."""
