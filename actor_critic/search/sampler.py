"""The sampler: Optuna's TPE, with random numbers that depend on the trial alone."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from actor_critic.seeding import Purpose, integer_seed


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that count: without those that another one repeats, and those beyond the wanted number."""
    repeated = {each.user_attrs.get("retry_of") for each in trials}
    return [each for each in trials if each.number not in repeated and not each.user_attrs.get("surplus")]


class Sampler(BaseSampler):
    """TPE whose random numbers are a function of (seed, place of the trial among those that count).

    A sampler with one generator would draw the same values again after a search is continued, and in each process of a
    study. The number of a trial would not do: after a trial is repeated, all numbers are one larger.
    """

    def __init__(self, seed: int) -> None:
        """Keep the seed."""
        self._seed = seed
        self._of_trial = self._sampler(0)

    def _sampler(self, place: int) -> BaseSampler:
        return TPESampler(seed=integer_seed(self._seed, Purpose.SEARCH, place))

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Derive the random numbers of a trial."""
        earlier = counted(study.get_trials(deepcopy=False))
        self._of_trial = self._sampler(sum(each.number < trial.number for each in earlier))
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
