"""N single environments: their instances, their arrays, and checks of the values that they return."""

from collections.abc import Callable
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from actor_critic.environments.masks.giving import warn_of_other_masks, with_late_masks
from actor_critic.environments.masks.reading import read_mask
from actor_critic.environments.vector.changing import apply_change, check_has
from actor_critic.environments.vector.contract import GymnasiumInterface, Step
from actor_critic.environments.vector.instances import (
    close_environment,
    environment_name,
    is_gymnasiums_own,
    make_instances,
    seed_spaces,
)
from actor_critic.environments.vector.returned import check_info, checked_step, misfit
from actor_critic.environments.vector.running_episodes import RunningEpisodes
from actor_critic.environments.vector.snapshots import saver_of
from actor_critic.environments.wrappers.lives import lives_of
from actor_critic.environments.wrappers.own_rewards import own_rewards_of
from actor_critic.errors import (
    ActorCriticError,
    ChangeFault,
    ConfigError,
    EnvironmentFault,
    ReplayFault,
    describe,
)
from actor_critic.process import Interrupted, boundary
from actor_critic.seeding import Purpose, episode_seed
from actor_critic.spaces import ActionSpec, ObservationSpec, read_spaces

Replay = Literal["reset", "fresh", "none"]


class SingleEnvironments(
    GymnasiumInterface, gym.vector.VectorEnv[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[Any]]
):
    """Makes, resets, reads and closes N environments of one process; a subclass steps them."""

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        num_envs: int,
        *,
        purpose: Purpose = Purpose.EPISODES,
        quotas: npt.NDArray[np.int64] | None = None,
        first: int = 0,
        replay: Replay = "reset",
    ) -> None:
        """Make N environments.

        Args:
            make: Makes one.
            num_envs: N.
            purpose: Selects the range of the episodes' seeds.
            quotas: [N], episodes that each environment runs before it rests; None for no limit. A resting environment
                is not stepped: it repeats its last observation with reward 0.
            first: Number of the first environment, if these are a part of more.
            replay: How a running episode can be rebuilt: "reset" (reset with its seed, then repeat its actions),
                "fresh" (the same, with a new instance for every episode), or "none".

        Raises:
            ConfigError: An environment cannot be made, or its spaces are not supported.
            EnvironmentFault: Two of them have different spaces.
        """
        self._make = make
        self.num_envs = num_envs
        self._purpose = purpose
        self._quotas = quotas
        self._first = first
        self._replay = replay
        self._keeps_actions = replay != "none"
        self.envs = make_instances(make, num_envs)
        boundary.opened()
        try:
            self._set_up()
        except BaseException as error:
            self.close_extras()
            if isinstance(error, (ActorCriticError, Interrupted)):
                raise
            raise ConfigError(  # user code may raise anything
                f"environment: {type(self.envs[0].unwrapped).__name__} cannot be used: {describe(error)}"
            ) from error

    def _set_up(self) -> None:
        num_envs = self.num_envs
        template = self.envs[0]
        self.name = environment_name(template)
        self._spec, self.actions = self._read_spaces()
        self._steps = [env.step for env in self.envs]
        self._is_used = [False] * num_envs  # whether an episode has begun in this instance
        self._changes: list[dict[str, Any]] = []
        self._applied = [0] * num_envs  # how many of the changes each instance has
        self.spec = template.spec
        self.render_mode = template.render_mode
        self.metadata = {**template.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = template.observation_space
        self.single_action_space = template.action_space
        self.observation_space = batch_space(template.observation_space, num_envs)
        self.action_space = batch_space(template.action_space, num_envs)

        self._observations = np.zeros((num_envs, *self._spec.shape), self._spec.dtype)
        self._final_observations = np.zeros_like(self._observations)
        self._parts = self._spec.views(self._observations)
        self._final_parts = self._spec.views(self._final_observations)
        is_numbers = not self._spec.is_nested and not self._spec.parts[0].is_categorical
        self._usual = (self._spec.dtype, self._spec.shape) if is_numbers else None
        self._rewards = np.zeros(num_envs, np.float64)
        self._terminated = np.zeros(num_envs, np.bool_)
        self._truncated = np.zeros(num_envs, np.bool_)
        self._masks: npt.NDArray[np.bool_] | None = None
        self._masks_come_late: bool | None = None  # None until the first reset
        self._takes = [own_rewards_of(env) for env in self.envs]
        self._own_rewards = np.zeros(num_envs, np.float64) if self._takes[0] else None
        self._life_lost = [lives_of(env) for env in self.envs]
        self._lives_lost = np.zeros(num_envs, np.bool_) if self._life_lost[0] else None
        self._step = Step(
            self._observations, self._rewards, self._terminated, self._truncated, own_rewards=self._own_rewards
        )
        # Whether environments may sample from their spaces. Gymnasium's own never do, and seeding takes time.
        self._samples = not is_gymnasiums_own(template)
        self._running = RunningEpisodes(num_envs, self.actions)
        self._savers = [saver_of(env) if self._keeps_actions else None for env in self.envs]
        self._running.has_snapshots = self._savers[0] is not None
        # Byte views of each environment's observation, made once, since NumPy is slow to expose an array's memory.
        self._rows = [row.data for row in self._observations.reshape(num_envs, -1).view(np.uint8)]

    def _read_spaces(self) -> tuple[ObservationSpec, ActionSpec]:
        template = self.envs[0]
        for index, env in enumerate(self.envs):
            if env.observation_space != template.observation_space or env.action_space != template.action_space:
                raise EnvironmentFault(
                    f"environment {self._first + index} has other spaces than environment {self._first}; all must be "
                    f"alike"
                )
        return read_spaces(self.name, template.observation_space, template.action_space)

    def _read(self, index: int, returned: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Convert the values of an unusual step to the usual types."""
        try:
            observation, reward, terminated, truncated, info = returned
            return observation, *checked_step(reward, terminated, truncated, info), info
        except (TypeError, ValueError) as error:
            raise self._fault(index, misfit(returned, 5, "step", error)) from None

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        for env in self.envs:
            close_environment(env)
        boundary.closed()

    def _write(self, index: int, observation: Any, parts: list[npt.NDArray[Any]]) -> None:
        try:
            with np.errstate(over="ignore"):  # a number too large for its type is reported where it is used
                self._spec.write(observation, parts, index)
        except ValueError as error:
            raise self._fault(index, f"returned an observation {error}") from error

    def _reset_one(self, index: int, options: dict[str, Any] | None = None, version: int | None = None) -> Any:
        self._running.clear(index)
        if version is not None:
            self._running.versions[index] = version
        seed = episode_seed(self._running.seed, self._purpose, self._first + index, int(self._running.numbers[index]))
        try:
            if self._replay == "fresh" and self._is_used[index]:
                close_environment(self.envs[index])
                self._set_instance(index, self._make())
                self._applied[index] = 0
            self._is_used[index] = True
            if self._changes:
                self._apply_changes(index)
            if self._samples:
                seed_spaces(self.envs[index], seed)
            returned = self.envs[index].reset(seed=seed, options=options)
        except Interrupted:
            raise
        except BaseException as error:  # user code may raise anything
            if isinstance(error, EnvironmentFault):
                raise
            raise self._fault(index, f"raised in reset {describe(error)}") from error
        try:
            observation, info = returned
            check_info(info)
        except (TypeError, ValueError) as error:
            raise self._fault(index, misfit(returned, 2, "reset", error)) from None
        if self._own_rewards is not None:
            self._takes[index]()  # type: ignore[misc]  # drops rewards of steps during the reset
        if self._masks_come_late is not False:
            info = self._look_for_masks(index, observation, info)
        self._read_mask(index, info)
        return observation

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Change every environment where its next episode begins; see :meth:`VectorEnvironment.change`."""
        for name in {name: None for change in changes for name in change}:
            with boundary.inside():
                check_has(self.envs[0], self.name, name)
        self._changes = changes
        self._running.changes = len(changes)

    def _apply_changes(self, index: int) -> None:
        """Bring an instance to the version of the episode that begins."""
        version = int(self._running.versions[index])
        if version < self._applied[index]:
            raise self._fault(index, "has been changed since, and a change cannot be undone", ReplayFault)
        for change in self._changes[self._applied[index] : version]:
            for name, value in change.items():
                try:
                    apply_change(self.envs[index], name, value)
                except Interrupted:
                    raise
                except BaseException as error:  # user code may raise anything
                    what = f"raised in the change {name}={value!r} {describe(error)}"
                    raise self._fault(index, what, ChangeFault) from error
        self._applied[index] = version

    def _set_instance(self, index: int, env: gym.Env[Any, Any]) -> None:
        self.envs[index] = env
        self._steps[index] = env.step
        self._takes[index] = own_rewards_of(env)
        self._life_lost[index] = lives_of(env)
        self._savers[index] = saver_of(env) if self._keeps_actions else None

    def _look_for_masks(self, index: int, observation: Any, info: dict[str, Any]) -> dict[str, Any]:
        """Return the info of a reset, with the mask of an environment that has masks only after a reset."""
        try:
            env, info = with_late_masks(self.envs[index], info)
        except Interrupted:
            raise
        except ConfigError as error:
            raise ConfigError(f"environment: {self.name}: {error}") from None
        except BaseException as error:  # user code may raise anything
            raise self._fault(index, f"raised in action_masks {describe(error)}") from error
        if self._masks_come_late is None:
            self._masks_come_late = env is not self.envs[index]
            warn_of_other_masks(env, observation, info)
        self._set_instance(index, env)
        return info

    def _read_mask(self, index: int, info: dict[str, Any]) -> None:
        try:
            mask = read_mask(info, self.actions)
        except (TypeError, ValueError) as error:
            raise self._fault(index, f"returned a mask that does not fit: {error}") from error
        if mask is None:
            if self._masks is not None:
                self._masks[index] = True
            return
        if self._masks is None:
            self._masks = np.ones((self.num_envs, self.actions.num_logits), np.bool_)
        if not self.actions.allows_an_action(mask[None])[0]:
            raise self._fault(index, "returned a mask that allows no action, though the episode goes on")
        self._masks[index] = mask

    def _fault(self, index: int, what: str, kind: type[EnvironmentFault] = EnvironmentFault) -> EnvironmentFault:
        return kind(
            f"{self.name}, environment {self._first + index}, episode {self._running.numbers[index]}, "
            f"step {self._running.lengths[index]}: {what}"
        )
