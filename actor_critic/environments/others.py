"""Detection of code that is neither this package's nor Gymnasium's."""

import gymnasium as gym

from actor_critic.config import Settings


def runs_code_of_others(settings: Settings) -> bool:
    """Return whether code of a user or another package runs. It may draw from the global random generators."""
    if settings.evaluation_environment is not None:
        other = settings.for_evaluation().replace(evaluation_environment=None, vectorization="sync")
        if runs_code_of_others(other):
            return True
    is_compiled = settings.vectorization == "compiled"  # then no code of the environment runs in Python
    if [name for name in settings.imported_code if not (is_compiled and name == settings.environment)]:
        return True
    if settings.is_random_states or is_compiled:
        return False
    try:
        entry_point = gym.spec(settings.environment).entry_point
    except gym.error.Error:  # its package is not imported yet
        return True
    return not (isinstance(entry_point, str) and entry_point.startswith("gymnasium.envs."))
