"""Try a functional environment for some steps: check every value that its functions write, and compare compiled code.

The functions run in Python first. An index outside an array raises an exception there, but not in compiled code.
"""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.checked import Checked, CheckedReward, WrongValue
from actor_critic.environments.functional.differences import Difference, first_difference
from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import Episodes, Executor, Outputs, PythonExecutor
from actor_critic.environments.functional.loops import FAILED
from actor_critic.environments.functional.random_states import RandomStates
from actor_critic.environments.masks.reading import random_action_indices
from actor_critic.process import boundary
from actor_critic.seeding import Purpose

_COUNT = 3  # environments


@dataclass(frozen=True)
class Trial:
    """The result of a trial.

    Attributes:
        steps: Steps that were taken, of all environments.
        episodes: Episodes that ended.
        problem: The first value that is wrong, in one line; None if there is none.
        difference: The first difference between Python and compiled code; None if there is none.
        compared: Steps that were compared.
    """

    steps: int
    episodes: int
    problem: str | None
    difference: Difference | None
    compared: int


def try_functions(
    environment: FunctionalEnvironment,
    compiled: Executor | None,
    *,
    limit: int | None = None,
    steps: int,
    seconds: float,
) -> Trial:
    """Run the functions of an environment in Python with random allowed actions, and check every value.

    Args:
        environment: The environment, with its parameters. Of random states, the function of the reward model is tried.
        compiled: Executes the compiled functions with the same actions; None compares nothing.
        limit: The step that truncates an episode; None means the environment's own limit.
        steps: How many steps to take in each environment at most.
        seconds: The time limit.

    Raises:
        ConfigError: A space, the state or a function is not as it should be.
    """
    limit = environment.max_episode_steps if limit is None else limit
    layout = environment.layout
    episodes = Episodes(environment, _COUNT, limit, Purpose.EPISODES)
    checked = (
        CheckedReward(environment, episodes)
        if isinstance(environment, RandomStates)
        else Checked(environment, episodes)
    )
    ours = _Side(checked.episodes, Outputs(layout, _COUNT), PythonExecutor(environment, checked.functions))
    theirs = None
    if compiled is not None:
        other = Episodes(environment, _COUNT, limit, Purpose.EPISODES)
        theirs = _Side(other, Outputs(layout, _COUNT), compiled)
    random = np.random.default_rng(0)
    taken = ended = compared = 0
    problem = difference = None
    until = np.inf
    try:
        for step in range(steps + 1):
            actions = None
            if step:
                drawn = [random_action_indices(layout.actions, mask, random) for mask in ours.outputs.masks]
                actions = np.concatenate(drawn)
            with boundary.inside():
                ended += ours.run(actions, checked)
            taken += 0 if actions is None else _COUNT
            if theirs is not None and difference is None:
                theirs.run(actions, None)
                difference = first_difference(ours, theirs, environment, is_reset=not step)
                compared += 0 if actions is None or difference else _COUNT
            if step < 2:  # the first calls may load compiled code
                until = time.perf_counter() + seconds
            if time.perf_counter() > until:
                break
    except WrongValue as found:
        problem = str(found)
    return Trial(taken, ended, problem, difference, compared)


@dataclass
class _Side:
    """Episodes, and what executes them."""

    episodes: Episodes
    outputs: Outputs
    executor: Executor

    def run(self, actions: npt.NDArray[np.int64] | None, checked: Checked | None) -> int:
        """Take a step, or reset if there are no actions; then observe. Return how many episodes ended.

        Raises:
            WrongValue: A compiled function raised an exception.
        """
        if checked:
            checked.begin("initial" if actions is None else checked.stepping)
        if actions is None:
            ended = self.executor.reset(self.episodes)
        else:
            ended = self.executor.step(self.episodes, actions, self.outputs)
        if checked:
            checked.begin("observation")
        seen = self.executor.observe(self.episodes, self.outputs)
        if max(ended, seen) >= FAILED:
            raise WrongValue(
                f"{self.episodes.layout.name}: a function raised an exception in compiled code, and not in Python, in "
                f"the same step"
            )
        return max(ended, 0)
