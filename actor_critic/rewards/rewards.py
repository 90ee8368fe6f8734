"""RewardModel: where a training reward comes from when it is not the environment's own."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.errors import ConfigError, EnvironmentFault, describe
from actor_critic.imports import load_class
from actor_critic.process import Interrupted
from actor_critic.seeding import Purpose, generator


class RewardModel:
    """A custom reward function. Subclass it, define :meth:`rewards`, and name it as ``module:Class``.

    A model that shapes the environment's reward (``reward_mode`` "shape") defines :meth:`potentials` instead.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        """Take the spaces of one environment; keyword arguments of a subclass come from ``reward_model_kwargs``."""
        self.observation_space = observation_space
        self.action_space = action_space

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Rewards of B transitions.

        Args:
            states: [B, *shape], raw observations acted in.
            actions: [B], or [B, G] for a space of several choices, as the environment took them.
            next_states: [B, *shape], raw observations that followed; at an episode's end its final observation.
            terminated: [B], whether the step ended the task.
            environment_rewards: [B], the environment's own rewards (0 for random states).

        Returns:
            [B] finite float32.
        """
        raise NotImplementedError

    def potentials(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """How promising states are, Φ(s): moving to a better one pays γ Φ(s') − Φ(s).

        Args:
            states: [B, *shape], raw observations.

        Returns:
            [B] finite float32.
        """
        raise NotImplementedError

    def expected_rewards(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        """Expected reward of every action in every state, [B, A], where it is known: then the optimum is known too.

        Args:
            states: [B, *shape], raw observations.

        Returns:
            None where it is not known, as here.
        """
        return None


class LinearReward(RewardModel):
    """The built-in reward for random states, r(s, a) = tanh(w_a · s): bounded, learnable, and fair to every action.

    The K directions w_a point to the corners of a regular simplex of random orientation, so that under any rotation
    invariant distribution of states each action is best equally often: half the states each for two actions. That
    needs at least K − 1 state dimensions; with fewer the directions are random and some actions are best more often.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any], *, seed: int = 0) -> None:
        """Draw the directions.

        Args:
            observation_space: A flat Box.
            action_space: A Discrete space of K actions.
            seed: Which orientation, 0 to 2³² − 1. It is part of the problem, not of the run: runs with different
                seeds solve the same problem unless this is changed.

        Raises:
            ConfigError: The spaces are others.
        """
        super().__init__(observation_space, action_space)
        if not (
            isinstance(observation_space, gym.spaces.Box)
            and len(observation_space.shape) == 1
            and isinstance(action_space, gym.spaces.Discrete)
        ):
            raise ConfigError(
                f'reward_model: "linear" needs flat Box states and Discrete actions; this environment has '
                f"{observation_space} and {action_space}"
            )
        if not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise ConfigError(f"reward_model_kwargs: seed={seed!r} is not allowed; expected a whole number below 2**32")
        dimensions, actions = observation_space.shape[0], int(action_space.n)
        normal = generator(seed, Purpose.REWARD_MODEL).standard_normal
        if 1 <= actions - 1 <= dimensions:
            orientation = np.linalg.qr(normal((dimensions, actions - 1)))[0]  # (D, K − 1)
            directions = _simplex_corners(actions) @ orientation.T  # (K, D)
        else:
            directions = normal((actions, dimensions))
        self.directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)

    def rewards(
        self,
        states: npt.NDArray[Any],
        actions: npt.NDArray[np.int64],
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """tanh(w_a · s) of each transition."""
        assert isinstance(self.action_space, gym.spaces.Discrete)
        chosen = actions - int(self.action_space.start)
        return np.tanh(np.einsum("bd,bd->b", states.astype(np.float32), self.directions[chosen]))

    def expected_rewards(self, states: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """tanh(w_a · s) of every action."""
        return np.tanh(states.astype(np.float32) @ self.directions.T)


def _simplex_corners(count: int) -> npt.NDArray[np.float64]:
    """The corners of a regular simplex around the origin, [K, K − 1]: the columns of a Helmert matrix."""
    k = np.arange(1, count)
    helmert = np.tri(count - 1, count)
    helmert[k - 1, k] = -k
    return (helmert / np.sqrt(k * (k + 1))[:, None]).T


class RewardRule:
    """What becomes of the environment's reward: replaced by a model's, added to it, or shaped by its potentials.

    Attributes:
        model: The model.
        mode: "replace", "add" or "shape".
    """

    def __init__(self, model: RewardModel, mode: str, gamma: float) -> None:
        """Join a model with the way it is used; ``gamma`` is the agent's discount."""
        self.model = model
        self.mode = mode
        self._gamma = gamma

    def model_rewards(
        self,
        states: npt.NDArray[Any],
        actions: Any,
        next_states: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        environment_rewards: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """What the model alone pays for B transitions; the arguments are those of :meth:`RewardModel.rewards`.

        A shaping model pays γ Φ(s') − Φ(s), with Φ(s') = 0 where the step terminated the task and kept where it was cut
        off, which leaves the best policy what it was (Ng, Harada and Russell, 1999, "Policy invariance under reward
        transformations", theorem 1; Grzes, 2017, "Reward shaping in episodic reinforcement learning", for the ends).

        Raises:
            EnvironmentFault: The model raised, or returned another shape or a number that is not finite.
        """
        if self.mode != "shape":
            return compute_rewards(self.model, states, actions, next_states, terminated, environment_rewards)
        before = _ask(self.model, "potentials", len(terminated), states)
        after = _ask(self.model, "potentials", len(terminated), next_states)
        return np.where(terminated, np.float32(0), np.float32(self._gamma) * after) - before

    def training_rewards(
        self, environment: npt.NDArray[np.float32], model: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """What the agent learns from: the model's rewards instead of the environment's, or both together."""
        return model if self.mode == "replace" else environment + model


def make_reward_rule(
    settings: Settings, observation_space: gym.Space[Any], action_space: gym.Space[Any]
) -> RewardRule | None:
    """The rule that settings name for an environment with rewards of its own; None where those are what is learned.

    Raises:
        ConfigError: The model cannot be made.
    """
    if settings.reward_model == "environment" or settings.is_random_states:  # random states have their model inside
        return None
    model = make_reward_model(
        settings.reward_model, settings.reward_model_kwargs, observation_space, action_space, settings.reward_mode
    )
    return RewardRule(model, settings.reward_mode, settings.gamma)


def make_reward_model(
    name: str,
    kwargs: dict[str, Any],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    mode: str = "replace",
) -> RewardModel:
    """Build the reward model that settings name.

    Args:
        name: "linear", or "module:Class".
        kwargs: Keyword arguments of its constructor, besides the two spaces.
        observation_space: Of one environment.
        action_space: Of one environment.
        mode: How it is used: "shape" needs its potentials, all else its rewards.

    Raises:
        ConfigError: It cannot be imported, is no RewardModel, lacks what its use needs, or refuses its arguments.
    """
    model: type[RewardModel] = LinearReward if name == "linear" else load_class(name, "reward_model")
    if not issubclass(model, RewardModel):
        raise ConfigError(f"reward_model: {name} is not a subclass of actor_critic.RewardModel")
    needed = "potentials" if mode == "shape" else "rewards"
    if getattr(model, needed) is getattr(RewardModel, needed):
        raise ConfigError(f'reward_model: {name} does not define {needed}, which reward_mode "{mode}" asks it for')
    try:
        return model(observation_space, action_space, **kwargs)
    except (ConfigError, Interrupted):
        raise
    except BaseException as error:  # whatever the user's own constructor raises
        raise ConfigError(f"reward_model_kwargs: {name} refuses {kwargs}: {describe(error)}") from error


def compute_rewards(
    model: RewardModel,
    states: npt.NDArray[Any],
    actions: Any,
    next_states: npt.NDArray[Any],
    terminated: npt.NDArray[np.bool_],
    environment_rewards: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Ask a reward model for the rewards of B transitions, and make sure that they are rewards.

    Raises:
        EnvironmentFault: The model raised, or returned another shape or a number that is not finite.
    """
    return _ask(model, "rewards", len(terminated), states, actions, next_states, terminated, environment_rewards)


def _ask(model: RewardModel, method: str, count: int, *arguments: Any) -> npt.NDArray[np.float32]:
    """Call a method of the user's model with views that it cannot write to.

    What is trained on and logged is what the environment returned.
    """
    name = type(model).__name__
    try:
        found = np.asarray(getattr(model, method)(*map(_read_only, arguments)), np.float32)
    except Interrupted:
        raise
    except BaseException as error:  # whatever the user's own model raises
        raise EnvironmentFault(f"reward_model {name} raised {describe(error)}") from error
    if found.shape != (count,):
        raise EnvironmentFault(f"reward_model {name} returned {method} of shape {found.shape}; expected {(count,)}")
    if not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found)))
        raise EnvironmentFault(
            f"reward_model {name} returned {found[row]} for transition {row}; expected a finite number"
        )
    return found


def _read_only(value: Any) -> Any:
    """A view of an array, or of each array in a dict or tuple, that cannot be written to."""
    if isinstance(value, dict):
        return {key: _read_only(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_read_only, value))
    view = value.view()
    view.setflags(write=False)
    return view
