"""ActorCriticAgent: acts, values and learns; one optimizer moves both of its networks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic import checkpoints
from actor_critic.backends import (
    Batch,
    Sequences,
    UpdateStatistics,
    choose_backend,
    choose_device,
    make_backend,
)
from actor_critic.checkpoints import Checkpoint
from actor_critic.config import Config, Settings, settings_from_document, settings_of
from actor_critic.encoders import EncoderMaker, encode
from actor_critic.errors import CheckpointError, ConfigError, NumericalError
from actor_critic.networks import make_networks
from actor_critic.normalization import ObservationNormalizer, RewardNormalizer, RunningMoments
from actor_critic.ops.returns import generalized_advantage
from actor_critic.parameters import FlatParameters
from actor_critic.rollout import Rollout
from actor_critic.seeding import Purpose, generator
from actor_critic.spaces import ActionSpec, ObservationSpec
from actor_critic.update_plan import minibatches, update_rules


@dataclass(frozen=True)
class Learned:
    """What one update did.

    Attributes:
        statistics: Means over its optimizer steps.
        explained_variance: 1 − Var(R − V) / Var(R) before the first step; None where the returns do not vary.
        learning_rate: Of this epoch.
    """

    statistics: UpdateStatistics
    explained_variance: float | None
    learning_rate: float


class ActorCriticAgent:
    """A policy and a value function, one Adam for both, and the running statistics they need.

    Attributes:
        settings: The resolved settings.
        observations: The observation space it was built for.
        actions: The action space it was built for.
        policy: The actor.
        value_network: The critic.
        untrusted: The file it was read from, where code that this file names may not be imported; else None.
        parameters: Both networks' parameters and gradients, each as one flat tensor.
    """

    def __init__(
        self,
        settings: Settings | Config,
        observations: ObservationSpec,
        actions: ActionSpec,
        encoder: EncoderMaker | None = None,
    ) -> None:
        """Build both networks, with weights drawn from the seed.

        Args:
            settings: What to build; a Config is resolved first.
            observations: The observation space, such as ``ObservationSpec.from_space(env.observation_space)``.
            actions: The action space, such as ``ActionSpec.from_space(env.action_space)``.
            encoder: A module class of yours to encode observations with; the settings then name it.

        Raises:
            ConfigError: The device is not there, or the observations do not fit the encoder.
        """
        settings = settings_of(settings, encoder)
        self.device = choose_device(settings.device)
        features, logits = observations.num_features, actions.num_logits
        self.settings = settings.replace(device=str(self.device), input_dim=features, output_dim=logits)
        self.observations = observations
        self.actions = actions
        self.untrusted: str | None = None
        self.policy, self.value_network = make_networks(self.settings, observations, actions, encoder)
        self.policy.to(self.device)
        self.value_network.to(self.device)
        self.parameters = _flat([self.policy, self.value_network], settings.encoder)
        self.settings = self.settings.replace(backend=choose_backend(self.settings, self.policy, self.device))
        self._backend = make_backend(self.settings, self.policy, self.value_network, self.parameters, actions.sizes)
        self._value_states = np.zeros((settings.num_envs, self.value_network.trunk.state_dim), np.float32)
        self._observation_normalizer = (
            ObservationNormalizer(features, self.device) if settings.normalize_observations else None
        )
        self._reward_normalizer = (
            RewardNormalizer(settings.num_envs, settings.gamma) if settings.normalize_rewards else None
        )
        self._prediction_noise = generator(settings.seed, Purpose.PREDICTION)

    # --- acting ---

    def act(
        self,
        observation: Any,
        *,
        state: npt.NDArray[np.float32] | None = None,
        action_mask: npt.ArrayLike | None = None,
        deterministic: bool = False,
    ) -> Any:
        """Choose an action for one observation, or one for each observation of a batch.

        Args:
            observation: One observation as the environment gives it, or a batch [B, *shape]; where observations are
                dicts or tuples, a batch is a dict or tuple of arrays.
            state: With memory, what the call before returned, [S] or [B, S]; None at the beginning of an episode.
            action_mask: [A] or [B, A] boolean, True where an action is allowed; None allows all.
            deterministic: Take the most probable action instead of sampling one.

        Returns:
            For one observation the action as the environment takes it: an int, an array, a dict or tuple; for a batch
            an array [B] or [B, *shape], or a dict or tuple of arrays. With memory ``(action, state)``.

        Raises:
            ValueError: The observation, state or mask has the wrong shape or dtype, or allows no action.
        """
        batch, is_single = self.observations.as_batch(observation)
        states = self._check_state(state, None if is_single else len(batch))
        mask = None
        if action_mask is not None:
            mask = self.actions.check_mask(np.asarray(action_mask), None if is_single else len(batch))
        uniforms = None
        if not deterministic:
            uniforms = self._prediction_noise.random((len(batch), self.actions.num_groups), np.float32)
        choices, after = self.choose(batch, uniforms, mask, states)
        if not is_single:
            actions = self.actions.to_environment(choices)
            return (actions, after) if self.has_memory else actions
        action = self.actions.one_by_one(choices)[0]
        action = int(action) if np.ndim(action) == 0 and not self.actions.is_nested else action
        return (action, after[0]) if self.has_memory else action

    @property
    def has_memory(self) -> bool:
        """Whether what the agent does depends on what it saw before."""
        return self.settings.memory is not None

    def initial_state(self, count: int) -> npt.NDArray[np.float32]:
        """Hidden states [count, S] at the beginning of an episode; no columns without memory."""
        return np.zeros((count, self.policy.trunk.state_dim), np.float32)

    def choose(
        self,
        observations: npt.NDArray[Any],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Choices for a batch, without the checks of :meth:`act`.

        Args:
            observations: [B, *shape], raw.
            uniforms: [B, G], the uniform numbers to sample at; None takes the most probable choices.
            mask: [B, A], True where a choice is allowed; None allows all.
            states: [B, S], hidden states before.

        Returns:
            Choices [B, G], each counted from 0, and hidden states [B, S] afterwards.
        """
        features = self._features(observations)
        allowed = None if mask is None else torch.from_numpy(mask).to(self.device)
        before = torch.from_numpy(states).to(self.device)
        choices, after = self._backend.act(features, uniforms, allowed, before)
        return choices.cpu().numpy(), after.cpu().numpy()

    def value(self, observation: Any) -> Any:
        """The critic's estimate of the return from one observation (a float), or from each of a batch (array [B]).

        With memory it is the estimate at the beginning of an episode.
        """
        batch, is_single = self.observations.as_batch(observation)
        states = np.zeros((len(batch), self.value_network.trunk.state_dim), np.float32)
        values = self._values(batch, states)
        return float(values[0]) if is_single else values

    def _check_state(self, state: npt.NDArray[np.float32] | None, count: int | None) -> npt.NDArray[np.float32]:
        """Hidden states [count or 1, S] from what a caller gave."""
        width = self.policy.trunk.state_dim
        if state is None:
            return self.initial_state(count or 1)
        if not self.has_memory:
            raise ValueError("state: this policy has no memory; expected None")
        expected = (width,) if count is None else (count, width)
        array = np.asarray(state)
        if array.shape != expected or array.dtype != np.float32:
            raise ValueError(
                f"state: {array.shape} {array.dtype} does not fit; expected {expected} float32, as act returned it"
            )
        return array.reshape(-1, width)

    def _values(self, observations: npt.NDArray[Any], states: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The critic's values [B] of observations [B, *shape] in hidden states [B, S]."""
        values = self._backend.values(self._features(observations), torch.from_numpy(states).to(self.device))[0]
        return values.cpu().numpy()

    # --- learning ---

    def action_noise(self, block: int) -> npt.NDArray[np.float32]:
        """A block [T, N, G] of the uniform numbers that actions are sampled at, counted from 0."""
        shape = (self.settings.num_steps, self.settings.num_envs, self.actions.num_groups)
        return generator(self.settings.seed, Purpose.ACTIONS, block + 1).random(shape, np.float32)

    def update(self, rollout: Rollout, rewards: npt.NDArray[np.float32], epoch: int) -> Learned:
        """Learn from a rollout: clip and normalise rewards, estimate advantages, take the epoch's optimizer steps.

        Args:
            rollout: T steps of N environments.
            rewards: [T, N], from the reward model.
            epoch: Number of the epoch, from 1: which minibatches are drawn, and how far the learning rate is annealed.

        Raises:
            NumericalError: A reward, loss, gradient or parameter is not finite.
        """
        rewards = self._training_rewards(rewards, rollout)
        batch, explained = self._prepare(rollout, rewards)
        rules = update_rules(self.settings, epoch)
        statistics = self._backend.update(batch, minibatches(self.settings, epoch, rollout.live), rules)
        self.parameters.check_finite()
        return Learned(statistics, explained, rules.learning_rate)

    def forget_running_episodes(self) -> None:
        """Begin sums over steps and the critic's memory anew, where running episodes are lost."""
        self._value_states[:] = 0.0
        if self._reward_normalizer:
            self._reward_normalizer.sums[:] = 0.0

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps taken so far."""
        return self._backend.steps

    def _training_rewards(self, rewards: npt.NDArray[np.float32], rollout: Rollout) -> npt.NDArray[np.float32]:
        if self.settings.clip_rewards is not None:
            rewards = rewards.clip(-self.settings.clip_rewards, self.settings.clip_rewards)
        return self._reward_normalizer(rewards, rollout.ended, rollout.live) if self._reward_normalizer else rewards

    def _prepare(self, rollout: Rollout, rewards: npt.NDArray[np.float32]) -> tuple[Batch, float | None]:
        """Advantages and all else that the optimizer steps of an epoch start from, and the explained variance."""
        steps, envs = rewards.shape
        count = steps * envs
        observed = rollout.observations.reshape(-1, *self.observations.shape)  # ((T + 1) · N, *shape)
        if self._observation_normalizer:
            # Before the pass below, so that the ratios of this update compare two policies under the same statistics.
            seen = observed[:count] if rollout.live is None else observed[:count][rollout.live.reshape(-1)]
            if len(seen):
                self._observation_normalizer.update(self._encoded(seen))
        features = self._features(observed)
        actions = torch.from_numpy(rollout.actions.reshape(count, -1)).to(self.device)
        masks = None
        if rollout.masks is not None:
            masks = torch.from_numpy(rollout.masks.reshape(count, -1)).to(self.device)
        sequences = self._sequences(rollout) if self.has_memory else None
        assessed = self._backend.assess(features[:count], actions, masks, sequences)
        values = assessed.values.cpu().numpy().reshape(steps, envs)
        advantages = generalized_advantage(
            rewards,
            values,
            self._next_values(rollout, values, features[count:], assessed.value_states),
            rollout.terminated,
            rollout.ended,
            self.settings.gamma,
            self.settings.gae_lambda,
        )
        returns = advantages + values
        batch = Batch(
            features[:count],
            actions,
            masks,
            assessed.log_probs,
            assessed.values,
            torch.from_numpy(advantages.reshape(-1)).to(self.device),
            torch.from_numpy(returns.reshape(-1)).to(self.device),
            sequences,
        )
        if rollout.live is not None:
            advantages, returns = advantages[rollout.live], returns[rollout.live]
            if sequences is None:  # with memory they stay in their sequences, and are left out of the loss
                batch = batch.select(torch.from_numpy(np.flatnonzero(rollout.live)).to(self.device))
        spread = float(returns.var()) if returns.size else 0.0
        return batch, 1 - float(advantages.var()) / spread if spread > 0 else None

    def _sequences(self, rollout: Rollout) -> Sequences:
        """Where a rollout's sequences begin. A shared trunk has one state for both networks: the policy's."""
        is_shared = self.policy.trunk is self.value_network.trunk
        before = rollout.states if is_shared else self._value_states
        return Sequences(
            torch.from_numpy(rollout.states).to(self.device),
            torch.from_numpy(before).to(self.device),
            torch.from_numpy(rollout.starts).to(self.device),
            None if rollout.live is None else torch.from_numpy(rollout.live.reshape(-1)).to(self.device),
        )

    def _next_values(
        self, rollout: Rollout, values: npt.NDArray[np.float32], last: Tensor, states: Tensor | None
    ) -> npt.NDArray[np.float32]:
        """The value [T, N] of what followed each step; it does not matter where an episode terminated.

        Args:
            rollout: The steps.
            values: [T, N], of the observations acted in.
            last: [N, F], features of the observations that the next rollout begins with.
            states: [T, N, S], the value function's hidden states after each step; None without memory.
        """
        if states is None:
            states = torch.zeros((*values.shape, 0), device=self.device)
        following, _ = self._backend.values(last, states[-1])
        next_values = np.concatenate([values[1:], following.cpu().numpy()[None]])
        truncated = rollout.truncated[rollout.final_steps, rollout.final_envs]
        if truncated.any():
            at = rollout.final_steps[truncated], rollout.final_envs[truncated]
            next_values[at] = self._values(rollout.final_observations[truncated], states.cpu().numpy()[at])
        self._value_states = np.where(rollout.forgets[-1][:, None], np.float32(0), states[-1].cpu().numpy())
        return next_values

    def _encoded(self, observations: npt.NDArray[Any]) -> Tensor:
        return encode(observations, self.observations, self.device)

    def _features(self, observations: npt.NDArray[Any]) -> Tensor:
        features = self._encoded(observations)
        return self._observation_normalizer(features) if self._observation_normalizer else features

    # --- keeping ---

    def state(self) -> dict[str, Tensor]:
        """Weights, optimizer moments and running statistics, as tensors by name."""
        tensors: dict[str, Tensor] = {}
        for name, network in self._networks().items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        tensors["optimizer.first_moment"] = self._backend.first_moment
        tensors["optimizer.second_moment"] = self._backend.second_moment
        for name, moments in self._moments().items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in moments.state().items()}
        if self._reward_normalizer:
            tensors["reward_normalizer.sums"] = torch.from_numpy(self._reward_normalizer.sums)
        tensors["value_memory"] = torch.from_numpy(self._value_states)
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def load_state(self, tensors: dict[str, Tensor], optimizer_steps: int) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            CheckpointError: A tensor is missing, or has another shape.
        """
        self.load_weights(tensors)
        self._backend.first_moment.copy_(_tensor(tensors, "optimizer.first_moment", self._backend.first_moment))
        self._backend.second_moment.copy_(_tensor(tensors, "optimizer.second_moment", self._backend.second_moment))
        self._backend.steps = optimizer_steps
        self._value_states = _tensor(tensors, "value_memory", torch.from_numpy(self._value_states)).numpy().copy()
        if self._reward_normalizer:
            sums = torch.from_numpy(self._reward_normalizer.sums)
            self._reward_normalizer.sums = _tensor(tensors, "reward_normalizer.sums", sums).numpy().copy()

    def load_weights(self, tensors: dict[str, Tensor]) -> None:
        """Take over the weights and the running statistics, and nothing else.

        Raises:
            CheckpointError: A tensor is missing, or has another shape; nothing was changed then.
        """
        weights = {
            (name, key): _tensor(tensors, f"{name}.{key}", tensor)
            for name, network in self._networks().items()
            for key, tensor in network.state_dict().items()
        }
        statistics = {
            name: {key: _tensor(tensors, f"{name}.{key}", tensor) for key, tensor in moments.state().items()}
            for name, moments in self._moments().items()
        }
        for name, network in self._networks().items():
            network.load_state_dict({key: tensor for (owner, key), tensor in weights.items() if owner == name})
        for name, moments in self._moments().items():
            moments.load(statistics[name])
        if self._observation_normalizer:
            self._observation_normalizer.refresh()
        self.parameters.check()
        self.parameters.check_finite()

    def save(self, path: str | Path) -> None:
        """Write this agent as a checkpoint.

        Raises:
            CheckpointError: The disk refused.
        """
        checkpoints.save(self.checkpoint({}, {}), Path(path))

    def checkpoint(self, counters: dict[str, int], tensors: dict[str, Tensor]) -> Checkpoint:
        """This agent as a checkpoint, with the counters and tensors of whatever surrounds it."""
        spaces = {"observation": self.observations.to_document(), "action": self.actions.to_document()}
        counters = {"optimizer_steps": self.optimizer_steps, **counters}
        return Checkpoint(self.settings.to_document(), spaces, counters, self.state() | tensors)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        encoder: EncoderMaker | None = None,
        *,
        trust_code: bool = False,
    ) -> "ActorCriticAgent":
        """Read an agent from a checkpoint file. Nothing that the file names is imported unless you say so.

        Args:
            path: A checkpoint.
            device: Where to put it; not necessarily where it was trained.
            encoder: The module class that encodes its observations, where that is one of yours.
            trust_code: Whether code that the file names may be imported: an encoder now, and what an evaluation needs.

        Raises:
            CheckpointError: The file is damaged, is no checkpoint, or names an encoder that was not given.
        """
        return cls.from_checkpoint(checkpoints.load(Path(path)), path, device, encoder, trust_code)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Checkpoint,
        origin: str | Path,
        device: str = "auto",
        encoder: EncoderMaker | None = None,
        trust_code: bool = False,
    ) -> "ActorCriticAgent":
        """Build the agent that a checkpoint holds; the arguments are those of :meth:`load`.

        Raises:
            CheckpointError: Its settings or tensors do not fit together, or it names an encoder that was not given.
        """
        try:
            settings = settings_from_document(checkpoint.settings, origin).replace(device=device)
            if ":" in settings.encoder and encoder is None and not trust_code:
                raise CheckpointError(
                    f"{origin} was trained with the encoder {settings.encoder}; hand that class over as encoder=..., "
                    f"or set trust_code=True if you know and trust it"
                )
            observations = ObservationSpec.from_document(checkpoint.spaces["observation"])
            actions = ActionSpec.from_document(checkpoint.spaces["action"])
            agent = cls(settings, observations, actions, encoder)
            agent.untrusted = None if trust_code else str(origin)
            agent.load_state(checkpoint.tensors, checkpoint.counters["optimizer_steps"])
        except (ConfigError, NumericalError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{origin} cannot be used: {error}") from error
        return agent

    def _networks(self) -> dict[str, torch.nn.Module]:
        return {"policy": self.policy, "value": self.value_network}

    def _moments(self) -> dict[str, RunningMoments]:
        """The running statistics by name; none where nothing is normalised."""
        moments = {}
        if self._observation_normalizer:
            moments["observation_normalizer"] = self._observation_normalizer.moments
        if self._reward_normalizer:
            moments["reward_normalizer"] = self._reward_normalizer.moments
        return moments


def _flat(networks: list[torch.nn.Module], encoder: str) -> FlatParameters:
    try:
        return FlatParameters(networks)
    except TypeError as error:  # only a module of the user's own has other parameters than the rest
        raise ConfigError(f"encoder: {encoder}: {error}") from None


def _tensor(tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    found = tensors.get(name)
    if found is None or found.shape != like.shape or found.dtype != like.dtype:
        has = "nothing" if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise CheckpointError(f"{name}: expected {tuple(like.shape)} {like.dtype}, found {has}")
    return found
