"""TorchRL: the PPO loop of the library, with collector, GAE, ClipPPOLoss and minibatches from a permutation."""

import logging
import time
import warnings
from importlib import metadata

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tensordict.nn import TensorDictModule
from torch import nn

from benchmarks.peers.common import Clock, Job, Workload, answer, greedy_return, make_environment, read_job, require

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of the library during import
    from torchrl.collectors import Collector
    from torchrl.envs import GymWrapper
    from torchrl.modules import OneHotCategorical, ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


def network(inputs: int, outputs: int, gain: float, work: Workload) -> nn.Sequential:
    """Make hidden layers and a head with orthogonal initial weights."""
    layers: list[nn.Module] = []
    for layer in range(work.hidden_layers):
        linear = nn.Linear(work.hidden_dim if layer else inputs, work.hidden_dim)
        nn.init.orthogonal_(linear.weight, 2**0.5)
        layers += [linear, ACTIVATIONS[work.activation]()]
    head = nn.Linear(work.hidden_dim, outputs)
    nn.init.orthogonal_(head.weight, gain)
    for linear in (*layers[::2], head):
        nn.init.zeros_(linear.bias)
    return nn.Sequential(*layers, head)


def train(job: Job, clock: Clock) -> nn.Module:
    """Run the whole training; return the policy network."""
    work = job.work
    makers = [lambda: make_environment(work.environment)] * work.num_envs
    envs = GymWrapper(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))  # faster than its SerialEnv
    envs.set_seed(job.seed)
    inputs, actions = envs.observation_spec["observation"].shape[-1], envs.action_spec.shape[-1]
    policy = network(inputs, actions, 0.01, work)
    actor = ProbabilisticActor(
        TensorDictModule(policy, in_keys=["observation"], out_keys=["logits"]),
        spec=envs.action_spec_unbatched,
        in_keys=["logits"],
        distribution_class=OneHotCategorical,
        return_log_prob=True,
    )
    critic = ValueOperator(network(inputs, 1, 1.0, work), in_keys=["observation"])
    advantages = GAE(gamma=work.gamma, lmbda=work.gae_lambda, value_network=critic)
    loss_module = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=work.clip_coef,
        entropy_coeff=work.ent_coef,
        critic_coeff=work.vf_coef / 2,  # its value loss lacks the factor ½
        loss_critic_type="l2",
        normalize_advantage=work.normalize_advantages,
    )
    optimizer = torch.optim.Adam(loss_module.parameters(), lr=work.learning_rate, eps=work.adam_epsilon)
    collector = Collector(envs, actor, frames_per_batch=work.batch_size, total_frames=job.total_steps)
    clock.rollout_begins()
    for epoch, rollout in enumerate(collector):
        if work.anneal_lr:
            optimizer.param_groups[0]["lr"] = work.learning_rate * (1 - epoch / job.epochs)
        with torch.no_grad():
            batch = advantages(rollout).reshape(-1)
        for _ in range(work.update_epochs):
            for chosen in torch.randperm(work.batch_size).split(work.minibatch_size):
                losses = loss_module(batch[chosen])
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_module.parameters(), work.max_grad_norm)
                optimizer.step()
        if epoch + 1 < job.epochs:
            clock.rollout_begins()
    collector.shutdown()
    return policy


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    work = job.work
    require(work.algorithm == "ppo" and work.encoder == "mlp" and job.target is None, "A2C, images or targets")
    warnings.simplefilter("ignore")
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    torch.manual_seed(job.seed)
    clock = Clock()
    started = time.perf_counter()
    policy = train(job, clock)
    version = metadata.version("torchrl")
    if job.task == "speed":
        vectorization = "GymWrapper around gymnasium's SyncVectorEnv, one process"
        answer(**clock.answer(work), version=version, vectorization=vectorization, notes="")
        return
    seconds = time.perf_counter() - started

    def greedy(observation: np.ndarray) -> int:
        with torch.no_grad():
            return int(policy(torch.as_tensor(observation)).argmax())

    answer(**{"return": greedy_return(greedy, work.environment, job.episodes)}, seconds=seconds, version=version)


if __name__ == "__main__":
    main()
