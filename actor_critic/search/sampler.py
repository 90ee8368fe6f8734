"""The sampler: Optuna's TPE, with random numbers that depend on the trial alone."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from actor_critic.seeding import Purpose, integer_seed


class Sampler(BaseSampler):
    """TPE whose random numbers are a function of (seed, number of the trial).

    A sampler with one generator would draw the same values again after a search is continued, and in each process of a
    study.
    """

    def __init__(self, seed: int) -> None:
        """Keep the seed."""
        self._seed = seed
        self._of_trial = self._sampler(0)

    def _sampler(self, number: int) -> BaseSampler:
        return TPESampler(seed=integer_seed(self._seed, Purpose.SEARCH, number))

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Derive the random numbers of a trial."""
        self._of_trial = self._sampler(trial.number)
        self._of_trial.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the settings that are drawn together."""
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw settings together."""
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one setting."""
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Do nothing: what TPE knows is read from the trials."""
