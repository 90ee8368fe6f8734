"""ActorCriticAgent: acts, values and learns; one optimizer moves both of its networks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actor_critic import checkpoints
from actor_critic.backends import Batch, EagerBackend, UpdateRules, UpdateStatistics, choose_device
from actor_critic.checkpoints import Checkpoint
from actor_critic.config import Config, Layer, Settings, resolve, settings_from_document
from actor_critic.errors import CheckpointError, ConfigError, NumericalError
from actor_critic.networks import PolicyNetwork, ValueNetwork, encode
from actor_critic.normalization import ObservationNormalizer, RewardNormalizer, RunningMoments
from actor_critic.ops.returns import generalized_advantage
from actor_critic.parameters import FlatParameters
from actor_critic.rollout import Rollout
from actor_critic.seeding import Purpose, generator, integer_seed
from actor_critic.spaces import ActionSpec, ObservationSpec


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
        parameters: Both networks' parameters and gradients, each as one flat tensor.
    """

    def __init__(self, settings: Settings | Config, observations: ObservationSpec, actions: ActionSpec) -> None:
        """Build both networks, with weights drawn from the seed.

        Args:
            settings: What to build; a Config is resolved first.
            observations: The observation space, such as ``ObservationSpec.from_space(env.observation_space)``.
            actions: The action space, such as ``ActionSpec.from_space(env.action_space)``.

        Raises:
            ConfigError: The device is not there.
        """
        if isinstance(settings, Config):
            settings = resolve(Layer("Config", settings)).settings
        self.device = choose_device(settings.device)
        features, logits = observations.num_features, actions.num_logits
        self.settings = settings.replace(device=str(self.device), input_dim=features, output_dim=logits)
        self.observations = observations
        self.actions = actions
        random = torch.Generator().manual_seed(integer_seed(settings.seed, Purpose.PARAMETERS))
        shape = {"hidden_layers": settings.hidden_layers, "activation": settings.activation}
        self.policy = PolicyNetwork(features, logits, settings.hidden_dim, generator=random, **shape)  # type: ignore[arg-type]
        self.value_network = ValueNetwork(
            features,
            settings.hidden_dim,
            encoder=self.policy.encoder if settings.shared_encoder else None,
            generator=random,
            **shape,  # type: ignore[arg-type]
        )
        self.policy.to(self.device)
        self.value_network.to(self.device)
        self.parameters = FlatParameters([self.policy, self.value_network])
        self._backend = EagerBackend(self.policy, self.value_network, self.parameters, actions.sizes)
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
        state: None = None,
        action_mask: npt.ArrayLike | None = None,
        deterministic: bool = False,
    ) -> Any:
        """Choose an action for one observation, or one for each observation of a batch.

        Args:
            observation: One observation as the environment gives it, or a batch [B, *shape].
            state: Hidden state of a policy with memory; this policy has none.
            action_mask: [A] or [B, A] boolean, True where an action is allowed; None allows all.
            deterministic: Take the most probable action instead of sampling one.

        Returns:
            For one observation the action, an int or an array [G]; for a batch an array [B] or [B, G].

        Raises:
            ValueError: The observation or mask has the wrong shape or dtype, or allows no action.
        """
        if state is not None:
            raise ValueError("state: this policy has no memory; expected None")
        batch, is_single = self.observations.as_batch(observation)
        mask = None
        if action_mask is not None:
            mask = self.actions.check_mask(np.asarray(action_mask), None if is_single else len(batch))
        uniforms = None
        if not deterministic:
            uniforms = self._prediction_noise.random((len(batch), self.actions.num_groups), np.float32)
        actions = self.actions.to_environment(self.choose(batch, uniforms, mask))
        if not is_single:
            return actions
        return int(actions[0]) if self.actions.kind == "discrete" else actions[0]

    def choose(
        self,
        observations: npt.NDArray[np.generic],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Choices for a batch, without the checks of :meth:`act`.

        Args:
            observations: [B, *shape], raw.
            uniforms: [B, G], the uniform numbers to sample at; None takes the most probable choices.
            mask: [B, A], True where a choice is allowed; None allows all.

        Returns:
            [B, G], each choice counted from 0.
        """
        features = self._features(observations)
        allowed = None if mask is None else torch.from_numpy(mask).to(self.device)
        if uniforms is None:
            choices = self._backend.act_greedily(features, allowed)
        else:
            choices = self._backend.act(features, uniforms, allowed)
        return choices.cpu().numpy()

    def value(self, observation: Any) -> Any:
        """The critic's estimate of the return from one observation (a float), or from each of a batch (array [B])."""
        batch, is_single = self.observations.as_batch(observation)
        values = self._backend.values(self._features(batch)).cpu().numpy()
        return float(values[0]) if is_single else values

    # --- learning ---

    def action_noise(self, epoch: int) -> npt.NDArray[np.float32]:
        """The uniform numbers [T, N, G] that an epoch's actions are sampled at."""
        shape = (self.settings.num_steps, self.settings.num_envs, self.actions.num_groups)
        return generator(self.settings.seed, Purpose.ACTIONS, epoch).random(shape, np.float32)

    def update(self, rollout: Rollout, rewards: npt.NDArray[np.float32], epoch: int) -> Learned:
        """Learn from a rollout: clip and normalise rewards, estimate advantages, take the epoch's optimizer steps.

        Args:
            rollout: T steps of N environments.
            rewards: [T, N], from the reward model.
            epoch: Number of the epoch, from 1: which minibatches are drawn, and how far the learning rate is annealed.

        Raises:
            NumericalError: A reward, loss, gradient or parameter is not finite.
        """
        settings = self.settings
        rewards = self._training_rewards(rewards, rollout.ended)
        batch, explained = self._prepare(rollout, rewards)
        left = 1 - (epoch - 1) / settings.num_epochs  # of what is annealed
        clip_coef = settings.clip_coef
        rules = UpdateRules(
            learning_rate=settings.learning_rate * (left if settings.anneal_lr else 1.0),
            adam_beta1=settings.adam_beta1,
            adam_beta2=settings.adam_beta2,
            adam_epsilon=settings.adam_epsilon,
            clip_coef=clip_coef * left if clip_coef is not None and settings.anneal_clip else clip_coef,
            clip_vloss=settings.clip_vloss,
            normalize_advantages=settings.normalize_advantages,
            ent_coef=settings.ent_coef * (left if settings.anneal_ent else 1.0),
            vf_coef=settings.vf_coef,
            max_grad_norm=settings.max_grad_norm,
            target_kl=settings.target_kl,
        )
        statistics = self._backend.update(batch, self._minibatches(epoch), rules)
        self.parameters.check_finite()
        return Learned(statistics, explained, rules.learning_rate)

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps taken so far."""
        return self._backend.steps

    def _training_rewards(
        self, rewards: npt.NDArray[np.float32], ended: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        if self.settings.clip_rewards is not None:
            rewards = rewards.clip(-self.settings.clip_rewards, self.settings.clip_rewards)
        return self._reward_normalizer(rewards, ended) if self._reward_normalizer else rewards

    def _prepare(self, rollout: Rollout, rewards: npt.NDArray[np.float32]) -> tuple[Batch, float | None]:
        """Advantages and all else that the optimizer steps of an epoch start from, and the explained variance."""
        steps, envs = rewards.shape
        count = steps * envs
        observed = rollout.observations.reshape(-1, *self.observations.shape)  # ((T + 1) · N, *shape)
        if self._observation_normalizer:
            # Before the pass below, so that the ratios of this update compare two policies under the same statistics.
            self._observation_normalizer.update(self._encoded(observed[:count]))
        features = self._features(observed)
        actions = torch.from_numpy(rollout.actions.reshape(count, -1)).to(self.device)
        masks = None
        if rollout.masks is not None:
            masks = torch.from_numpy(rollout.masks.reshape(count, -1)).to(self.device)
        log_probs, values = self._backend.assess(features[:count], actions, masks)
        values_now = values.cpu().numpy().reshape(steps, envs)
        last = self._backend.values(features[count:]).cpu().numpy()
        next_values = np.concatenate([values_now[1:], last[None]])  # (T, N)
        truncated = rollout.truncated[rollout.final_steps, rollout.final_envs]
        if truncated.any():
            finals = self._backend.values(self._features(rollout.final_observations[truncated]))
            next_values[rollout.final_steps[truncated], rollout.final_envs[truncated]] = finals.cpu().numpy()
        advantages = generalized_advantage(
            rewards,
            values_now,
            next_values,
            rollout.terminated,
            rollout.ended,
            self.settings.gamma,
            self.settings.gae_lambda,
        )
        returns = advantages + values_now
        spread = float(returns.var())
        explained = 1 - float(advantages.var()) / spread if spread > 0 else None
        batch = Batch(
            features[:count],
            actions,
            masks,
            log_probs,
            values,
            torch.from_numpy(advantages.reshape(-1)).to(self.device),
            torch.from_numpy(returns.reshape(-1)).to(self.device),
        )
        return batch, explained

    def _minibatches(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The epoch's minibatches, each as indices into the batch."""
        settings = self.settings
        random = generator(settings.seed, Purpose.MINIBATCHES, epoch)
        if settings.num_minibatches == 1:
            return [np.arange(settings.batch_size)] * settings.update_epochs
        passes = [random.permutation(settings.batch_size) for _ in range(settings.update_epochs)]
        return [part for order in passes for part in np.split(order, settings.num_minibatches)]

    def _encoded(self, observations: npt.NDArray[np.generic]) -> Tensor:
        return encode(torch.from_numpy(observations).to(self.device), self.observations)

    def _features(self, observations: npt.NDArray[np.generic]) -> Tensor:
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
    def load(cls, path: str | Path, device: str = "auto") -> "ActorCriticAgent":
        """Read an agent from a checkpoint file. Nothing that the file names is imported.

        Args:
            path: A checkpoint.
            device: Where to put it; not necessarily where it was trained.

        Raises:
            CheckpointError: The file is damaged, or is no checkpoint.
        """
        return cls.from_checkpoint(checkpoints.load(Path(path)), path, device)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, origin: str | Path, device: str = "auto") -> "ActorCriticAgent":
        """Build the agent that a checkpoint holds.

        Raises:
            CheckpointError: Its settings or tensors do not fit together.
        """
        try:
            settings = settings_from_document(checkpoint.settings, origin).replace(device=device)
            observations = ObservationSpec.from_document(checkpoint.spaces["observation"])
            actions = ActionSpec.from_document(checkpoint.spaces["action"])
            agent = cls(settings, observations, actions)
            agent.load_state(checkpoint.tensors, checkpoint.counters["optimizer_steps"])
        except (ConfigError, NumericalError, KeyError, TypeError) as error:
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


def _tensor(tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    found = tensors.get(name)
    if found is None or found.shape != like.shape or found.dtype != like.dtype:
        has = "nothing" if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise CheckpointError(f"{name}: expected {tuple(like.shape)} {like.dtype}, found {has}")
    return found
