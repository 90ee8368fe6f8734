"""The actor-critic agent: actions, value estimates and updates of both networks."""

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic.agent.fixed import FixedAttributes
from actor_critic.agent.learner import Learner, Update, UpdateResult
from actor_critic.agent.loading import agent_settings, read_spaces_of, tensor_like
from actor_critic.agent.predictions import Predictions
from actor_critic.backends import choose_backend, choose_device, enough_memory, make_backend, make_repeatable
from actor_critic.config import Config, EncoderLike, Passed, Settings, settings_of
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.networks import (
    FeatureMaker,
    FlatParameters,
    RunningMoments,
    make_networks,
    make_observation_normalizer,
)
from actor_critic.ranks import ALONE, Ranks
from actor_critic.rollouts import Actor, Rollout
from actor_critic.seeding import Purpose, generator
from actor_critic.spaces import ActionSpec, ObservationSpec
from actor_critic.storage import Checkpoint, checkpoints

_NOISE_AT_ONCE = 4096


class ActorCriticAgent(Predictions, FixedAttributes):
    """A policy and a value function with one Adam optimizer for both, and their running statistics.

    A copy (with :mod:`copy` or pickle) is an independent agent in the same state. The settings, networks and device
    of an agent cannot be assigned: use :meth:`load_weights` for other weights, and a new agent for everything else.

    Attributes:
        settings: The resolved settings.
        observations: The observation space.
        actions: The action space.
        policy_network: The actor. It takes features, not observations; :meth:`probabilities` takes observations.
        value_network: The critic. It takes features, not observations; :meth:`value` takes observations.
        untrusted: The file that the agent was loaded from, if code that it names must not be imported; else None.
        parameters: The parameters and the gradients of both networks, each as one flat tensor.
    """

    _fixed: ClassVar = {
        **dict.fromkeys(("settings", "observations", "actions", "device"), "build a new agent"),
        **dict.fromkeys(
            ("policy_network", "value_network", "parameters"), "load_weights loads the weights of another agent"
        ),
    }

    @enough_memory()
    def __init__(
        self,
        settings: Settings | Config,
        observations: ObservationSpec,
        actions: ActionSpec,
        encoder: EncoderLike | None = None,
        *,
        ranks: Ranks = ALONE,
    ) -> None:
        """Build both networks and initialise them from the seed.

        Args:
            settings: The settings; a Config is resolved first.
            observations: The observation space, such as ``ObservationSpec.from_space(env.observation_space)``.
            actions: The action space, such as ``ActionSpec.from_space(env.action_space)``.
            encoder: Your module class that encodes observations, or a function that makes one; the settings then name
                it.
            ranks: The ranks of a data-parallel run, in which this agent learns.

        Raises:
            ConfigError: The device does not exist or has too little memory, or the observations do not fit the encoder.
        """
        of_subclass = frozenset(vars(self))  # attributes that a subclass set before this call
        settings = settings_of(settings, Passed(encoder=encoder))
        observations = observations.without_codes_for(settings.encoder)
        self.device = choose_device(settings.device)
        make_repeatable(self.device)
        features, logits = observations.num_features, actions.num_logits
        settings = settings.replace(device=str(self.device), input_dim=features, output_dim=logits)
        self.observations = observations
        self.actions = actions
        self.untrusted: str | None = None
        self.policy_network, self.value_network = make_networks(settings, observations, actions)
        self.policy_network.to(self.device)
        self.value_network.to(self.device)
        self.parameters = _flat([self.policy_network, self.value_network], settings.encoder)
        self.settings = settings.replace(backend=choose_backend(settings, self.policy_network, self.device))
        self._backend = make_backend(
            self.settings, self.policy_network, self.value_network, self.parameters, actions.sizes
        )
        normalizer = make_observation_normalizer(settings, observations, self.device)
        self._features = FeatureMaker(observations, self.device, normalizer)
        self._actor = Actor(self._features, self._backend.policy)
        state_dim = self.value_network.trunk.state_dim
        self._ranks, self._share = ranks, ranks.share_of(settings.num_envs)
        self._learner = Learner(
            self.settings, self._backend, self.parameters, self._features, state_dim, self.device, ranks
        )
        self._noise: tuple[int, npt.NDArray[np.float32]] | None = None  # the index of the last blocks, and the blocks
        self._prediction_noise = generator(settings.seed, Purpose.PREDICTION)
        self._own = frozenset({*vars(self), "_own"} - of_subclass)

    @property
    def actor(self) -> Actor:
        """The current policy with its feature computation."""
        return self._actor

    def action_noise(self, block: int) -> npt.NDArray[np.float32]:
        """Return a block [T, N, G] of uniform numbers for sampling actions; blocks count from 0.

        A rank returns the part of its environments.
        """
        shape = (self.settings.num_steps, self.settings.num_envs, self.actions.num_groups)
        # Several small blocks are drawn at once, because making a generator takes longer than drawing a block.
        together = max(1, _NOISE_AT_ONCE // math.prod(shape))
        first, row = divmod(block, together)
        if self._noise is None or self._noise[0] != first:
            random = generator(self.settings.seed, Purpose.ACTIONS, first + 1)
            self._noise = first, random.random((together, *shape), np.float32)
        block_of_all = self._noise[1][row]
        return block_of_all if self._share.is_whole else np.ascontiguousarray(block_of_all[:, self._share.slice])

    def update(self, rollout: Rollout, rewards: npt.NDArray[np.float32], epoch: int) -> UpdateResult:
        """Update on a rollout: clip and normalise rewards, estimate advantages, and take the epoch's optimizer steps.

        Args:
            rollout: T steps of N environments, collected with the current policy.
            rewards: [T, N], the training rewards before clipping and normalisation.
            epoch: Number of the epoch, from 1; it determines the minibatches and the annealing.

        Raises:
            NumericalError: A reward, loss, gradient or parameter is not finite.
        """
        return self.learn(self.prepare(rollout, rewards, epoch, None))

    def prepare(self, rollout: Rollout, rewards: npt.NDArray[np.float32], epoch: int, actor: Actor | None) -> Update:
        """Do the first half of :meth:`update`; see :meth:`Learner.prepare`."""
        return self._learner.prepare(rollout, rewards, epoch, actor)

    def learn(self, update: Update) -> UpdateResult:
        """Do the second half of :meth:`update`: estimate advantages, and take the optimizer steps.

        Raises:
            NumericalError: A reward, loss, gradient or parameter is not finite.
        """
        learned = self._learner.learn(update)
        self.parameters.check_finite()
        for buffer in () if self._ranks.is_alone else self._buffers():  # as of batch normalisation
            self._ranks.copy_from_first(buffer)
        return learned

    def use(self, settings: Settings) -> None:
        """Use other settings of the update from the next one on; ``self.settings`` stays as it is."""
        self._learner.use(settings)

    def forget_running_episodes(self) -> None:
        """Reset discounted reward sums and the critic's hidden states, because running episodes are lost."""
        self._learner.forget_running_episodes()

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps taken so far."""
        return self._backend.steps

    def state(self) -> dict[str, Tensor]:
        """Return weights, optimizer moments and running statistics, as tensors by name, on the CPU."""
        tensors: dict[str, Tensor] = {}
        for name, network in self._networks().items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        tensors["optimizer.first_moment"] = self._backend.first_moment
        tensors["optimizer.second_moment"] = self._backend.second_moment
        for name, moments in self._moments().items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in moments.state().items()}
        tensors |= self.episode_state()
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}

    def episode_state(self) -> dict[str, Tensor]:
        """Return the part of :meth:`state` that has one row for each environment; on a rank, for its own."""
        tensors = {}
        if self._learner.reward_normalizer:
            tensors["reward_normalizer.sums"] = torch.from_numpy(self._learner.reward_normalizer.sums)
        tensors["value_memory"] = torch.from_numpy(self._learner.value_states)
        return tensors

    def _state_of_all(self) -> dict[str, Tensor]:
        """Return :meth:`state` for all environments; a rank does not know the episodes of others, and begins anew."""
        if self._share.is_whole:
            return self.state()
        unknown = {
            name: torch.zeros(self._share.total, *tensor.shape[1:], dtype=tensor.dtype)
            for name, tensor in self.episode_state().items()
        }
        return self.state() | unknown

    def load_state(self, tensors: dict[str, Tensor], optimizer_steps: int) -> None:
        """Load a state that :meth:`state` returned.

        Raises:
            CheckpointError: A tensor is missing or has another shape.
        """
        self.load_weights(tensors)
        self._backend.first_moment.copy_(tensor_like(tensors, "optimizer.first_moment", self._backend.first_moment))
        self._backend.second_moment.copy_(tensor_like(tensors, "optimizer.second_moment", self._backend.second_moment))
        self._backend.steps = optimizer_steps
        learner = self._learner
        states = tensor_like(tensors, "value_memory", torch.from_numpy(learner.value_states))
        learner.value_states = states.numpy().copy()
        if learner.reward_normalizer:
            sums = tensor_like(tensors, "reward_normalizer.sums", torch.from_numpy(learner.reward_normalizer.sums))
            learner.reward_normalizer.sums = sums.numpy().copy()

    def load_weights(self, tensors: dict[str, Tensor]) -> None:
        """Load only the weights and the running statistics.

        Raises:
            CheckpointError: A tensor is missing or has another shape; the agent is then unchanged.
        """
        weights = {
            (name, key): tensor_like(tensors, f"{name}.{key}", tensor)
            for name, network in self._networks().items()
            for key, tensor in network.state_dict().items()
        }
        statistics = {
            name: {key: tensor_like(tensors, f"{name}.{key}", tensor) for key, tensor in moments.state().items()}
            for name, moments in self._moments().items()
        }
        for name, network in self._networks().items():
            network.load_state_dict({key: tensor for (owner, key), tensor in weights.items() if owner == name})
        for name, moments in self._moments().items():
            moments.load(statistics[name])
        self._features.refresh()
        self.parameters.check()
        self.parameters.check_finite()

    def save(self, path: str | Path) -> None:
        """Write this agent to a checkpoint file.

        Raises:
            CheckpointError: The file cannot be written.
        """
        checkpoints.save(self.checkpoint({}, {}), Path(path))

    def checkpoint(
        self,
        counters: dict[str, int],
        tensors: dict[str, Tensor],
        records: dict[str, float | None] | None = None,
        code: dict[str, str] | None = None,
        changes: list[dict[str, Any]] | None = None,
    ) -> Checkpoint:
        """Return this agent as a checkpoint, with the rest of the state of its run."""
        spaces = {"observation": self.observations.to_document(), "action": self.actions.to_document()}
        counters = {"optimizer_steps": self.optimizer_steps, **counters}
        tensors = self._state_of_all() | tensors
        document = self.settings.to_document()
        return Checkpoint(document, spaces, counters, tensors, records or {}, code or {}, changes=changes or [])

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        encoder: EncoderLike | None = None,
        *,
        trust_code: bool = False,
    ) -> "ActorCriticAgent":
        """Load an agent from a checkpoint file. Code that the file names is imported only with ``trust_code``.

        Args:
            path: A checkpoint.
            device: The device of the agent; it may differ from the training device.
            encoder: Your module class that encodes observations, if the agent was trained with one.
            trust_code: Whether code that the file names may be imported: an encoder now, and later the environment's
                code in an evaluation.

        Raises:
            ConfigError: The device does not exist.
            CheckpointError: The file is damaged, is no checkpoint, or names an encoder that was not given.
        """
        return cls.from_checkpoint(checkpoints.load(Path(path)), path, device, Passed(encoder=encoder), trust_code)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Checkpoint,
        origin: str | Path,
        device: str = "auto",
        passed: Passed | None = None,
        trust_code: bool = False,
    ) -> "ActorCriticAgent":
        """Build the agent of a checkpoint, with the user's objects; the other arguments are those of :meth:`load`.

        Raises:
            ConfigError: The device does not exist.
            CheckpointError: Settings and tensors do not match, or the checkpoint names an encoder that was not given.
        """
        settings = agent_settings(checkpoint, origin, device, passed or Passed(), trust_code)
        try:
            agent = cls(settings, *read_spaces_of(checkpoint))
            agent.untrusted = None if trust_code else str(origin)
            agent.load_state(checkpoint.tensors, checkpoint.counters["optimizer_steps"])
        except (ActorCriticError, LookupError, ArithmeticError, TypeError, ValueError) as error:
            raise CheckpointError(f"{origin} cannot be used: {error}") from error
        return agent

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is built from; views into one buffer cannot be copied one by one."""
        return {
            "built of": (self.settings, self.observations, self.actions),
            "tensors": self._state_of_all(),
            "optimizer_steps": self.optimizer_steps,
            "learns": [parameter.requires_grad for parameter in self._all_parameters()],
            "prediction": self._prediction_noise.bit_generator.state,
            "untrusted": self.untrusted,
            "of others": {name: value for name, value in vars(self).items() if name not in self._own},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the networks, and load the state."""
        settings, observations, actions = state["built of"]
        ActorCriticAgent.__init__(self, settings, observations, actions)
        self.load_state(state["tensors"], state["optimizer_steps"])
        for parameter, learns in zip(self._all_parameters(), state["learns"], strict=True):
            parameter.requires_grad_(learns)
        self._prediction_noise.bit_generator.state = state["prediction"]
        self.untrusted = state["untrusted"]
        for name, value in state["of others"].items():  # attributes of a subclass or of the caller
            setattr(self, name, value)

    def _all_parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for network in self._networks().values() for parameter in network.parameters()]

    def _buffers(self) -> list[Tensor]:
        """Return what custom encoders keep beside their parameters."""
        return list({id(b): b for network in self._networks().values() for b in network.buffers()}.values())

    def _networks(self) -> dict[str, torch.nn.Module]:
        return {"policy": self.policy_network, "value": self.value_network}

    def _moments(self) -> dict[str, RunningMoments]:
        """Return the running statistics by name; empty if nothing is normalised."""
        moments = {}
        if self._features.normalizer:
            moments["observation_normalizer"] = self._features.normalizer.moments
        if self._learner.reward_normalizer:
            moments["reward_normalizer"] = self._learner.reward_normalizer.moments
        return moments


def _flat(networks: list[torch.nn.Module], encoder: str) -> FlatParameters:
    try:
        return FlatParameters(networks)
    except TypeError as error:  # only a user's module can have parameters of another dtype or device
        raise ConfigError(f"encoder: {encoder}: {error}") from None
