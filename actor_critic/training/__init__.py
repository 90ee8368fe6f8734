"""The training run as an iterator of epoch reports."""

from actor_critic.training.epoch_report import EpochReport
from actor_critic.training.trainer import INTERRUPTED, Trainer
from actor_critic.training.verification import Verification, verify

__all__ = [
    "INTERRUPTED",
    "EpochReport",
    "Trainer",
    "Verification",
    "verify",
]
