"""A picture of a policy on random states: its probabilities over two features of the state."""

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.errors import ConfigError
from actor_critic.report.charts import Chart, picture
from actor_critic.seeding import Purpose, generator

_RESOLUTION = 41
_REACH = 3.0  # standard deviations of the states
_STATES = 256
_MOST = 4  # actions that get a picture each


def policy_pictures(agent: ActorCriticAgent, features: tuple[int, int] | None = None) -> list[Chart]:
    """Draw how probable each action is over two features of a random state; the others are 0, their mean.

    Args:
        agent: The policy of a run on random states.
        features: The features; None chooses the two that change the policy most.

    Raises:
        ConfigError: There are no such features.
    """
    count = agent.observations.num_features
    if features is not None and not (min(features) >= 0 and max(features) < count and features[0] != features[1]):
        raise ConfigError(f"features: {features} is not allowed; expected two different ones from 0 to {count - 1}")
    if count < 2:
        return []
    first, second = features or _most_important(agent)
    axis = np.linspace(-_REACH, _REACH, _RESOLUTION)
    states = np.zeros((_RESOLUTION**2, count), np.float32)
    states[:, second], states[:, first] = (grid.reshape(-1) for grid in np.meshgrid(axis, axis, indexing="ij"))
    found = _probabilities(agent, states).reshape(_RESOLUTION, _RESOLUTION, -1)
    actions = range(1, 2) if found.shape[2] == 2 else range(min(_MOST, found.shape[2]))
    how = "the two that change the policy most" if features is None else "as asked"
    return [
        picture(
            f"probability of action {action}",
            axis,
            axis,
            found[:, :, action],
            f"feature {first}",
            f"feature {second}",
            f"features {first} and {second} are {how}; all others are 0",
        )
        for action in actions
    ]


def _probabilities(agent: ActorCriticAgent, states: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the probabilities [S, A] in states [S, D], with memory those at the start of an episode."""
    found = agent.probabilities(states)
    return np.asarray(found[0] if agent.has_memory else found, np.float64)


def _most_important(agent: ActorCriticAgent) -> tuple[int, int]:
    """Return the two features whose sign changes the probabilities most, the more important one first."""
    states = (
        generator(0, Purpose.BOOTSTRAP).standard_normal((_STATES, agent.observations.num_features)).astype(np.float32)
    )
    effects = []
    for feature in range(states.shape[1]):
        mirrored = states.copy()
        mirrored[:, feature] *= -1
        effects.append(np.abs(_probabilities(agent, mirrored) - _probabilities(agent, states)).mean())
    first, second = np.argsort(effects)[::-1][:2].tolist()
    return first, second
