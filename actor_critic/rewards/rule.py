"""RewardRule: computes training rewards from the rewards of a model and of the environment."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from actor_critic.config import Settings
from actor_critic.errors import ConfigError, describe
from actor_critic.imports import Objects
from actor_critic.process import Interrupted
from actor_critic.rewards.function import FunctionReward
from actor_critic.rewards.linear import LinearReward
from actor_critic.rewards.model import RewardModel, compute_potentials, compute_rewards


class RewardRule:
    """Computes training rewards: a model replaces the environment's rewards, adds to them, or shapes them.

    Attributes:
        model: The model.
        mode: "replace", "add" or "shape".
    """

    def __init__(self, model: RewardModel, mode: str, gamma: float) -> None:
        """Set the model and its mode; ``gamma`` is the agent's discount."""
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
        """Return the model's own rewards of B transitions; the arguments are those of :meth:`RewardModel.rewards`.

        A shaping model pays γ Φ(s') − Φ(s), with Φ(s') = 0 after a step that terminated the task, but not after one
        that was truncated. It leaves the best policy unchanged (Ng, Harada and Russell, 1999, "Policy invariance under
        reward transformations", theorem 1; for episode ends: Grzes, 2017, "Reward shaping in episodic reinforcement
        learning").

        Raises:
            EnvironmentFault: The model raised, or returned another shape or a number that is not finite.
        """
        if self.mode != "shape":
            return compute_rewards(self.model, states, actions, next_states, terminated, environment_rewards)
        before = compute_potentials(self.model, states, len(terminated))
        after = compute_potentials(self.model, next_states, len(terminated))
        return np.where(terminated, np.float32(0), np.float32(self._gamma) * after) - before

    def training_rewards(
        self, environment: npt.NDArray[np.float32], model: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the rewards that the agent learns from: the model's, or the sum of both."""
        return model if self.mode == "replace" else environment + model


def make_reward_rule(
    settings: Settings, observation_space: gym.Space[Any], action_space: gym.Space[Any]
) -> RewardRule | None:
    """Make the reward rule that settings name.

    Returns:
        None if the agent learns only from the environment's own rewards, as with random states.

    Raises:
        ConfigError: The model cannot be made.
    """
    if settings.reward_model == "environment" or settings.is_random_states:  # random states contain their model
        return None
    model = make_reward_model(
        settings.reward_model,
        settings.reward_model_kwargs,
        observation_space,
        action_space,
        settings.reward_mode,
        settings.objects,
    )
    return RewardRule(model, settings.reward_mode, settings.gamma)


def make_reward_model(
    name: str,
    kwargs: dict[str, Any],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    mode: str = "replace",
    objects: Objects | None = None,
) -> RewardModel:
    """Make the reward model that settings name.

    Args:
        name: "linear", or "module:name" of a class or function.
        kwargs: Keyword arguments of its constructor besides the two spaces, or of the function.
        observation_space: Of one environment.
        action_space: Of one environment.
        mode: "shape" needs the model's potentials, the other modes need its rewards.
        objects: Finds what the name means; it may also be an instance that the program passed.

    Raises:
        ConfigError: The model cannot be imported, is no RewardModel or function, lacks the method of its mode, refuses
            its arguments, or is an instance for other spaces.
    """
    found = LinearReward if name == "linear" else (objects or Objects()).load(name, "reward_model")
    if isinstance(found, type) and not issubclass(found, RewardModel):
        raise ConfigError(f"reward_model: {name} is not a subclass of actor_critic.RewardModel")
    is_model = isinstance(found, (type, RewardModel))
    needed = "potentials" if mode == "shape" else "rewards"
    model = found if isinstance(found, type) else type(found) if is_model else FunctionReward
    if getattr(model, needed) is getattr(RewardModel, needed):
        raise ConfigError(f'reward_model: {name} does not define {needed}, which reward_mode "{mode}" needs')
    if isinstance(found, RewardModel):
        _check_instance(found, name, kwargs, observation_space, action_space)
        return copy.deepcopy(found)  # evaluations must not change the state of the one in training
    try:
        if not is_model:
            return FunctionReward(found, name, observation_space, action_space, **kwargs)
        made: RewardModel = found(observation_space, action_space, **kwargs)
        return made
    except (ConfigError, Interrupted):
        raise
    except BaseException as error:  # user code may raise anything
        raise ConfigError(f"reward_model_kwargs: {name} refuses {kwargs}: {describe(error)}") from error


def _check_instance(
    model: RewardModel,
    name: str,
    kwargs: dict[str, Any],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
) -> None:
    """Refuse keyword arguments for a model that is made already, and a model for other spaces."""
    if kwargs:
        raise ConfigError(f"reward_model_kwargs: {name} was passed as an instance, which takes no {kwargs} any more")
    for what, has, needs in (
        ("observation_space", getattr(model, "observation_space", None), observation_space),
        ("action_space", getattr(model, "action_space", None), action_space),
    ):
        if has is not None and has != needs:
            raise ConfigError(
                f"reward_model: {name} was made for {what} {has}; the environment has {needs}; pass the class, and it "
                f"is made for the environment"
            )
