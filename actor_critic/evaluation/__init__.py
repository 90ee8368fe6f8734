"""Returns of a policy on episodes it never trained on, with intervals."""

from actor_critic.evaluation.evaluation import evaluate, long_evaluations
from actor_critic.evaluation.results import EVALUATED, Evaluation

__all__ = [
    "EVALUATED",
    "Evaluation",
    "evaluate",
    "long_evaluations",
]
