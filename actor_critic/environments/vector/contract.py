"""The contract of vector environments: one typed interface for training and evaluation."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.environments.masks.reading import KEY
from actor_critic.errors import ConfigError
from actor_critic.spaces import ActionSpec

State = dict[str, npt.NDArray[Any]]
"""The arrays that rebuild running episodes, by name."""

GymnasiumStep = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]
"""The return type of Gymnasium's ``VectorEnv.step``."""


class Observed(NamedTuple):
    """Observations and masks to act on.

    Attributes:
        observations: [N, *shape].
        masks: [N, A], True where an action is allowed; None where the environments give no masks.
    """

    observations: npt.NDArray[Any]
    masks: npt.NDArray[np.bool_] | None

    def to_gymnasium(self) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return what Gymnasium's ``VectorEnv.reset`` returns."""
        return self.observations, _mask_infos(self.masks)


@dataclass(slots=True)
class Step:
    """One step of N environments. The object and its arrays may be overwritten by the next step.

    Attributes:
        observations: [N, *shape]; where an episode ended, the first observation of the next one.
        rewards: [N], rewards after all wrappers.
        terminated: [N].
        truncated: [N].
        masks: [N, A] of the observations, True where an action is allowed; None where the environments give no masks.
        final_observations: [N, *shape], set where an episode ended; None if none ended.
        own_rewards: [N], the environments' own rewards, below all wrappers; None if there are no wrappers.
        lives_lost: [N], True where an episode ended for learning only, and the environment goes on; None if nowhere.
        valid: [N], False where an environment only reset between two episodes; None if all rows are transitions.
    """

    observations: npt.NDArray[Any]
    rewards: npt.NDArray[Any]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_] | None = None
    final_observations: npt.NDArray[Any] | None = None
    own_rewards: npt.NDArray[np.float64] | None = None
    lives_lost: npt.NDArray[np.bool_] | None = None
    valid: npt.NDArray[np.bool_] | None = None

    def to_gymnasium(self) -> GymnasiumStep:
        """Return what Gymnasium's ``VectorEnv.step`` returns."""
        infos = _mask_infos(self.masks)
        if self.own_rewards is not None:
            infos["own_rewards"] = self.own_rewards
        if self.lives_lost is not None:
            infos["lives_lost"] = self.lives_lost
        if self.final_observations is not None:
            infos |= {"final_obs": self.final_observations, "_final_obs": self.terminated | self.truncated}
        if self.valid is not None:
            infos["valid"] = self.valid
        return self.observations, self.rewards, self.terminated, self.truncated, infos


class VectorEnvironment(Protocol):
    """N environments side by side.

    Attributes:
        num_envs: N.
        single_observation_space: Observation space of one environment.
        single_action_space: Action space of one environment.
        spec: Gymnasium's specification of the environment; None if it is not registered.
        is_bandit: Whether every episode lasts one step.
    """

    num_envs: int
    single_observation_space: gym.Space[Any]
    single_action_space: gym.Space[Any]
    spec: gym.envs.registration.EnvSpec | None
    is_bandit: bool

    @property
    def is_exact(self) -> bool:
        """Return whether :meth:`load_state` rebuilds the running episodes; otherwise it begins new ones."""

    @property
    def pauses(self) -> bool:
        """Return whether the reset between two episodes takes a step of its own, which is no transition."""

    def begin(self, seed: int) -> Observed:
        """Begin the first episode of every environment.

        Args:
            seed: The run's seed; each environment derives its own seeds from it.
        """

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment with its action indices [N, G], each counted from 0.

        Raises:
            EnvironmentFault: An environment failed.
        """

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Change the environments; each change takes effect where the next episode begins.

        Args:
            changes: All changes since the run began, each the new values by method or attribute.

        Raises:
            ConfigError: They cannot be changed, or have no such method or attribute.
        """

    def save_state(self) -> State:
        """Return the state that rebuilds the running episodes."""

    def load_state(self, state: State) -> Observed:
        """Rebuild the running episodes that :meth:`save_state` returned.

        Raises:
            ReplayFault: A rebuilt episode differs from the saved one.
            EnvironmentFault: An environment failed.
        """

    def expected_rewards(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return the expected reward [N, A] of every action, or None if it is not known."""

    def close(self) -> None:
        """Close every environment."""


class GymnasiumInterface:
    """Gymnasium's ``reset`` and ``step`` on top of the typed interface, and defaults for our vector environments."""

    is_bandit = False
    pauses = False
    actions: ActionSpec

    def begin(self, seed: int, options: dict[str, Any] | None = None) -> Observed:
        """Begin episode 0 of every environment; see :meth:`VectorEnvironment.begin`."""
        raise NotImplementedError

    def step_indices(self, action_indices: npt.NDArray[np.int64]) -> Step:
        """Step every environment; see :meth:`VectorEnvironment.step_indices`."""
        raise NotImplementedError

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Begin episode 0 of every environment, as Gymnasium's ``VectorEnv.reset``.

        Args:
            seed: The run's seed, an integer (0 if none is given); each environment derives its own seeds from it.
            options: Passed to every environment.
        """
        first = seed[0] if isinstance(seed, list) else seed
        return self.begin(first or 0, options).to_gymnasium()

    def step(self, actions: Any) -> GymnasiumStep:
        """Step every environment with its action: an array [N] or [N, *shape], or a dict or tuple of such arrays.

        The returned arrays are overwritten by the next step. Where an episode ended, ``final_obs`` (marked by
        ``_final_obs``) is its last observation, and the observation returned is the first of the next. ``action_mask``
        [N, A], where the environments give one, belongs to the observations returned. ``valid`` is False for an
        environment that only reset between two episodes.

        Raises:
            EnvironmentFault: An environment raised, or returned an invalid value.
        """
        return self.step_indices(self.actions.to_choices(actions)).to_gymnasium()

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Refuse: single environments and functional ones override this."""
        if changes:
            where = "in random states" if self.is_bandit else "with vectorization compiled or native"
            mend = "" if self.is_bandit else "; set it to sync, shared or workers"
            raise ConfigError(f"environment: {', '.join(changes[-1])} cannot change {where}{mend}")

    def expected_rewards(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return None: the expected rewards of these environments are not known."""
        return None


def _mask_infos(masks: npt.NDArray[np.bool_] | None) -> dict[str, Any]:
    return {} if masks is None else {KEY: masks, f"_{KEY}": np.ones(len(masks), np.bool_)}
