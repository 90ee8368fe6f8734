"""Whole episodes of an evaluation: every environment runs its quota of episodes to the end."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.config import Settings
from actor_critic.environments import Step, VectorEnvironment, has_step_limit
from actor_critic.errors import ConfigError, EnvironmentFault
from actor_critic.evaluation.results import Reference
from actor_critic.rewards import RewardRule, make_reward_rule
from actor_critic.rollouts import Policy
from actor_critic.spaces import read_spaces, spec_mismatch


@dataclass(frozen=True)
class Played:
    """Returns of all episodes, how many a limit ended, and the reference if it is known."""

    returns: npt.NDArray[np.float64]
    model_returns: npt.NDArray[np.float64] | None
    mean_length: float
    cut: int
    truncated: int
    reference: Reference | None


class Observer(Protocol):
    """Looks on while episodes are played. The arrays that it is given may be overwritten by the next step."""

    def acts(
        self,
        observations: npt.NDArray[Any],
        masks: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
        action_indices: npt.NDArray[np.int64],
    ) -> None:
        """See actions [N, G] before they are taken, and what they were chosen for.

        Args:
            observations: [N, *shape].
            masks: [N, A]; None if all actions are allowed.
            states: [N, S], the hidden states of the policy before it chose.
            action_indices: [N, G], each counted from 0.
        """

    def stepped(self, step: Step) -> None:
        """See the step that followed."""


def play(
    agent: ActorCriticAgent,
    settings: Settings,
    environment: VectorEnvironment,
    choose: Policy,
    quotas: npt.NDArray[np.int64],
    seed: int,
    noise: np.random.Generator,
    observer: Observer | None = None,
) -> Played:
    """Run each environment's quota of episodes to the end.

    Args:
        agent: The agent.
        settings: Its settings with the environment of the evaluation.
        environment: The environments.
        choose: Chooses the actions.
        quotas: [N], episodes of each environment.
        seed: Seed of the episodes.
        noise: Draws the numbers that ``choose`` samples actions with.
        observer: Sees every step; None if nobody looks on.
    """
    check_has_spaces_of(agent, settings.environment, environment)
    rule = make_reward_rule(settings, environment.single_observation_space, environment.single_action_space)
    observations, masks = environment.begin(seed)
    reference = _reference(environment, observations)
    count = environment.num_envs
    running, done = np.zeros((count, 3)), np.zeros(count, np.int64)  # return, model return and length
    limit = np.inf if has_step_limit(environment) else settings.evaluation_max_steps
    cut = truncated = 0
    finished: list[npt.NDArray[np.float64]] = []
    states = agent.initial_state(count)
    while (done < quotas).any():
        uniforms = noise.random((count, agent.actions.num_groups), np.float32)
        seen = observations.astype(agent.observations.dtype, copy=False)
        action_indices, following_states = choose(seen, uniforms, masks, states)
        if observer:
            observer.acts(seen, masks, states, action_indices)
        states = following_states
        before = observations.copy() if rule else observations  # the next step overwrites it
        step = environment.step_indices(action_indices)
        if observer:
            observer.stepped(step)
        observations, masks, terminated = step.observations, step.masks, step.terminated
        ended = terminated | step.truncated
        states[ended] = 0.0
        running[:, 0] += step.rewards if step.own_rewards is None else step.own_rewards
        running[:, 2] += 1
        _check_finite(agent, settings.environment, observations, running)
        if rule:
            running[:, 1] += _model_rewards(rule, before, agent.actions.numbers(action_indices), step)
        for index in np.flatnonzero(ended & (done < quotas)):
            cut += int(running[index, 2] == limit and not terminated[index])
            truncated += int(not terminated[index])
            finished.append(running[index].copy())
            running[index] = 0.0
            done[index] += 1
    returns, model_returns, lengths = np.stack(finished).T
    return Played(returns, model_returns if rule else None, float(lengths.mean()), cut, truncated, reference)


def _model_rewards(rule: RewardRule, before: npt.NDArray[Any], actions: Any, step: Step) -> npt.NDArray[np.float32]:
    """Return the rewards [N] of the reward model for a step from some observations."""
    following = step.observations
    if step.final_observations is not None:
        ended = step.terminated | step.truncated
        following = following.copy()
        following[ended] = step.final_observations[ended]
    return rule.model_rewards(before, actions, following, step.terminated, step.rewards.astype(np.float32))


def check_has_spaces_of(agent: ActorCriticAgent, name: str, environment: VectorEnvironment) -> None:
    """Check that an environment has the spaces of an agent.

    Raises:
        ConfigError: It has others.
    """
    found = read_spaces(name, environment.single_observation_space, environment.single_action_space)
    if other := spec_mismatch((agent.observations, agent.actions), found):
        raise ConfigError(f"environment: {name}: {other}")


def _check_finite(
    agent: ActorCriticAgent, name: str, observations: npt.NDArray[Any], running: npt.NDArray[np.float64]
) -> None:
    """Raise an error for observations or returns that are not finite."""
    floats = agent.observations.floats(observations)
    for what, array in (("return", running[:, 0]), *(("observation", view) for view in floats)):
        if not np.isfinite(array).all():
            index = int(np.argwhere(~np.isfinite(array))[0][0])
            raise EnvironmentFault(
                f"{name}, environment {index} of an evaluation: after {running[index, 2]:.0f} "
                f"steps of an episode the {what} is not finite"
            )


def _reference(environment: VectorEnvironment, states: npt.NDArray[np.generic]) -> Reference | None:
    expected = environment.expected_rewards(states)
    return None if expected is None else Reference(float(expected.max(1).mean()), float(expected.mean()))
