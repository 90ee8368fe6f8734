"""Actor-critic reinforcement learning for discrete action spaces.

>>> from actor_critic import Config, Trainer
>>> for report in Trainer(Config(environment="CartPole-v1", total_timesteps=512, seed=1)):
...     print(report.epoch, report.env_steps)
1 256
2 512
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actor_critic.agent import ActorCriticAgent
    from actor_critic.config import Config, Settings
    from actor_critic.environments import FunctionalEnvironment, FunctionalReward
    from actor_critic.errors import (
        ActorCriticError,
        CheckpointError,
        ConfigError,
        EnvironmentFault,
        NumericalError,
        ReplayFault,
        SelftestError,
        VerificationError,
    )
    from actor_critic.evaluation import Evaluation, RecordedEpisode, encode_gif, evaluate, record_episode, save_episode
    from actor_critic.networks import PolicyNetwork, ValueNetwork
    from actor_critic.probing import ProbeResult, selftest
    from actor_critic.report import Comparison, Finding, compare, diagnose
    from actor_critic.rewards import LinearReward, RewardModel
    from actor_critic.runs import Run, Table, train, train_seeds
    from actor_critic.search import Confirmation, SweepResult, TrialResult, sweep
    from actor_critic.spaces import ActionSpec, ObservationSpec
    from actor_critic.training import EpochReport, Trainer, Verification, verify

__version__ = "0.1.0"

# A name is imported at first use, so that a command without networks does not wait for PyTorch.
_HOMES = {
    "ActionSpec": "spaces",
    "ActorCriticAgent": "agent",
    "ActorCriticError": "errors",
    "CheckpointError": "errors",
    "Comparison": "report",
    "Config": "config",
    "ConfigError": "errors",
    "Confirmation": "search",
    "EnvironmentFault": "errors",
    "EpochReport": "training",
    "Evaluation": "evaluation",
    "Finding": "report",
    "FunctionalEnvironment": "environments",
    "FunctionalReward": "environments",
    "LinearReward": "rewards",
    "NumericalError": "errors",
    "ObservationSpec": "spaces",
    "PolicyNetwork": "networks",
    "ProbeResult": "probing",
    "RecordedEpisode": "evaluation",
    "ReplayFault": "errors",
    "RewardModel": "rewards",
    "Run": "runs",
    "SelftestError": "errors",
    "Settings": "config",
    "SweepResult": "search",
    "Table": "runs",
    "Trainer": "training",
    "TrialResult": "search",
    "ValueNetwork": "networks",
    "Verification": "training",
    "VerificationError": "errors",
    "compare": "report",
    "diagnose": "report",
    "encode_gif": "evaluation",
    "evaluate": "evaluation",
    "record_episode": "evaluation",
    "save_episode": "evaluation",
    "selftest": "probing",
    "sweep": "search",
    "train": "runs",
    "train_seeds": "runs",
    "verify": "training",
}

__all__ = [
    "ActionSpec",
    "ActorCriticAgent",
    "ActorCriticError",
    "CheckpointError",
    "Comparison",
    "Config",
    "ConfigError",
    "Confirmation",
    "EnvironmentFault",
    "EpochReport",
    "Evaluation",
    "Finding",
    "FunctionalEnvironment",
    "FunctionalReward",
    "LinearReward",
    "NumericalError",
    "ObservationSpec",
    "PolicyNetwork",
    "ProbeResult",
    "RecordedEpisode",
    "ReplayFault",
    "RewardModel",
    "Run",
    "SelftestError",
    "Settings",
    "SweepResult",
    "Table",
    "Trainer",
    "TrialResult",
    "ValueNetwork",
    "Verification",
    "VerificationError",
    "compare",
    "diagnose",
    "encode_gif",
    "evaluate",
    "record_episode",
    "save_episode",
    "selftest",
    "sweep",
    "train",
    "train_seeds",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
