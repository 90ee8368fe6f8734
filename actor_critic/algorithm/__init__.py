"""What is computed: objective, targets, schedule and minibatches of PPO and A2C."""

from actor_critic.algorithm.batch import Batch, Sequences, UpdateStatistics, not_finite
from actor_critic.algorithm.minibatches import minibatches
from actor_critic.algorithm.schedule import Coefficients, coefficients_of

__all__ = ["Batch", "Coefficients", "Sequences", "UpdateStatistics", "coefficients_of", "minibatches", "not_finite"]
