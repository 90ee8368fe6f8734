"""The training state of a run: its checkpoints, and the snapshot to restore if an epoch is cut short."""

import logging
import time
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from actor_critic.agent import ActorCriticAgent
from actor_critic.environments import find_functional_class, find_spec, is_own
from actor_critic.errors import ActorCriticError, EnvironmentFault, RankFault
from actor_critic.imports import is_installed
from actor_critic.networks import CustomEncoder
from actor_critic.ranks import ALONE, Ranks
from actor_critic.rollouts import RolloutSource, part_of_state, whole_state_of
from actor_critic.storage import Change, Checkpoint, to_documents
from actor_critic.training.changing import changed
from actor_critic.training.code_digest import source_digest
from actor_critic.training.counters import Counters

log = logging.getLogger("actor_critic")

# Upper limits on the cost of snapshots: seconds, and a share of the time since the loop started.
_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE = 0.01, 1 / 300

_EPISODES = "environment."


class RunState:
    """An agent, its counters and its source of rollouts, saved and restored together.

    A snapshot of a rank holds its own environments; a checkpoint holds those of all ranks, as if there were one.

    Attributes:
        agent: The agent in training.
        counters: Epochs, steps, episodes, hours and the best score.
        objects: The user's classes, functions and instances, by the setting that names them.
        code: The digests of their code.
        changes: What the program changed between epochs.
        source: The open source of rollouts; None while the environments are closed.
        running_episodes: The state that the source saved when it was closed; None before the run started.
    """

    def __init__(self, agent: ActorCriticAgent, counters: Counters, ranks: Ranks = ALONE) -> None:
        """Start before the first epoch."""
        self.agent = agent
        self.counters = counters
        self.ranks = ranks
        self.objects = _objects_of_the_user(agent)
        self.code = {field: source_digest(found) for field, found in self.objects.items()}
        self.changes: list[Change] = []
        self.source: RolloutSource | None = None
        self.running_episodes: dict[str, npt.NDArray[Any]] | None = None
        self._snapshot: Checkpoint | None = None  # the state to restore, without settings
        self._began = self._spent = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether there are running episodes; without them the state is not complete."""
        return self.source is not None or self.running_episodes is not None

    def attach(self, source: RolloutSource) -> None:
        """Attach an open source of rollouts."""
        self.source = source
        self._began, self._spent = time.monotonic(), 0.0

    def checkpoint(self, best: float | None) -> Checkpoint:
        """Return the state as a checkpoint, and keep it as the snapshot to restore.

        Args:
            best: The best score so far, including this checkpoint.
        """
        checkpoint = self._checkpoint(best)
        if self.source is not None and self.ranks.is_alone:
            self._snapshot = checkpoint
        return checkpoint

    def contribute(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Return what this rank has of a checkpoint, which rank 0 asks for."""
        if self.source is not None and not self.ranks.is_alone:
            self._take_snapshot()
        own = {name: tensor.numpy() for name, tensor in self.agent.episode_state().items()}
        return {"agent": own, "episodes": self._episodes()}

    @property
    def digest(self) -> str:
        """SHA-256 of the training state, as 64 hexadecimal digits."""
        return self._checkpoint(self.counters.best).digest

    @property
    def wants_snapshot(self) -> bool:
        """Whether snapshots have taken little time since the loop started."""
        return self._spent <= _SNAPSHOT_SECONDS + _SNAPSHOT_SHARE * (time.monotonic() - self._began)

    def take_snapshot(self) -> None:
        """Keep a snapshot to restore."""
        now = time.monotonic()
        self._take_snapshot()
        self._spent += time.monotonic() - now

    def _take_snapshot(self) -> None:
        counts = {"optimizer_steps": self.agent.optimizer_steps, **self.counters.counts()}
        tensors = self.agent.state() | self.counters.tensors() | _as_tensors(self._episodes())
        self._snapshot = Checkpoint({}, {}, counts, tensors, self.counters.records())

    def detach(self, is_cut_short: bool) -> ActorCriticError | None:
        """Save the running episodes, and detach the source.

        If an epoch was cut short, or the episodes cannot be saved, restore the last snapshot.

        Returns:
            Why the episodes could not be saved; None if they were, or if there were none.
        """
        source, self.source = self.source, None
        snapshot, self._snapshot = self._snapshot, None
        fault: ActorCriticError | None = None
        if source is not None and not is_cut_short:
            try:
                with self.ranks.joint("leaving the loop"):
                    self.running_episodes = source.save_state()
                return None
            except (EnvironmentFault, RankFault) as error:  # its workers are dead, and their episodes lost
                log.warning("%s", error)
                fault = error
        if snapshot is not None:
            self.restore(snapshot)
            log.info("back at the state after epoch %d", self.counters.epoch)
        return fault

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint or snapshot; hours and the best score stay unchanged.

        Raises:
            CheckpointError: The tensors do not fit.
            KeyError: The checkpoint is no training state.
        """
        self.agent.load_state(checkpoint.tensors, checkpoint.counters["optimizer_steps"])
        self.counters.restore(checkpoint)
        self.running_episodes = {
            name.removeprefix(_EPISODES): tensor.numpy()
            for name, tensor in checkpoint.tensors.items()
            if name.startswith(_EPISODES)
        }
        self.set_changes([change for change in self.changes if change.epoch <= self.counters.epoch])

    def set_changes(self, changes: list[Change]) -> None:
        """Set what the program changed, and use the settings that follow."""
        self.changes = changes
        self.agent.use(changed(self.agent.settings, changes))

    def compare_code(self, saved: dict[str, str]) -> list[str]:
        """Compare the user's code with the digests of a checkpoint, and keep those that are the same.

        A digest of a file and one of the code itself may mean the same version.

        Returns:
            The settings that name other code, or only one of both has.
        """
        for key in saved.keys() & self.objects.keys():
            self.code[key] = source_digest(self.objects[key], like=saved[key])
        return [key for key in saved.keys() | self.code.keys() if saved.get(key) != self.code.get(key)]

    def reset_running_episodes(self, source: RolloutSource) -> None:
        """Replace the running episodes by new ones if the source cannot rebuild them.

        Args:
            source: A source that has started new episodes.
        """
        self.counters.begin_new_episodes()
        self.agent.forget_running_episodes()
        source.reset_hidden_state()

    def _checkpoint(self, best: float | None) -> Checkpoint:
        counters = self.counters
        # A change after this epoch is no part of its state: its checkpoint is written before.
        changes = to_documents(change for change in self.changes if change.epoch < counters.epoch)
        records = {**counters.records(), "best": best, **({} if self.ranks.is_alone else {"ranks": self.ranks.size})}
        return self.agent.checkpoint(counters.counts(), self._tensors_of_all(), records, dict(self.code), changes)

    def _tensors_of_all(self) -> dict[str, torch.Tensor]:
        """Return the counters, and what has rows of single environments, of all ranks."""
        if self.ranks.is_alone:
            return self.counters.tensors() | _as_tensors(self._episodes())
        parts = self.ranks.ask(self.contribute())
        own = {
            name: torch.from_numpy(np.concatenate([part["agent"][name] for part in parts]))
            for name in parts[0]["agent"]
        }
        episodes = whole_state_of([part["episodes"] for part in parts]) if parts[0]["episodes"] else {}
        return self.counters.tensors() | own | _as_tensors(episodes)

    def _episodes(self) -> dict[str, npt.NDArray[Any]]:
        return self.source.save_state() if self.source else self.running_episodes or {}

    def own_part_of(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return a checkpoint with the environments of this rank alone."""
        if self.ranks.is_alone:
            return checkpoint
        share = self.ranks.share_of(self.agent.settings.num_envs).slice
        tensors = dict(checkpoint.tensors)
        tensors |= {name: tensors[name][share] for name in self.agent.episode_state() if name in tensors}
        episodes = {
            name.removeprefix(_EPISODES): tensors.pop(name).numpy()
            for name in checkpoint.tensors
            if name.startswith(_EPISODES)
        }
        return replace(checkpoint, tensors=tensors | _as_tensors(part_of_state(episodes, share)))


def _as_tensors(episodes: dict[str, npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {_EPISODES + name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in episodes.items()}


def _objects_of_the_user(agent: ActorCriticAgent) -> dict[str, Any]:
    """Return the user's own code, by the settings that name it; wrappers as "wrappers.0" and so on.

    The code of an environment counts if the setting names its class or a function, rather than a registered id.
    """
    settings = agent.settings
    used: dict[str, Any] = {}
    functional = None if settings.is_random_states else find_functional_class(settings)
    if functional and is_own(functional[0]):
        used["environment"] = functional[0]
    elif not functional and find_spec(settings):
        used["environment"] = settings.objects.find(settings.environment)
    for index, name in enumerate(settings.wrapper_names):
        if name in settings.objects or not is_installed(name.partition(":")[0]):
            used[f"wrappers.{index}"] = settings.objects.load(name, "wrappers")
    if ":" in settings.reward_model:
        used["reward_model"] = settings.objects.load(settings.reward_model, "reward_model")
    if isinstance(agent.policy_network.trunk.encoder, CustomEncoder):
        used["encoder"] = settings.objects.load(settings.encoder, "encoder")
    return used
