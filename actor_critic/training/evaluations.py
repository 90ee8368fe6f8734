"""Evaluations of a run: before training, every ``evaluation_interval`` epochs, and of the final weights."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from actor_critic.agent import ActorCriticAgent
from actor_critic.errors import ConfigError, NotMadeError
from actor_critic.evaluation import Evaluation, evaluate, evaluate_random
from actor_critic.process import recognized
from actor_critic.seeding import Purpose
from actor_critic.training.training_environments import EVALUATING, GlobalSeeds, TrainingEnvironments

log = logging.getLogger("actor_critic")

_Result = TypeVar("_Result")


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

    def is_due(self, epoch: int) -> bool:
        """Return whether the weights are evaluated after an epoch."""
        interval = self._agent.settings.evaluation_interval
        return interval is not None and epoch % interval == 0

    def if_due(self, epoch: int) -> Evaluation | None:
        """Evaluate the weights after an epoch if an evaluation is due; else return None."""
        if not self.is_due(epoch):
            return None
        with recognized():
            self._seeds(epoch, EVALUATING)
            evaluation = beside_training(
                self._environments,
                "evaluation_interval",
                lambda: evaluate(self._agent, purpose=Purpose.SELECTION),
            )
        log.info("evaluation after epoch %d: %s", epoch, evaluation.describe())
        return evaluation


def beside_training(environments: TrainingEnvironments, setting: str, run: Callable[[], _Result]) -> _Result:
    """Run something that makes another instance of the environment; if only one can exist, close the others meanwhile.

    Args:
        environments: The training environments.
        setting: The setting that asks for it.
        run: What to run.

    Raises:
        ConfigError: Only one instance can exist, and the training environments cannot be rebuilt.
    """
    try:
        return run()
    except NotMadeError as error:  # but the training environments could be made
        if not environments.current.is_exact:
            raise ConfigError(
                f"{error}; the training environments could be made, so it may allow only one instance, and their "
                f"running episodes cannot be rebuilt; set {setting} to off"
            ) from None
    with environments.closed_meanwhile():
        return run()
