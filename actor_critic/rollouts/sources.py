"""Sources of rollouts: sequential, or overlapped with the update."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from actor_critic.environments import State, part_of, whole_of
from actor_critic.errors import CheckpointError
from actor_critic.rollouts.actor import Actor
from actor_critic.rollouts.collector import Collector
from actor_critic.rollouts.rollout import Rollout

Result = TypeVar("Result")

_ACTOR = "actor."


class Acting(Protocol):
    """The part of an agent that a source of rollouts uses."""

    @property
    def actor(self) -> Actor:
        """The current policy."""

    def action_noise(self, block: int) -> npt.NDArray[np.float32]:
        """Return a block [T, N, G] of uniform numbers for sampling actions."""


class RolloutSource(Protocol):
    """A source of rollouts, one for each epoch."""

    def begin(self, seed: int) -> None:
        """Begin the first episodes of a run."""

    def next(self) -> tuple[Rollout, Actor | None]:
        """Return the epoch's rollout, and the policy that chose its actions if it is not the current one."""

    def learn(self, steps: Callable[[], Result], is_last: bool) -> Result:
        """Take the optimizer steps of the epoch; ``is_last`` means that no rollout is needed after it."""

    def save_state(self) -> State:
        """Return the state that later rollouts depend on, except the agent."""

    def load_state(self, state: State) -> None:
        """Continue where :meth:`save_state` was called.

        Raises:
            CheckpointError: No run can reach such a state.
            ReplayFault: A replayed episode differs from the saved one.
        """

    def reset_hidden_state(self) -> None:
        """Reset the policy's hidden states."""

    def close(self) -> None:
        """Release threads."""


def part_of_state(state: State, share: slice) -> State:
    """Return the part of a saved state that a rank needs, which steps the environments of a slice."""
    actor = {name: array for name, array in state.items() if name.startswith(_ACTOR)}
    return actor | part_of({name: array for name, array in state.items() if name not in actor}, share)


def whole_state_of(parts: Sequence[State]) -> State:
    """Return the saved state of all environments from those of the ranks, in order."""
    actor = {name: array for name, array in parts[0].items() if name.startswith(_ACTOR)}
    return actor | whole_of([{name: array for name, array in part.items() if name not in actor} for part in parts])


class Sequential(RolloutSource):
    """Collects with the current policy, then learns."""

    def __init__(self, collector: Collector, agent: Acting) -> None:
        self._collector = collector
        self._agent = agent

    def begin(self, seed: int) -> None:
        """See :class:`RolloutSource`."""
        self._collector.reset(seed)

    def next(self) -> tuple[Rollout, Actor | None]:
        """Collect; see :class:`RolloutSource`."""
        return self._collector.collect(self._agent.actor, self._agent.action_noise), None

    def learn(self, steps: Callable[[], Result], is_last: bool) -> Result:
        """See :class:`RolloutSource`."""
        return steps()

    def save_state(self) -> State:
        """Return the running episodes; see :class:`RolloutSource`."""
        return self._collector.save_state()

    def load_state(self, state: State) -> None:
        """See :class:`RolloutSource`."""
        with _of_a_sound_run():
            self._collector.load_state(state)

    def reset_hidden_state(self) -> None:
        """See :class:`RolloutSource`."""
        self._collector.reset_hidden_state()

    def close(self) -> None:
        """See :class:`RolloutSource`."""


class Overlapped(RolloutSource):
    """Collects the next rollout while another thread learns from this one, as Cleanba does (Huang et al., 2024).

    The policy at the start of an epoch collects the next rollout. So, from the second rollout on, the policy that
    learns is exactly one update ahead of the policy that acted, and the probability ratios compare these two. This does
    not depend on which thread is faster. A saved state holds the policy and the episodes at the start of the waiting
    rollout; a resumed run collects this rollout again.
    """

    def __init__(self, collector: Collector, agent: Acting, threads: int) -> None:
        """Collect on this thread, and let another one learn.

        Args:
            collector: Steps the environments.
            agent: Chooses the actions.
            threads: Number of PyTorch threads for learning.
        """
        self._collector = collector
        self._agent = agent
        self._actor = agent.actor.frozen()
        self._before: State = {}
        self._waiting: Rollout | None = None
        self._failure: Exception | None = None  # of collecting the waiting rollout; raised in the next epoch
        # PyTorch's thread count is set per calling thread.
        self._pool = ThreadPoolExecutor(1, "learning", torch.set_num_threads, (threads,))

    def begin(self, seed: int) -> None:
        """See :class:`RolloutSource`."""
        self._collector.reset(seed)
        self._before = self._collector.save_state()

    def next(self) -> tuple[Rollout, Actor | None]:
        """Return the rollout that was collected during the last epoch; see :class:`RolloutSource`."""
        if self._failure:
            raise self._failure
        rollout, self._waiting = self._waiting, None
        return rollout or self._collect(), self._actor

    def learn(self, steps: Callable[[], Result], is_last: bool) -> Result:
        """Learn, and collect the next rollout meanwhile; see :class:`RolloutSource`."""
        self._actor = self._agent.actor.frozen()
        self._before = self._collector.save_state()
        has_begun = threading.Event()

        def announced() -> Result:
            has_begun.set()
            return steps()

        learned = self._pool.submit(announced)
        try:
            has_begun.wait()  # otherwise this thread could run for milliseconds before learning begins
            if not is_last:
                self._waiting = self._collect()
        except Exception as error:
            self._failure = error
        finally:
            result = learned.result()
        return result

    def save_state(self) -> State:
        """Return the episodes and the policy that the waiting rollout begins with; see :class:`RolloutSource`."""
        return self._before | {_ACTOR + name: tensor.cpu().numpy() for name, tensor in self._actor.state().items()}

    def load_state(self, state: State) -> None:
        """See :class:`RolloutSource`."""
        actor = {name.removeprefix(_ACTOR): array for name, array in state.items() if name.startswith(_ACTOR)}
        with _of_a_sound_run():
            self._actor.load({name: torch.from_numpy(np.array(array)) for name, array in actor.items()})
            self._collector.load_state({name: array for name, array in state.items() if not name.startswith(_ACTOR)})
        self._before = self._collector.save_state()

    def reset_hidden_state(self) -> None:
        """See :class:`RolloutSource`."""
        self._collector.reset_hidden_state()
        self._before = self._collector.save_state()

    def close(self) -> None:
        """End the other thread; see :class:`RolloutSource`."""
        self._pool.shutdown()

    def _collect(self) -> Rollout:
        return self._collector.collect(self._actor, self._agent.action_noise)


@contextlib.contextmanager
def _of_a_sound_run() -> Iterator[None]:
    """Report an impossible state as CheckpointError: a checkpoint with valid digests may still hold one."""
    try:
        yield
    except (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the checkpoint's running episodes are not those of a run: {error}") from error
