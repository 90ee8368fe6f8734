"""ActorCriticAgent: a policy and a critic with one optimizer."""

from actor_critic.agent.admission import check_spaces, newest_state, trusted_settings, weights_to_begin_with
from actor_critic.agent.agent import ActorCriticAgent
from actor_critic.agent.fixed import FixedAttributes
from actor_critic.agent.learner import UpdateResult

__all__ = [
    "ActorCriticAgent",
    "FixedAttributes",
    "UpdateResult",
    "check_spaces",
    "newest_state",
    "trusted_settings",
    "weights_to_begin_with",
]
