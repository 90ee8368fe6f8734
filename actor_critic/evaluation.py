"""Returns of a policy on episodes it never trained on, greedy and sampled side by side, with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.environments import RandomStatesVectorEnv, VectorEnvironment, make_vector_environment
from actor_critic.rollout import Policy
from actor_critic.seeding import Purpose, generator
from actor_critic.statistics import Summary, summarize

_SIDE_BY_SIDE = 10  # environments stepped together: each holds a simulator in memory
_INTERVAL = "95% bootstrap interval over the episodes of this one policy; it says nothing about other seeds"


@dataclass(frozen=True)
class Reference:
    """What could be had on the same states, where the reward model knows.

    Attributes:
        optimum: Mean reward of the best action in every state.
        uniform: Mean reward of choosing uniformly at random.
    """

    optimum: float
    uniform: float

    def normalized(self, mean: float) -> float | None:
        """(mean − uniform) / (optimum − uniform): 0 for uniform choice, 1 for the optimum."""
        span = self.optimum - self.uniform
        return (mean - self.uniform) / span if span else None


@dataclass(frozen=True)
class Evaluation:
    """How good one policy is.

    Attributes:
        environment: What it was evaluated on.
        episodes: Episodes of each mode.
        greedy: Returns of the most probable actions.
        sampled: Returns of sampled actions.
        greedy_length: Mean episode length of the greedy policy, in steps.
        sampled_length: Mean episode length of the sampled policy, in steps.
        reference: Optimum and uniform choice, for random states.
    """

    environment: str
    episodes: int
    greedy: Summary
    sampled: Summary
    greedy_length: float
    sampled_length: float
    reference: Reference | None

    def to_document(self) -> dict[str, Any]:
        """A JSON document; every interval says what it is one over."""
        document: dict[str, Any] = {"environment": self.environment, "episodes": self.episodes}
        modes = {"greedy": (self.greedy, self.greedy_length), "sampled": (self.sampled, self.sampled_length)}
        for name, (summary, length) in modes.items():
            document[name] = {
                "mean": summary.mean,
                "std": summary.std,
                "interval": {"low": summary.low, "high": summary.high, "level": summary.level, "meaning": _INTERVAL},
                "mean_length": length,
            }
            if self.reference:
                document[name]["normalized"] = self.reference.normalized(summary.mean)
        if self.reference:
            document["optimum"] = self.reference.optimum
            document["uniform"] = self.reference.uniform
        return document

    def describe(self) -> str:
        """This in one line."""
        parts = [
            f"{name} {summary.mean:.4g} [{summary.low:.4g}, {summary.high:.4g}]"
            for name, summary in (("greedy", self.greedy), ("sampled", self.sampled))
        ]
        if self.reference:
            parts.append(f"optimum {self.reference.optimum:.4g}")
            parts.append(f"uniform {self.reference.uniform:.4g}")
        return f"{', '.join(parts)} over {self.episodes} episodes"


def evaluate(
    agent: ActorCriticAgent,
    *,
    episodes: int | None = None,
    seed: int | None = None,
    purpose: Purpose = Purpose.TEST,
) -> Evaluation:
    """Run a policy greedily and sampled on the same fresh episodes of the environment it was trained for.

    Each mode runs exactly the episodes asked for, all to their end, so that short ones are not favoured. Statistics
    are frozen and nothing of the agent changes. Where the environment has no step limit, an episode ends after 10,000.

    Args:
        agent: The policy.
        episodes: How many per mode; None takes the agent's ``evaluation_episodes``.
        seed: Which episodes; None takes the agent's seed.
        purpose: ``TEST`` for a figure to report, ``SELECTION`` for one to choose by; neither meets a training episode.

    Returns:
        Both modes' returns, as the environment itself rewards.

    Raises:
        EnvironmentFault: The environment failed.
        ValueError: ``episodes`` is below 1.
    """
    settings = agent.settings
    count = settings.evaluation_episodes if episodes is None else episodes
    if count < 1:
        raise ValueError(f"episodes: {count} is not allowed; expected at least 1")
    seed = settings.seed if seed is None else seed
    side_by_side = count if settings.is_random_states else min(count, _SIDE_BY_SIDE)
    quotas = np.array([len(part) for part in np.array_split(np.arange(count), side_by_side)])

    def run(choose: Policy) -> tuple[npt.NDArray[np.float64], float, Reference | None]:
        environment = make_vector_environment(settings, purpose, side_by_side, quotas)
        try:
            noise = generator(seed, Purpose.EVALUATION_ACTIONS, int(purpose))
            return _run_episodes(agent, environment, choose, quotas, seed, noise)
        finally:
            environment.close()

    greedy, greedy_length, reference = run(
        lambda observations, _, mask, states: agent.choose(observations, None, mask, states)
    )
    sampled, sampled_length, _ = run(agent.choose)
    bootstrap = generator(seed, Purpose.BOOTSTRAP, int(purpose))
    return Evaluation(
        settings.environment,
        count,
        summarize(greedy, bootstrap),
        summarize(sampled, bootstrap),
        greedy_length,
        sampled_length,
        reference,
    )


def _run_episodes(
    agent: ActorCriticAgent,
    environment: VectorEnvironment,
    choose: Policy,
    quotas: npt.NDArray[np.int64],
    seed: int,
    noise: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], float, Reference | None]:
    """Returns of all episodes, their mean length, and what could be had where that is known."""
    observations, infos = environment.reset(seed=seed)
    reference = _reference(environment, observations)
    count = environment.num_envs
    running, lengths, done = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    returns: list[float] = []
    steps = 0
    states = agent.initial_state(count)
    while (done < quotas).any():
        uniforms = noise.random((count, agent.actions.num_groups), np.float32)
        choices, states = choose(observations, uniforms, infos.get("action_mask"), states)
        actions = agent.actions.to_environment(choices)
        observations, rewards, terminated, truncated, infos = environment.step(actions)
        states[terminated | truncated] = 0.0
        running += rewards
        lengths += 1
        for index in np.flatnonzero((terminated | truncated) & (done < quotas)):
            returns.append(float(running[index]))
            steps += int(lengths[index])
            running[index], lengths[index] = 0.0, 0
            done[index] += 1
    return np.array(returns), steps / len(returns), reference


def _reference(environment: VectorEnvironment, states: npt.NDArray[np.generic]) -> Reference | None:
    if not isinstance(environment, RandomStatesVectorEnv):
        return None
    expected = environment.reward_model.expected_rewards(states)
    return None if expected is None else Reference(float(expected.max(1).mean()), float(expected.mean()))
