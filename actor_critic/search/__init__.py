"""The search for better settings: trials of a space of settings, and the confirmation of the winner on fresh seeds."""

from actor_critic.search.plan import OBJECTIVES, SCORES, Plan
from actor_critic.search.results import Confirmation, SweepResult, TrialResult
from actor_critic.search.space import Space
from actor_critic.search.sweep import begin, make_plan, sweep

__all__ = [
    "OBJECTIVES",
    "SCORES",
    "Confirmation",
    "Plan",
    "Space",
    "SweepResult",
    "TrialResult",
    "begin",
    "make_plan",
    "sweep",
]
