"""The training run as an iterator of epoch reports."""

from actor_critic.training.many_seeds import SeedProcesses, StopRequest, send_outcome, train_seed
from actor_critic.training.report import METRICS, EpochReport
from actor_critic.training.resume import FoundRun, ends_of, find_run, kept_evaluation
from actor_critic.training.stopping import FINISHED, INTERRUPTED
from actor_critic.training.trainer import Trainer
from actor_critic.training.verification import Verification, verify

__all__ = [
    "FINISHED",
    "INTERRUPTED",
    "METRICS",
    "EpochReport",
    "FoundRun",
    "SeedProcesses",
    "StopRequest",
    "Trainer",
    "Verification",
    "ends_of",
    "find_run",
    "kept_evaluation",
    "send_outcome",
    "train_seed",
    "verify",
]
