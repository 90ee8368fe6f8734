"""Whole runs in one call, and what they leave behind: weights, evaluation, history."""

from actor_critic.runs.run import Run
from actor_critic.runs.seeds import train_seeds
from actor_critic.runs.table import Table
from actor_critic.runs.train import train

__all__ = ["Run", "Table", "train", "train_seeds"]
