"""Returns of a policy on episodes it never trained on, with intervals."""

from actor_critic.evaluation.evaluation import EVALUATED, Evaluation, evaluate, long_evaluations

__all__ = [
    "EVALUATED",
    "Evaluation",
    "evaluate",
    "long_evaluations",
]
