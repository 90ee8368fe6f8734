"""N functional environments as one vector environment, stepped in one call."""

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.executors import Episodes, Executor, Outputs, PythonExecutor
from actor_critic.environments.functional.loops import FAILED, OUTSIDE
from actor_critic.environments.functional.twins.twin import Twin
from actor_critic.environments.vector.changing import apply_change, check_has
from actor_critic.environments.vector.contract import GymnasiumInterface, Observed, State, Step
from actor_critic.errors import ActorCriticError, ChangeFault, ConfigError, EnvironmentFault, describe
from actor_critic.process import Interrupted
from actor_critic.seeding import Purpose
from actor_critic.spaces import at_path

_SAVED = ("memory", "random", "counts")


class FunctionalVectorEnv(
    GymnasiumInterface, gym.vector.VectorEnv[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[Any]]
):
    """N functional environments in same-step autoreset.

    Episode k of environment i begins with the seed ``episode_seed(seed, purpose, i, k)``, as for any other environment.
    The whole state is saved.

    Attributes:
        environment: The environment, with its parameters.
        episodes: The running episodes.
        executor: Executes the functions.
    """

    is_exact = True
    """The whole state is saved."""

    def __init__(
        self,
        environment: FunctionalEnvironment,
        num_envs: int,
        executor: Executor,
        *,
        max_episode_steps: int | None = None,
        purpose: Purpose = Purpose.EPISODES,
        first: int = 0,
    ) -> None:
        """Make N environments.

        Args:
            environment: The environment, with its parameters.
            num_envs: N.
            executor: Executes its functions.
            max_episode_steps: The step that truncates an episode; None means the environment's own limit.
            purpose: Selects the range of episode seeds.
            first: Number of the first environment, if these are a part of more.

        Raises:
            ConfigError: The environment is not as it should be.
        """
        layout = environment.layout
        limit = environment.max_episode_steps if max_episode_steps is None else max_episode_steps
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.num_envs = num_envs
        self.single_observation_space = layout.space
        self.single_action_space = environment.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.actions = layout.actions
        self.spec = environment.spec
        self.environment = environment
        self.executor = executor
        self.episodes = Episodes(environment, num_envs, limit, purpose, first)
        self._name = layout.name
        self._changes: list[dict[str, Any]] = []
        self._changed = copy.copy(environment)  # with the parameters of the next episodes
        self._outputs = out = Outputs(layout, num_envs)
        self._seen = seen = layout.observations
        shape = (num_envs, *seen.shape)
        self._masks = out.masks if layout.has_masks else None
        self._observations, self._finals = (
            np.asarray(array).view(seen.dtype).reshape(shape) for array in (out.observations, out.finals)
        )
        self._step = Step(self._observations, out.rewards, out.terminated, out.truncated, self._masks)

    @property
    def is_compiled(self) -> bool:
        """Whether nothing of a step runs in Python."""
        return not isinstance(self.executor, PythonExecutor)

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin episode 0 of every environment.

        Raises:
            EnvironmentFault: A mask allows no action.
        """
        self.episodes.stream[0] = seed
        self.episodes.counts[:] = 0
        self._run(lambda: self.executor.reset(self.episodes))
        return self.observe()

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment with its action indices [N, G], each counted from 0.

        Raises:
            EnvironmentFault: A mask allows no action.
        """
        ended = self._run(lambda: self.executor.step(self.episodes, action_indices, self._outputs))
        self.observe()
        self._step.final_observations = self._finals if ended else None
        if ended:
            self.check_finals(self._finals[self._step.terminated | self._step.truncated])
        return self._step

    def check_finals(self, finals: npt.NDArray[Any]) -> None:
        """Check the categories of observations [E, *shape] at the ends of episodes.

        Raises:
            EnvironmentFault: A category is outside its space.
        """
        for part, array in zip(self._seen.parts, self._seen.views(finals), strict=True):
            if not part.contains(array):
                what, limits = part.misfit
                raise EnvironmentFault(
                    f"{self._name} returned an observation with {what} outside {limits}{at_path(part.path)} at the end "
                    f"of an episode, from observation"
                )

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Change parameters where the next episode begins; see :meth:`VectorEnvironment.change`."""
        if self.is_bandit or isinstance(self.environment, Twin):  # a twin must stay equal to its original
            super().change(changes)
            return
        known, changed, oldest = len(self._changes), self._changed, int(self.episodes.versions.min())
        first, versions = self.episodes.first_version + oldest, list(self.episodes.parameters[oldest:])
        if changes[:known] != self._changes:  # others, not the same with more at their end
            known, changed, first, versions = 0, self.environment, 0, [self.environment.parameters]
        for change in changes[known:]:
            changed = self._with(changed, change)
            versions.append(changed.parameters)
        self.episodes.set_parameters(versions, first)
        self._changes, self._changed = list(changes), changed

    def _with(self, environment: FunctionalEnvironment, change: dict[str, Any]) -> FunctionalEnvironment:
        changed = copy.copy(environment)
        changed.parameters = environment.parameters.copy()
        for name, value in change.items():
            check_has(changed, self._name, name)
            if name not in type(changed).parameters and not callable(getattr(changed, name)):
                raise ConfigError(
                    f"environment: {name} of {self._name} is no parameter, and nothing else changes in compiled "
                    f"code; set vectorization to sync, shared or workers"
                )
            try:
                apply_change(changed, name, value)
            except (ActorCriticError, Interrupted):
                raise
            except BaseException as error:  # user code may raise anything
                raise ChangeFault(f"{self._name} raised in the change {name}={value!r} {describe(error)}") from error
        if changed.parameters.dtype != environment.parameters.dtype:
            raise ConfigError(f"environment: {', '.join(change)} changes the shape of a parameter of {self._name}")
        return changed

    def save_state(self) -> State:
        """Return the running episodes."""
        arrays = {name: getattr(self.episodes, name).view(np.uint8).copy() for name in _SAVED}
        if self._changes:
            arrays["versions"] = self.episodes.first_version + self.episodes.versions
        return {"functional.seed": self.episodes.stream[:1].copy()} | {f"functional.{n}": a for n, a in arrays.items()}

    def load_state(self, state: State) -> Observed:
        """Continue the running episodes that :meth:`save_state` returned.

        Raises:
            ValueError: The arrays are not those of such episodes.
            EnvironmentFault: A mask allows no action.
        """
        if unknown := state.keys() - {f"functional.{name}" for name in ("seed", "versions", *_SAVED)}:
            raise ValueError(f"{min(unknown)} is not part of compiled environments")
        for name in _SAVED:
            array, found = getattr(self.episodes, name).view(np.uint8), state[f"functional.{name}"]
            if (found.shape, found.dtype) != (array.shape, array.dtype):
                raise ValueError(f"functional.{name} has another shape or dtype")
            array[:] = found
        versions = np.broadcast_to(state.get("functional.versions", np.int64(0)), self.num_envs)
        rows = versions - self.episodes.first_version
        if not ((rows >= 0) & (rows < len(self.episodes.parameters))).all():
            raise ValueError("functional.versions are not those of changes of the run")
        self.episodes.versions[:] = rows
        self.episodes.stream[0] = int(state["functional.seed"][0])
        if (self.episodes.counts < 0).any() or self.episodes.stream[0] < 0:
            raise ValueError("functional.counts or functional.seed are below 0")
        self._check_states()
        return self.observe()

    def _check_states(self) -> None:
        """Take a step from a copy of the loaded states in Python, where indices are checked.

        Raises:
            ValueError: A function failed, so these are not states of an episode.
        """
        layout, copy = self.environment.layout, self.episodes.copy(self.environment)
        executor, outputs = PythonExecutor(self.environment), Outputs(layout, self.num_envs)
        try:
            bad = executor.observe(copy, outputs)
            starts = np.cumsum((0, *layout.actions.sizes[:-1]))
            parts = np.split(outputs.masks, starts[1:], axis=1)
            allowed = np.stack([part.argmax(1) for part in parts], axis=1)
            if bad < 0:
                executor.step(copy, allowed, outputs)
        except (ActorCriticError, Interrupted):
            raise
        except BaseException as error:  # user code may raise anything
            raise ValueError(f"functional.memory holds no states of {self._name}: {describe(error)}") from error

    def observe(self) -> Observed:
        """Return the current observations and their masks.

        Raises:
            EnvironmentFault: A mask allows no action, or a category is outside its space.
        """
        index = self._run(lambda: self.executor.observe(self.episodes, self._outputs))
        if index >= 0:
            raise self.fault(index)
        return Observed(self._observations, self._masks)

    def _run(self, loop: Callable[[], int]) -> int:
        """Run a loop over the environments.

        Raises:
            EnvironmentFault: A function raised an exception.
        """
        try:
            result = loop()
        except (ActorCriticError, Interrupted):
            raise
        except BaseException as error:  # user code may raise anything
            raise EnvironmentFault(f"{self._name}: one of its functions raised {describe(error)}") from error
        if result >= FAILED:
            raise self.fault(result)
        return result

    def fault(self, code: int) -> EnvironmentFault:
        """Return the error for a result of a loop: no allowed action, a category outside its space, or an exception."""
        if code >= FAILED:
            remedy = "--vectorization sync (in Python) shows it"
            if self.is_bandit:
                remedy = "derive from RewardModel, whose rewards run in Python, to see it"
            return EnvironmentFault(f"{self._name}: one of its functions raised an exception; {remedy}")
        index = code % OUTSIDE
        episode, steps = self.episodes.counts[index].tolist()
        number = self.episodes.stream[4] + index
        what = "an action_mask that allows no action, from action_mask"
        if code >= OUTSIDE:
            views = self._seen.views(self._observations[index : index + 1])
            pairs = zip(self._seen.parts, views, strict=True)
            part, found = next((part, view[0]) for part, view in pairs if not part.contains(view))
            misfit, limits = part.misfit
            at = at_path(part.path)
            what = f"an observation with {misfit} outside {limits}{at}: {found.tolist()}, from observation"
        return EnvironmentFault(
            f"environment {number} ({self._name}) returned {what} after step {steps} of its episode {episode}"
        )
