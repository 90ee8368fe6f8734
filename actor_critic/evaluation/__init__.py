"""Returns of a policy on episodes it never trained on, with intervals."""

from actor_critic.evaluation.evaluation import (
    evaluate,
    evaluate_random,
    long_evaluations,
    try_evaluation_environment,
)
from actor_critic.evaluation.results import EVALUATED, Evaluation, ModeResult

__all__ = [
    "EVALUATED",
    "Evaluation",
    "ModeResult",
    "evaluate",
    "evaluate_random",
    "long_evaluations",
    "try_evaluation_environment",
]
