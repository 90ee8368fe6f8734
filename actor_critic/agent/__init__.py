"""ActorCriticAgent: a policy and a critic with one optimizer."""

from actor_critic.agent.agent import ActorCriticAgent
from actor_critic.agent.fixed import FixedAttributes
from actor_critic.agent.learner import UpdateResult
from actor_critic.agent.loading import check_spaces, check_trust, trusted_settings, weights_to_begin_with

__all__ = [
    "ActorCriticAgent",
    "FixedAttributes",
    "UpdateResult",
    "check_spaces",
    "check_trust",
    "trusted_settings",
    "weights_to_begin_with",
]
