"""The training environments of a run: make them, close them, and rebuild them in the state of the run."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from actor_critic.agent import ActorCriticAgent
from actor_critic.config import Settings
from actor_critic.environments import FunctionalVectorEnv, VectorEnvironment, make_vector_environment
from actor_critic.errors import ConfigError, ReplayFault
from actor_critic.process import recognized
from actor_critic.ranks import Share
from actor_critic.rollouts import Collector, Overlapped, RolloutSource, Sequential
from actor_critic.seeding import seed_global_generators
from actor_critic.training.changing import of_environments
from actor_critic.training.run_state import RunState

log = logging.getLogger("actor_critic")

# Streams of the global generators, besides the one for collecting.
LEARNING, EVALUATING, _OF_RANK = 3, 4, 5


class GlobalSeeds:
    """Seeds the global generators if user or third-party code may draw from them.

    Attributes:
        is_needed: Whether such code runs.
    """

    def __init__(self, seed: int, is_needed: bool, rank: int = 0) -> None:
        """Store the seed; nothing is seeded yet.

        Args:
            seed: The seed of the run.
            is_needed: Whether user or third-party code runs.
            rank: The rank; each has other numbers.
        """
        self._seed = seed
        self._of_rank = (_OF_RANK, rank) if rank else ()
        self.is_needed = is_needed

    def __call__(self, epoch: int, *stream: int) -> None:
        """Seed the generators for an epoch; epoch 0 is the set-up, which is the same on every rank."""
        if self.is_needed:
            seed_global_generators(self._seed, epoch, *stream, *(self._of_rank if epoch else ()))


class TrainingEnvironments:
    """The vector environment that a run is trained on.

    Attributes:
        current: The environments in use; if closed, the last ones.
    """

    def __init__(self, settings: Settings, seeds: GlobalSeeds, first: VectorEnvironment, share: Share) -> None:
        """Start with existing environments.

        Args:
            settings: The complete settings of the run.
            seeds: Seeds the global generators for the environments' constructors.
            first: The environments.
            share: Which ones of the run these are.
        """
        self._share = share
        self.current = first
        self._settings = settings
        self._seeds = seeds
        self._is_open = True
        self._changes: list[dict[str, Any]] = []

    def open(self, state: RunState) -> RolloutSource:
        """Return a source of rollouts in the state of a run.

        Raises:
            ConfigError: The environments cannot be made.
            EnvironmentFault: The environments cannot be reset, or do not replay their running episodes.
            CheckpointError: The state of the running episodes is invalid.
        """
        if not self._is_open:
            self._make()
        if changes := of_environments(state.changes):
            self.change(changes)
        self._seeds(state.counters.epoch)
        source = self._source(state)
        if state.running_episodes is None:
            source.begin(self._settings.seed)
            return source
        try:
            source.load_state(state.running_episodes)
        except ReplayFault as fault:
            raise ReplayFault(
                f"{fault}; it is not determined by its seed and actions, or it has changed since; to begin new "
                f"episodes instead, use --new-episodes (in Python: new_episodes=True)"
            ) from None
        if not self.current.is_exact:
            is_native = self._settings.vectorization == "native"
            log.warning(
                "resume not exact: %s of %s cannot rebuild running episodes, so new ones begin%s",
                "the native vector form" if is_native else "single instances",
                self._settings.environment,
                "; use vectorization sync, shared or workers for a run that may be stopped" if is_native else "",
            )
            state.reset_running_episodes(source)
        return source

    def change(self, changes: list[dict[str, Any]]) -> None:
        """Change the environments; see :meth:`VectorEnvironment.change`.

        Raises:
            ConfigError: They cannot be changed, or have no such method or attribute.
        """
        if changes:
            if self._settings.overlap:
                raise ConfigError("change: environments cannot change with overlap, which collects one epoch ahead")
            if not self._is_open:
                self._make()  # to check the change
            self.current.change(changes)
        self._changes = changes

    def close(self) -> None:
        """Close the environments if they are open."""
        if self._is_open:
            self._is_open = False
            with recognized():
                self.current.close()

    @contextlib.contextmanager
    def closed_meanwhile(self) -> Iterator[None]:
        """Close the environments while the block runs; then rebuild them in the same state."""
        episodes, changes = self.current.save_state(), self._changes
        self.close()
        try:
            yield
        finally:
            self._make()
            self.change(changes)
            self._collector.go_on_in(self.current, episodes)

    def _make(self) -> None:
        self.current = make_environments(self._settings, self._seeds, self._share)
        self._is_open = True

    def _source(self, state: RunState) -> RolloutSource:
        settings, agent = self._settings, state.agent
        self._collector = make_collector(self.current, agent, buffers=2 if settings.overlap else 1)
        if settings.overlap:
            return Overlapped(self._collector, agent, settings.torch_threads)
        return Sequential(self._collector, agent)


def make_collector(environment: VectorEnvironment, agent: ActorCriticAgent, buffers: int) -> Collector:
    """Return the collector of a run: compiled if environments and policy are, else in Python, with the same bits."""
    steps, spaces = agent.settings.num_steps, (agent.observations, agent.actions)
    is_compiled = isinstance(environment, FunctionalVectorEnv) and environment.is_compiled
    # Numbers that float32 cannot hold are normalised in float64.
    is_wide = agent.settings.normalize_observations and agent.observations.is_wide
    if is_compiled and agent.settings.backend == "fused" and not is_wide:
        from actor_critic.rollouts import compiled  # imported here because it loads Numba

        assert isinstance(environment, FunctionalVectorEnv)
        return compiled.CompiledCollector(environment, *spaces, steps, buffers)
    return Collector(environment, *spaces, steps, agent.policy_network.trunk.state_dim, buffers)


def make_environments(settings: Settings, seeds: GlobalSeeds, share: Share) -> VectorEnvironment:
    """Make a rank's environments; their constructors draw the same random numbers each time.

    Raises:
        ConfigError: The environments cannot be made.
    """
    seeds(0)
    return make_vector_environment(settings, num_envs=share.count, first=share.first)
