"""Evaluations of a run: before training, every ``evaluation_interval`` epochs, and of the final weights."""

import logging
from dataclasses import replace

from actor_critic.agent import ActorCriticAgent
from actor_critic.errors import ConfigError, NotMadeError
from actor_critic.evaluation import Evaluation, evaluate, evaluate_random
from actor_critic.process import recognized
from actor_critic.seeding import Purpose
from actor_critic.training.training_environments import EVALUATING, GlobalSeeds, TrainingEnvironments

log = logging.getLogger("actor_critic")


class Evaluations:
    """Evaluates the agent of a run."""

    def __init__(self, agent: ActorCriticAgent, environments: TrainingEnvironments, seeds: GlobalSeeds) -> None:
        """Begin.

        Args:
            agent: The agent.
            environments: The training environments; some must be closed during an evaluation.
            seeds: Seeds the global generators.
        """
        self._agent = agent
        self._environments = environments
        self._seeds = seeds

    def before(self) -> Evaluation | None:
        """Evaluate the initial weights if the optimal return is known; else return None."""
        if not self._agent.settings.is_random_states:
            return None
        self._seeds(0, EVALUATING)
        evaluation = evaluate(self._agent)
        log.info("evaluation before training: %s", evaluation.describe())
        return evaluation

    def after(self, epoch: int, first_return: float | None) -> Evaluation:
        """Evaluate the final weights, with the training environments closed.

        If the policy is not clearly better than at the beginning of the run, random actions are evaluated too.

        Args:
            epoch: The last epoch.
            first_return: Mean return at the beginning of the run, if known.
        """
        self._environments.close()  # some environments allow only one instance
        self._seeds(epoch, EVALUATING)
        evaluation = evaluate(self._agent)
        is_better = first_return is not None and first_return < max(evaluation.greedy.low, evaluation.sampled.low)
        if not is_better and evaluation.reference is None:
            evaluation = replace(evaluation, modes=evaluation.modes | {"random": evaluate_random(self._agent)})
        log.info("evaluation after training: %s", evaluation.describe())
        return evaluation

    def if_due(self, epoch: int) -> Evaluation | None:
        """Evaluate the weights after an epoch if an evaluation is due; else return None."""
        interval = self._agent.settings.evaluation_interval
        if interval is None or epoch % interval:
            return None
        with recognized():
            self._seeds(epoch, EVALUATING)
            try:
                evaluation = evaluate(self._agent, purpose=Purpose.SELECTION)
            except NotMadeError as error:  # but the training environments could be made
                evaluation = self._alone(error)
        log.info("evaluation after epoch %d: %s", epoch, evaluation.describe())
        return evaluation

    def _alone(self, error: NotMadeError) -> Evaluation:
        """Evaluate while the training environments are closed.

        Args:
            error: Why no other instance could be made.
        """
        if not self._environments.current.is_exact:
            raise ConfigError(
                f"{error}; the training environments could be made, so it may allow only one instance, and their "
                f"running episodes cannot be rebuilt; set evaluation_interval to off"
            )
        with self._environments.closed_meanwhile():
            return evaluate(self._agent, purpose=Purpose.SELECTION)
