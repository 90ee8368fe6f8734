"""Evaluation of a policy on episodes it never trained on, with greedy and with sampled actions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.agent import ActorCriticAgent, check_trust
from actor_critic.config import (
    Config,
    EnvironmentLike,
    Passed,
    RewardModelLike,
    Settings,
    WrapperLike,
    check_evaluation_fits_in_memory,
    settings_of,
)
from actor_critic.environments import VectorEnvironment, make_evaluation_environment
from actor_critic.errors import ConfigError
from actor_critic.evaluation.episodes import check_has_spaces_of, play
from actor_critic.evaluation.results import Evaluation, ModeResult, Reference
from actor_critic.imports import Objects
from actor_critic.ops.categorical import choose as choose_actions
from actor_critic.ops.statistics import summarize
from actor_critic.process import boundary, recognized
from actor_critic.rollouts import Policy
from actor_critic.seeding import Purpose, generator


@recognized()
def evaluate(
    agent: ActorCriticAgent,
    *,
    episodes: int | None = None,
    seed: int | None = None,
    purpose: Purpose = Purpose.TEST,
    environment: EnvironmentLike | None = None,
    environment_kwargs: dict[str, Any] | None = None,
    wrappers: Sequence[WrapperLike] | None = None,
    reward_model: RewardModelLike | None = None,
) -> Evaluation:
    """Run a policy in two modes, greedy and sampled, on the same new episodes of its environment.

    Each mode runs exactly ``episodes`` episodes to their end, so that short episodes are not favoured. The agent and
    its normalization statistics do not change. If the environment has no step limit, an episode is cut after
    ``evaluation_max_steps``, and the result contains the number of cut episodes.

    Args:
        agent: The policy.
        episodes: Number of episodes per mode; None takes the agent's ``evaluation_episodes``.
        seed: Seed of the episodes; None takes the agent's seed.
        purpose: ``TEST`` for results to report, ``SELECTION`` for results to select by. Neither shares episodes with
            training.
        environment: Another environment with the same spaces, or the class or function of the agent's, if its file only
            has the name; None takes the agent's ``evaluation_environment``, or else its environment.
        environment_kwargs: Other keyword arguments of the environment, such as its difficulty. Without ``environment``,
            arguments that are left out keep the agent's values.
        wrappers: The wrappers of the environment; None takes the agent's.
        reward_model: The reward model whose returns are reported too; None takes the agent's.

    Returns:
        The returns of both modes, in the environment's own rewards, below all wrappers.

    Raises:
        EnvironmentFault: The environment failed, or returned a number that is not finite.
        ConfigError: So many episodes do not fit in memory, or the environment has other spaces than the agent.
        CheckpointError: The agent was read from a file that names code to import, without ``trust_code``.
        ValueError: ``episodes`` is below 1.
    """
    passed = Passed(None, wrappers, reward_model, None, environment, beside=agent.settings.objects)
    settings = evaluation_settings(agent, passed, environment_kwargs)
    count = settings.evaluation_episodes if episodes is None else episodes
    if count < 1:
        raise ValueError(f"episodes: {count} is not allowed; expected at least 1")
    if settings.is_random_states:
        check_evaluation_fits_in_memory(settings, count)
    seed = settings.seed if seed is None else seed
    bootstrap = generator(seed, Purpose.BOOTSTRAP, int(purpose))
    policies: dict[str, Policy] = {
        "greedy": lambda observations, _, mask, states: agent.choose(observations, None, mask, states),
        "sampled": agent.choose,
    }
    side_by_side: int | None = None  # known after the first mode
    modes: dict[str, ModeResult] = {}
    for mode, choose in policies.items():
        modes[mode], reference, side_by_side = _play(
            agent, settings, choose, count, seed, purpose, bootstrap, side_by_side
        )
    return Evaluation(settings.environment, count, modes, reference)


@recognized()
def evaluate_random(agent: ActorCriticAgent) -> ModeResult:
    """Choose uniformly among the allowed actions, on the episodes on which :func:`evaluate` tests the agent.

    Raises:
        EnvironmentFault: As :func:`evaluate`.
        ConfigError: As :func:`evaluate`.
    """
    settings = agent.settings.for_evaluation()

    def choose(
        observations: npt.NDArray[Any],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        logits = np.zeros((len(observations), agent.actions.num_logits), np.float32)
        return choose_actions(logits, agent.actions.sizes, mask, uniforms), states

    bootstrap = generator(settings.seed, Purpose.BOOTSTRAP, int(Purpose.TEST), 1)
    return _play(agent, settings, choose, settings.evaluation_episodes, settings.seed, Purpose.TEST, bootstrap, None)[0]


def try_evaluation_environment(agent: ActorCriticAgent) -> None:
    """Make the environment of the evaluations of a run, if it is another than the training one, and check its spaces.

    Raises:
        ConfigError: It cannot be made, or has other spaces.
    """
    settings = agent.settings.for_evaluation()
    if (settings.environment, settings.environment_kwargs) == (
        agent.settings.environment,
        agent.settings.environment_kwargs,
    ):
        return
    environment, _ = make_evaluation_environment(settings, Purpose.TEST, 1)
    try:
        check_has_spaces_of(agent, settings.environment, environment)
    except ConfigError as error:
        raise ConfigError(f"evaluation_{error}") from None
    finally:
        environment.close()


def evaluation_settings(agent: ActorCriticAgent, passed: Passed, environment_kwargs: dict[str, Any] | None) -> Settings:
    """Return the settings of an agent with what it is to be evaluated on.

    Raises:
        ConfigError: An object is of the wrong kind.
        CheckpointError: The agent was read from a file that names code to import, without ``trust_code``.
    """
    settings = agent.settings
    config = Config(environment_kwargs=environment_kwargs)  # checks and copies them
    name = passed.settings.get("evaluation_environment", "")
    if name or environment_kwargs is not None:
        settings = settings.replace(
            evaluation_environment=None, evaluation_environment_kwargs=config.environment_kwargs or {}
        )
    settings = settings_of(settings, passed)
    is_lost = settings.environment not in agent.settings.objects and name in passed.objects
    is_lost &= ":" in settings.environment and name.partition(":")[2] == settings.environment.partition(":")[2]
    if name == settings.environment:  # its own class
        settings = settings.replace(evaluation_environment=None)
    elif is_lost:
        # The class of an agent that was read from a file, perhaps in another module now.
        own = Objects({settings.environment: passed.objects.load(name, "environment")})
        settings = settings.replace(evaluation_environment=None, objects=settings.objects | own)
    settings = settings.for_evaluation()
    check_trust(settings, agent.untrusted, agent.untrusted is None)
    return settings


def _play(
    agent: ActorCriticAgent,
    settings: Settings,
    choose: Policy,
    count: int,
    seed: int,
    purpose: Purpose,
    bootstrap: np.random.Generator,
    side_by_side: int | None,
) -> tuple[ModeResult, Reference | None, int]:
    """Play the episodes of one mode; the last result is the number of environments that could be made."""
    environment, quotas = make_evaluation_environment(settings, purpose, count, side_by_side)
    noise = generator(seed, Purpose.EVALUATION_ACTIONS, int(purpose))
    try:
        with boundary.watched():
            played = play(agent, settings, environment, choose, quotas, seed, noise)
    finally:
        environment.close()
    model = None if played.model_returns is None else summarize(played.model_returns, bootstrap)
    returns = summarize(played.returns, bootstrap)
    each = tuple(played.returns.tolist())
    result = ModeResult(returns, model, played.mean_length, played.cut, played.truncated, each)
    return result, played.reference, environment.num_envs


def long_evaluations(settings: Settings, environment: VectorEnvironment) -> str | None:
    """Return a warning if the evaluations of a run may take more steps than its training, else None.

    Args:
        settings: Settings of the run.
        environment: Its training environments.
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
        f"evaluation: may take up to {steps:,} steps, greedy and sampled (training: {settings.total_timesteps:,}), if "
        f"no episode ends before {longest:,} steps; reduce evaluation_episodes{shorter}"
    )
