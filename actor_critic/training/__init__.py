"""The training run as an iterator of epoch reports."""

from actor_critic.training.many_seeds import (
    SeedProcesses,
    Start,
    Started,
    StopRequest,
    TrainSeed,
    begun_or_continued,
    send_outcome,
    start_here,
    train_seed,
)
from actor_critic.training.report import METRICS, EpochReport
from actor_critic.training.resume import (
    FoundRun,
    ends_of,
    find_run,
    kept_evaluation,
    names_no_other_code,
    other_setting,
)
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
    "Start",
    "Started",
    "StopRequest",
    "TrainSeed",
    "Trainer",
    "Verification",
    "begun_or_continued",
    "ends_of",
    "find_run",
    "kept_evaluation",
    "names_no_other_code",
    "other_setting",
    "send_outcome",
    "start_here",
    "train_seed",
    "verify",
]
