"""Tianshou: PPO, collector and buffer in a plain loop, without the trainer's statistics and progress bar."""

import logging
import time
from importlib import metadata

import numpy as np
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory, LRSchedulerFactoryLinear
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from tianshou.utils.torch_utils import policy_within_training_step
from torch import nn

from benchmarks.peers.common import Clock, Job, answer, greedy_return, make_environment, read_job, require

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


def make_algorithm(job: Job) -> PPO:
    """Make two networks and their optimizer."""
    work = job.work
    env = make_environment(work.environment)

    def hidden() -> Net:
        sizes = [work.hidden_dim] * work.hidden_layers
        shape = env.observation_space.shape
        return Net(state_shape=shape, hidden_sizes=sizes, activation=ACTIVATIONS[work.activation])

    actor = DiscreteActor(preprocess_net=hidden(), action_shape=env.action_space.n, softmax_output=False)
    critic = DiscreteCritic(preprocess_net=hidden())
    for module in (*actor.modules(), *critic.modules()):
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, 2**0.5)
            nn.init.zeros_(module.bias)
    nn.init.orthogonal_(list(actor.last.modules())[-1].weight, 0.01)
    nn.init.orthogonal_(list(critic.last.modules())[-1].weight, 1.0)
    optimizer = AdamOptimizerFactory(lr=work.learning_rate, eps=work.adam_epsilon)
    if work.anneal_lr:
        optimizer.with_lr_scheduler_factory(LRSchedulerFactoryLinear(job.epochs, work.batch_size, work.batch_size))
    return PPO(
        policy=DiscreteActorPolicy(actor=actor, deterministic_eval=True, action_space=env.action_space),
        critic=critic,
        optim=optimizer,
        eps_clip=work.clip_coef,
        advantage_normalization=work.normalize_advantages,
        vf_coef=work.vf_coef / 2,  # its value loss lacks the factor ½
        ent_coef=work.ent_coef,
        max_grad_norm=work.max_grad_norm,
        gae_lambda=work.gae_lambda,
        max_batchsize=work.batch_size,
        gamma=work.gamma,
    )


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    work = job.work
    require(work.algorithm == "ppo" and work.encoder == "mlp" and job.target is None, "A2C, images or targets")
    logging.disable(logging.WARNING)
    np.random.seed(job.seed)
    torch.manual_seed(job.seed)
    algorithm = make_algorithm(job)
    envs = DummyVectorEnv([lambda: make_environment(work.environment)] * work.num_envs)
    envs.seed(job.seed)
    collector = Collector(algorithm, envs, VectorReplayBuffer(work.batch_size, work.num_envs))
    collector.reset()
    clock = Clock()
    started = time.perf_counter()
    for _ in range(job.epochs):
        clock.rollout_begins()
        with policy_within_training_step(algorithm.policy):
            collector.collect(n_step=work.batch_size)
            algorithm.update(buffer=collector.buffer, batch_size=work.minibatch_size, repeat=work.update_epochs)
        collector.reset_buffer(keep_statistics=True)
    seconds = time.perf_counter() - started
    version = metadata.version("tianshou")
    if job.task == "speed":
        answer(**clock.answer(work), version=version, vectorization="DummyVectorEnv, one process", notes="")
        return
    actor = algorithm.policy.actor

    def greedy(observation: np.ndarray) -> int:
        with torch.no_grad():
            return int(actor(observation[None])[0].argmax())

    answer(**{"return": greedy_return(greedy, work.environment, job.episodes)}, seconds=seconds, version=version)


if __name__ == "__main__":
    main()
