"""The set-up of a run: complete the settings, then build environments and networks."""

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import torch

from actor_critic.agent import ActorCriticAgent, weights_to_begin_with
from actor_critic.backends import choose_device, why_automatic
from actor_critic.config import Config, Passed, Settings, check_fits_in_memory, settings_of
from actor_critic.environments import (
    VectorEnvironment,
    check_same_spaces,
    choose_replay,
    choose_vectorization,
    runs_code_of_others,
    try_new_environment,
)
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.evaluation import try_evaluation_environment
from actor_critic.ranks import Ranks, Share, join, rank_on_this_host
from actor_critic.rewards import make_reward_rule
from actor_critic.spaces import describe_path, left_out, read_spaces
from actor_critic.storage import current_versions, here
from actor_critic.training.counters import Counters
from actor_critic.training.resume import SavedRun, restore
from actor_critic.training.rewards import EpochRewards
from actor_critic.training.run_state import RunState
from actor_critic.training.training_environments import GlobalSeeds, TrainingEnvironments, make_environments

log = logging.getLogger("actor_critic")


@dataclass(frozen=True)
class Prepared:
    """A run that is set up.

    Attributes:
        state: The agent, with complete settings, and its counters.
        environments: The training environments.
        rewards: The training rewards.
        seeds: Seeds the global generators.
        started_in: The folder that relative paths start from; environments may change the current folder.
        ranks: The ranks of the run.
    """

    state: RunState
    environments: TrainingEnvironments
    rewards: EpochRewards
    seeds: GlobalSeeds
    started_in: Path
    ranks: Ranks


def prepare(config: Config | Settings | SavedRun, passed: Passed) -> Prepared:
    """Set up a run: device, vectorization, replay, environments, sizes, memory check, networks, first weights.

    Afterwards no setting is "auto" and every size is known.

    Args:
        config: What to train, or the saved run to resume.
        passed: The user's objects, which replace settings.

    Raises:
        ConfigError: A setting is wrong, the environment cannot be made, or the run does not fit in memory.
        CheckpointError: The saved run does not fit its environment or the current code.
        EnvironmentFault: The user's functional environment writes wrong values.
    """
    started_in = here()
    saved = config if isinstance(config, SavedRun) else None
    settings = settings_of(config.settings_to_begin_with() if isinstance(config, SavedRun) else config, passed)
    ranks = join(settings.rank_timeout)
    torch.set_num_threads(1)  # the initial weights must not depend on the number of threads
    with ranks.joint():
        share = ranks.share_of(settings.num_envs, "batch_size" if settings.is_random_states else "num_envs")
        device = choose_device(settings.device, rank_on_this_host())
        if settings.device == "auto" and device.type != "cpu":
            log.info("device: %s", why_automatic(device))
        settings = settings.replace(device=str(device))
        if settings.is_random_states:
            check_fits_in_memory(settings, ranks=ranks.size, here=ranks.on_this_host)
        seeds = GlobalSeeds(settings.seed, runs_code_of_others(settings), ranks.index)
        seeds(0)
    ranks.use_device(device)
    settings = settings.replace(**ranks.lead(lambda: _chosen(settings, share)))
    with contextlib.ExitStack() as stack:  # closes the environments after an error, also of another rank
        with ranks.joint():
            seeds.is_needed = runs_code_of_others(settings)
            if saved is None and settings.is_saved_whole:
                try_new_environment(settings)
            environment = make_environments(settings, seeds, share)
            stack.callback(environment.close)
            agent, rewards = _build(settings, environment, None if saved else started_in, ranks)
            torch.set_num_threads(agent.settings.torch_threads)
            _check_overlap(agent)
            state = RunState(agent, Counters(settings.num_envs, settings.episode_figures), ranks)
            if saved:
                restore(state, saved)
            elif ranks.is_first:
                try_evaluation_environment(agent)
        _check_ranks_are_alike(state, saved)
        stack.pop_all()
    environments = TrainingEnvironments(agent.settings, seeds, environment, share)
    return Prepared(state, environments, rewards, seeds, started_in, ranks)


def _chosen(settings: Settings, share: Share) -> dict[str, Any]:
    """Return the settings of stepping that are "auto", chosen for the environments of one rank."""
    found = choose_replay(choose_vectorization(settings.replace(num_envs=share.count)))
    return {name: getattr(found, name) for name in ("vectorization", "workers", "replay")}


def _check_ranks_are_alike(state: RunState, saved: SavedRun | None) -> None:
    """Check that all ranks have the same settings, versions, code and checkpoint.

    Raises:
        ConfigError: They have not.
    """
    if state.ranks.is_alone:
        return
    settings = {name: value for name, value in state.agent.settings.to_document().items() if name != "device"}
    versions = {f"the version of {name}": version for name, version in current_versions().items()}
    code = {f"the code of {name}": digest for name, digest in state.code.items()}
    found = {
        "the checkpoint to continue from": f"{saved.origin.name} ({saved.checkpoint.digest[:8]})" if saved else None,
    }
    weights = {"the checksum of the first weights": crc32(state.agent.parameters.values.cpu().numpy().tobytes())}
    state.ranks.check_equal(
        "command, libraries and kind of processor, and with files and run folders that all of them see",
        found | settings | versions | code | weights,
    )


def _build(
    settings: Settings, environment: VectorEnvironment, weights_from: Path | None, ranks: Ranks
) -> tuple[ActorCriticAgent, EpochRewards]:
    """Build the agent for an environment's spaces, and the training rewards.

    Args:
        settings: Complete except for the sizes and the backend.
        environment: The environments.
        weights_from: The folder that ``init_from`` is relative to; None if ``init_from`` is not used.
        ranks: The ranks of the run.
    """
    space, action_space = environment.single_observation_space, environment.single_action_space
    whole, actions = read_spaces(settings.environment, space, action_space)
    observations = whole.without_codes_for(settings.encoder)
    spaces = observations, actions
    for part in observations.parts:
        if part.codes:
            log.info("observations%s: %s", describe_path(part.path), part)
    if unseen := left_out(space):
        log.info("observations: without %s", ", ".join(f"{name} ({reason})" for name, reason in unseen))
    settings = settings.fitted(observations.num_features, actions.num_logits)
    is_encoded = bool(observations.convolved(settings.encoder))
    is_encoded |= settings.embedding_dim is not None or ":" in settings.encoder
    check_fits_in_memory(settings, not is_encoded, ranks.size, ranks.on_this_host)
    if settings.vectorization == "native":
        check_same_spaces(settings, space, action_space)
    rule = make_reward_rule(settings, space, action_space)
    init_from, first = settings.init_from, None
    try:
        if init_from is not None and weights_from is not None:
            source, first = weights_to_begin_with(weights_from / init_from, settings, spaces)
            settings = settings.replace(init_from=str(source))
        agent = ActorCriticAgent(settings, observations, actions, ranks=ranks)
        if first is not None:
            agent.load_weights(first.tensors)
            log.info("weights from %s", settings.init_from)
    except CheckpointError as error:
        raise ConfigError(f"init_from: {init_from} does not fit: {error}") from None
    return agent, EpochRewards(rule, actions)


def _check_overlap(agent: ActorCriticAgent) -> None:
    """Refuse ``overlap`` if the policy from before the update cannot be kept."""
    if agent.settings.overlap and any(True for _ in agent.policy_network.buffers()):
        raise ConfigError(
            f"overlap: the encoder {agent.settings.encoder} keeps buffers beside its parameters, as batch "
            f"normalisation does, and overlap cannot keep their older values; set overlap to false"
        )
