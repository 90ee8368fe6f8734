"""Returns of a policy on episodes it never trained on, greedy and sampled side by side, with intervals."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent
from actor_critic.config import Settings, check_evaluation_fits_in_memory
from actor_critic.environments import VectorEnvironment, has_step_limit, make_vector_environment
from actor_critic.errors import ConfigError, EnvironmentFault, OneAtATimeError
from actor_critic.imports import require_trust
from actor_critic.ops.statistics import Summary, plainly, summarize
from actor_critic.process import boundary, recognized
from actor_critic.rewards import make_reward_rule
from actor_critic.rollouts import Policy
from actor_critic.seeding import Purpose, generator
from actor_critic.spaces import difference, read_spaces

log = logging.getLogger("actor_critic")

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
class ModeResult:
    """What one way of acting earned.

    Attributes:
        returns: As the environment itself rewards.
        model_returns: As the reward model alone does; None without one.
        mean_length: Of an episode, in steps.
        cut: How many episodes ``evaluation_max_steps`` cut, where the environment has no limit of its own; their
            returns count as far as they came.
    """

    returns: Summary
    model_returns: Summary | None
    mean_length: float
    cut: int = 0


@dataclass(frozen=True)
class Evaluation:
    """How good one policy is.

    Attributes:
        environment: What it was evaluated on.
        episodes: Episodes of each mode.
        modes: "greedy" (the most probable actions) and "sampled".
        reference: Optimum and uniform choice, for random states.
    """

    environment: str
    episodes: int
    modes: dict[str, ModeResult]
    reference: Reference | None

    @property
    def greedy(self) -> Summary:
        """Returns of the most probable actions."""
        return self.modes["greedy"].returns

    @property
    def sampled(self) -> Summary:
        """Returns of sampled actions."""
        return self.modes["sampled"].returns

    def to_document(self) -> dict[str, Any]:
        """A JSON document; every interval says what it is one over."""
        document: dict[str, Any] = {"environment": self.environment, "episodes": self.episodes}
        for name, result in self.modes.items():
            document[name] = {**_summary_document(result.returns), "mean_length": result.mean_length}
            if result.cut:
                document[name]["cut"] = result.cut
            if result.model_returns:
                document[name]["model_return"] = _summary_document(result.model_returns)
            if self.reference:
                document[name]["normalized"] = self.reference.normalized(result.returns.mean)
        if self.reference:
            document["optimum"] = self.reference.optimum
            document["uniform"] = self.reference.uniform
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Evaluation":
        """What :meth:`to_document` made a document of.

        Raises:
            LookupError: It holds less than that.
            TypeError: It holds something else.
            ValueError: It holds a text where a number belongs.
        """
        modes = {}
        for name in ("greedy", "sampled"):
            entry = document[name]
            model = _summary(entry["model_return"]) if "model_return" in entry else None
            modes[name] = ModeResult(_summary(entry), model, float(entry["mean_length"]), int(entry.get("cut", 0)))
        has_reference = "optimum" in document
        reference = Reference(float(document["optimum"]), float(document["uniform"])) if has_reference else None
        return cls(str(document["environment"]), int(document["episodes"]), modes, reference)

    def figures(self) -> dict[str, float | None]:
        """The mean returns by name, as the records of a run have them."""
        greedy, sampled = self.modes["greedy"], self.modes["sampled"]
        models = [mode.model_returns.mean if mode.model_returns else None for mode in (greedy, sampled)]
        return dict(zip(EVALUATED, (greedy.returns.mean, sampled.returns.mean, *models), strict=True))

    def cuts(self) -> list[str]:
        """What to tell of episodes that did not come to their end, a line for each mode that has some."""
        return [
            f"{name}: {result.cut} of {self.episodes} episodes were cut by evaluation_max_steps, and count as far as "
            f"they came"
            for name, result in self.modes.items()
            if result.cut
        ]

    def describe(self) -> str:
        """This in one line."""
        parts = []
        for name, result in self.modes.items():
            returns = result.returns
            part = f"{name} {plainly(returns.mean)} [{plainly(returns.low)}, {plainly(returns.high)}]"
            parts.append(part + (f" (model {plainly(result.model_returns.mean)})" if result.model_returns else ""))
        if self.reference:
            parts.append(f"optimum {plainly(self.reference.optimum)}")
            parts.append(f"uniform {plainly(self.reference.uniform)}")
        return "; ".join([f"{', '.join(parts)} over {self.episodes} episodes", *self.cuts()])


EVALUATED = [f"evaluation_{mode}_{what}" for what in ("return", "model_return") for mode in ("greedy", "sampled")]


def _summary(document: dict[str, Any]) -> Summary:
    interval = document["interval"]
    return Summary(*(float(number) for number in (
        document["mean"], document["std"], interval["low"], interval["high"], interval["level"]
    )))  # fmt: skip


def _summary_document(summary: Summary) -> dict[str, Any]:
    return {
        "mean": summary.mean,
        "std": summary.std,
        "interval": {"low": summary.low, "high": summary.high, "level": summary.level, "meaning": _INTERVAL},
    }


@recognized()
def evaluate(
    agent: ActorCriticAgent,
    *,
    episodes: int | None = None,
    seed: int | None = None,
    purpose: Purpose = Purpose.TEST,
) -> Evaluation:
    """Run a policy greedily and sampled on the same fresh episodes of the environment it was trained for.

    Each mode runs exactly the episodes asked for, all to their end, so that short ones are not favoured. Statistics
    are frozen and nothing of the agent changes. Where the environment has no step limit, an episode is cut after
    ``evaluation_max_steps``, and the result says how many were.

    Args:
        agent: The policy.
        episodes: How many per mode; None takes the agent's ``evaluation_episodes``.
        seed: Which episodes; None takes the agent's seed.
        purpose: ``TEST`` for a figure to report, ``SELECTION`` for one to choose by; neither meets a training episode.

    Returns:
        Both modes' returns, as the environment itself rewards, below all wrappers.

    Raises:
        EnvironmentFault: The environment failed, or returned a number that is not finite.
        ConfigError: So many episodes do not fit in memory, or the environment has other spaces than the agent.
        CheckpointError: The agent was read from a file that names code to import, without ``trust_code``.
        ValueError: ``episodes`` is below 1.
    """
    settings = agent.settings
    # What the agent was built with need not be imported again.
    named = [name for name in settings.code_to_trust if name != settings.encoder]
    require_trust(named, agent.untrusted, agent.untrusted is None)
    count = settings.evaluation_episodes if episodes is None else episodes
    if count < 1:
        raise ValueError(f"episodes: {count} is not allowed; expected at least 1")
    seed = settings.seed if seed is None else seed
    if settings.is_random_states:
        check_evaluation_fits_in_memory(settings, count)
    side_by_side = count if settings.is_random_states else min(count, _SIDE_BY_SIDE)
    noise_of = (seed, Purpose.EVALUATION_ACTIONS, int(purpose))
    bootstrap = generator(seed, Purpose.BOOTSTRAP, int(purpose))
    policies: dict[str, Policy] = {
        "greedy": lambda observations, _, mask, states: agent.choose(observations, None, mask, states),
        "sampled": agent.choose,
    }
    modes: dict[str, ModeResult] = {}
    for mode, choose in policies.items():
        environment, quotas = _make(settings, purpose, count, side_by_side)
        side_by_side = environment.num_envs
        try:
            with boundary.watched():
                played = _play(agent, environment, choose, quotas, seed, generator(*noise_of))
        finally:
            environment.close()
        model = None if played.model_returns is None else summarize(played.model_returns, bootstrap)
        modes[mode] = ModeResult(summarize(played.returns, bootstrap), model, played.mean_length, played.cut)
    return Evaluation(settings.environment, count, modes, played.reference)


def long_evaluations(settings: Settings, environment: VectorEnvironment) -> str | None:
    """What to tell before a run whose evaluations may take more steps than its training; None where they may not.

    Args:
        settings: Of the run.
        environment: Of its training.
    """
    if environment.is_bandit:
        return None
    limit = environment.spec.max_episode_steps if environment.spec is not None else None
    count = 1 + (settings.num_epochs // settings.evaluation_interval if settings.evaluation_interval else 0)
    steps = 2 * count * settings.evaluation_episodes * (limit or settings.evaluation_max_steps)
    if steps <= settings.total_timesteps:
        return None
    shorter = "" if limit else ", evaluation_max_steps or max_episode_steps"
    longest = limit or settings.evaluation_max_steps
    return (
        f"evaluation: up to {steps:,} steps, greedy and sampled, beside {settings.total_timesteps:,} of training, if "
        f"no episode ends before {longest:,}; smaller evaluation_episodes{shorter} bound it"
    )


def _make(
    settings: Settings, purpose: Purpose, count: int, side_by_side: int
) -> tuple[VectorEnvironment, npt.NDArray[np.int64]]:
    """Environments side by side, or only one where it can exist only once; and the episodes [N] that each is to run."""
    quotas = np.array([len(part) for part in np.array_split(np.arange(count), side_by_side)])
    try:
        return make_vector_environment(settings, purpose, side_by_side, quotas), quotas
    except OneAtATimeError as error:
        log.info("evaluation: one environment at a time, since %s", error)
        quotas = np.array([count])
        return make_vector_environment(settings, purpose, 1, quotas), quotas


@dataclass(frozen=True)
class _Played:
    """Returns of all episodes, what the reward model made of them, and what could be had where that is known."""

    returns: npt.NDArray[np.float64]
    model_returns: npt.NDArray[np.float64] | None
    mean_length: float
    cut: int
    reference: Reference | None


def _play(
    agent: ActorCriticAgent,
    environment: VectorEnvironment,
    choose: Policy,
    quotas: npt.NDArray[np.int64],
    seed: int,
    noise: np.random.Generator,
) -> _Played:
    """Run each environment's quota of episodes to their ends."""
    found = read_spaces(
        agent.settings.environment, environment.single_observation_space, environment.single_action_space
    )
    if other := difference((agent.observations, agent.actions), found):
        raise ConfigError(f"environment: {agent.settings.environment}: {other}")
    rule = make_reward_rule(agent.settings, environment.single_observation_space, environment.single_action_space)
    observations, masks = environment.begin(seed)
    reference = _reference(environment, observations)
    count = environment.num_envs
    running, done = np.zeros((count, 3)), np.zeros(count, np.int64)  # return, model return and length
    limit = np.inf if has_step_limit(environment) else agent.settings.evaluation_max_steps
    cut = 0
    finished: list[npt.NDArray[np.float64]] = []
    states = agent.initial_state(count)
    while (done < quotas).any():
        uniforms = noise.random((count, agent.actions.num_groups), np.float32)
        seen = observations.astype(agent.observations.dtype, copy=False)
        action_indices, states = choose(seen, uniforms, masks, states)
        before = observations.copy() if rule else observations  # the next step overwrites it
        step = environment.step_indices(action_indices)
        observations, masks, terminated = step.observations, step.masks, step.terminated
        ended = terminated | step.truncated
        states[ended] = 0.0
        running[:, 0] += step.rewards if step.own_rewards is None else step.own_rewards
        running[:, 2] += 1
        _check_finite(agent, observations, running)
        if rule:
            following = observations
            if step.final_observations is not None:
                following = observations.copy()
                following[ended] = step.final_observations[ended]
            taken, paid = agent.actions.numbers(action_indices), step.rewards.astype(np.float32)
            running[:, 1] += rule.model_rewards(before, taken, following, terminated, paid)
        for index in np.flatnonzero(ended & (done < quotas)):
            cut += int(running[index, 2] == limit and not terminated[index])
            finished.append(running[index].copy())
            running[index] = 0.0
            done[index] += 1
    returns, model_returns, lengths = np.stack(finished).T
    return _Played(returns, model_returns if rule else None, float(lengths.mean()), cut, reference)


def _check_finite(agent: ActorCriticAgent, observations: npt.NDArray[Any], running: npt.NDArray[np.float64]) -> None:
    """Stop at numbers that no policy is to act on, and no score to be made of."""
    floats = agent.observations.floats(observations)
    for what, array in (("return", running[:, 0]), *(("observation", view) for view in floats)):
        if not np.isfinite(array).all():
            index = int(np.argwhere(~np.isfinite(array))[0][0])
            raise EnvironmentFault(
                f"{agent.settings.environment}, environment {index} of an evaluation: after {running[index, 2]:.0f} "
                f"steps of an episode the {what} is not finite"
            )


def _reference(environment: VectorEnvironment, states: npt.NDArray[np.generic]) -> Reference | None:
    expected = environment.expected_rewards(states)
    return None if expected is None else Reference(float(expected.max(1).mean()), float(expected.mean()))
