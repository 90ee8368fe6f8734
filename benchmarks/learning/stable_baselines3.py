"""Stable-Baselines3's PPO with the environment, steps, network and settings of one of our runs."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from actor_critic import Config
from actor_critic.config import Layer, Settings, resolve
from actor_critic.environments import EnvironmentMaker
from actor_critic.networks.encoders import CNNS
from actor_critic.seeding import Purpose, episode_seed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of the library during import
    from stable_baselines3 import PPO
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import DummyVecEnv


class SmallCnn(BaseFeaturesExtractor):
    """The small CNN and the hidden layer after it, for channels-last images."""

    def __init__(self, observation_space: gym.spaces.Box, hidden_dim: int) -> None:
        super().__init__(observation_space, hidden_dim)
        height, width, channels = observation_space.shape
        ((filters, side, stride),) = CNNS["small_cnn"]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, filters, side, stride),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * (height - side + 1) * (width - side + 1), hidden_dim),
            nn.ReLU(),
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return [B, hidden_dim] for images [B, H, W, C]."""
        encoded: Tensor = self.layers(observations.permute(0, 3, 1, 2))
        return encoded


def train_and_evaluate(config: Config, episodes: int) -> dict[str, float]:
    """Train Stable-Baselines3 with the settings of one of our runs; return its mean greedy and sampled returns.

    The evaluation uses the same episodes as ours. Its value loss lacks the factor ½, so ``vf_coef`` is halved.
    """
    settings = resolve(Layer("peer", config)).settings
    torch.set_num_threads(settings.threads)
    make = EnvironmentMaker(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PPO(
            "MlpPolicy",
            DummyVecEnv([make] * settings.num_envs),
            learning_rate=lambda left: settings.learning_rate * (left if settings.anneal_lr else 1.0),
            n_steps=settings.num_steps,
            batch_size=settings.minibatch_size,
            n_epochs=settings.update_epochs,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            clip_range=settings.clip_coef,
            ent_coef=settings.ent_coef,
            vf_coef=settings.vf_coef / 2,
            max_grad_norm=settings.max_grad_norm,
            policy_kwargs=_policy(settings),
            seed=settings.seed,
            device="cpu",
        )
        model.learn(settings.total_timesteps)
    returns = {mode: _returns(model, make, settings.seed, episodes, mode == "greedy") for mode in ("greedy", "sampled")}
    return {mode: float(np.mean(each)) for mode, each in returns.items()}


def _policy(settings: Settings) -> dict[str, Any]:
    assert (settings.encoder, settings.hidden_layers, settings.activation) == ("small_cnn", 1, "relu")
    return {
        "features_extractor_class": SmallCnn,
        "features_extractor_kwargs": {"hidden_dim": settings.hidden_dim},
        "share_features_extractor": settings.shared_encoder,
        "net_arch": [],
        "optimizer_kwargs": {"eps": settings.adam_epsilon},
    }


def _returns(model: PPO, make: EnvironmentMaker, seed: int, episodes: int, greedy: bool) -> list[float]:
    env = make()
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode_seed(seed, Purpose.TEST, 0, episode))
        total, ended = 0.0, False
        while not ended:
            action, _ = model.predict(observation, deterministic=greedy)
            observation, reward, terminated, truncated, _ = env.step(int(action))
            total += float(reward)
            ended = terminated or truncated
        returns.append(total)
    env.close()
    return returns
