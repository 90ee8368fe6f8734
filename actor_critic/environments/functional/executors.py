"""How the loops over N functional environments are executed: in plain Python, or compiled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from actor_critic.environments.functional.environment import FunctionalEnvironment
from actor_critic.environments.functional.features import feature_maker
from actor_critic.environments.functional.layout import Layout
from actor_critic.environments.functional.loops import bind, number_maker
from actor_critic.environments.functional.outputs import make_outs
from actor_critic.environments.functional.random import WORDS, Random
from actor_critic.seeding import Purpose, episode_seed, episode_seed_range


class Episodes:
    """The running episodes of N environments.

    Attributes:
        layout: The types and shapes of the arrays.
        stream: [5] int64: seed, purpose, the range of its episode seeds, and the number of the first environment.
        parameters: [V] records, the versions that running episodes have, and last that of the next episodes.
        versions: [N] int64, the index in ``parameters`` of each episode.
        first_version: How many changes the first of ``parameters`` has.
        states: [N] records or [N, *shape].
        memory: [N, bytes] uint8, the same memory.
        random: [N, WORDS] uint64, the generators.
        counts: [N, 2] int64, the number of the episode and its steps so far.
        limit: The step that truncates an episode.
    """

    def __init__(
        self, environment: FunctionalEnvironment, count: int, limit: int | None, purpose: Purpose, first: int = 0
    ) -> None:
        """Make the arrays for ``count`` environments from number ``first`` on; ``limit`` None means no limit."""
        self.layout = environment.layout
        self.stream = np.array([0, purpose, *episode_seed_range(purpose), first], np.int64)
        self.parameters = _records([environment.parameters], self.layout)
        self.versions = np.zeros(count, np.int64)
        self.first_version = 0
        self.states = self.layout.states(count)
        self.memory = _as_bytes(self.states)
        self.random = np.zeros((count, WORDS), np.uint64)
        self.counts = np.zeros((count, 2), np.int64)
        self.limit = np.iinfo(np.int64).max if limit is None else limit

    def set_parameters(self, versions: Sequence[Any], first: int) -> None:
        """Set the versions of the parameters; the next episodes have the last one.

        Args:
            versions: Records; those of the running episodes are among them.
            first: How many changes the first of them has.
        """
        self.parameters = _records(versions, self.layout)
        self.versions += self.first_version - first
        self.first_version = first

    def copy(self, environment: FunctionalEnvironment) -> "Episodes":
        """Return an independent copy; ``environment`` is the one that the episodes were made for."""
        made = Episodes(environment, len(self.counts), self.limit, Purpose(int(self.stream[1])))
        made.set_parameters(list(self.parameters), self.first_version)
        for name in ("stream", "versions", "memory", "random", "counts"):
            getattr(made, name)[:] = getattr(self, name)
        return made


class Outputs:
    """The arrays that N environments write into, for one step.

    Attributes:
        observations: [N, *shape], or [N] records for a Dict or Tuple.
        seen: [N, bytes] uint8, the same memory.
        features: [N, F] float32; the observations themselves where these are features.
        masks: [N, A].
        rewards: [N] float32.
        terminated: [N].
        truncated: [N].
        finals: As ``observations``, at the end of an episode; set where one ended.
        finals_seen: [N, bytes] uint8, the same memory.
    """

    def __init__(self, layout: Layout, count: int) -> None:
        """Make the arrays."""
        self.observations, self.finals = (make_outs(layout.observations, count) for _ in range(2))
        self.seen, self.finals_seen = (_as_bytes(array) for array in (self.observations, self.finals))
        self.features: npt.NDArray[Any] = self.observations
        if not layout.observations.is_plain:
            self.features = np.zeros((count, layout.observations.num_features), np.float32)
        self.masks = np.ones((count, layout.actions.num_logits), np.bool_)
        self.rewards = np.zeros(count, np.float32)
        self.terminated = np.zeros(count, np.bool_)
        self.truncated = np.zeros(count, np.bool_)


class Executor(Protocol):
    """Executes the loops of ``functional/loops.py``."""

    def reset(self, episodes: Episodes) -> int:
        """Begin the episodes that ``counts`` names; return −1, or ``FAILED`` if a function raised an exception."""

    def step(self, episodes: Episodes, actions: npt.NDArray[np.int64], outputs: Outputs) -> int:
        """Step with action indices [N, G], and return how many episodes ended; ``FAILED`` on an exception."""

    def observe(self, episodes: Episodes, outputs: Outputs) -> int:
        """Write observations, and return −1, or what is wrong: see ``loops.observe``; ``FAILED`` on an exception."""


class PythonExecutor(Executor):
    """Executes the functions in plain Python."""

    def __init__(
        self, environment: FunctionalEnvironment, functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        """Take the functions of an environment, or other ones in their place."""
        layout = environment.layout
        names: dict[str, Any] = {
            "action_mask": None,
            **(environment.functions if functions is None else functions),
            "number_of": number_maker(layout),
            "encode": feature_maker(layout),
            "random_at": Random,
            "start": lambda words, seed: Random(words).seed(seed),
            "episode_seed": _episode_seed,
        }
        self._loops = bind(layout, names)

    def reset(self, episodes: Episodes) -> int:
        """See :class:`Executor`."""
        with np.errstate(all="ignore"):
            bad: int = self._loops["reset"](
                0, len(episodes.counts), len(episodes.parameters), episodes.stream, episodes.parameters,
                episodes.versions, episodes.states, episodes.memory, episodes.random, episodes.counts,
            )  # fmt: skip
            return bad

    def step(self, episodes: Episodes, actions: npt.NDArray[np.int64], outputs: Outputs) -> int:
        """See :class:`Executor`."""
        with np.errstate(all="ignore"):
            ended: int = self._loops["step"](
                0, len(episodes.counts), len(episodes.parameters), episodes.limit, episodes.stream,
                episodes.parameters, episodes.versions, episodes.states, episodes.memory, episodes.random,
                episodes.counts, actions, outputs.rewards, outputs.terminated, outputs.truncated, outputs.finals,
                outputs.finals_seen,
            )  # fmt: skip
            return ended

    def observe(self, episodes: Episodes, outputs: Outputs) -> int:
        """See :class:`Executor`."""
        with np.errstate(all="ignore"):
            bad: int = self._loops["observe"](
                0, len(episodes.counts), episodes.parameters, episodes.versions, episodes.states,
                outputs.observations, outputs.seen, outputs.features, outputs.masks,
            )  # fmt: skip
            return bad


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.asarray(array).reshape(len(array), -1).view(np.uint8)


def _records(versions: Sequence[Any], layout: Layout) -> Any:
    made = np.zeros(len(versions), layout.parameters).view(np.recarray)
    for row, version in enumerate(versions):
        made[row] = version
    return made


def _episode_seed(seed: int, purpose: int, low: int, span: int, environment: int, episode: int) -> int:
    return episode_seed(int(seed), Purpose(int(purpose)), environment, int(episode))
