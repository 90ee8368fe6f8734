"""An equivalent of the PPO script of CleanRL, written for this benchmark, because CleanRL is not a library.

It copies the design that decides the speed: Gymnasium's vector environment, tensors moved at each step, a new
Categorical for each evaluation, advantages in a loop over tensors, one Adam, metrics at each minibatch. A2C is this
script with one unclipped step (Huang et al., 2022, "A2C is a special case of PPO"). Logging is left out.
"""

import time
from itertools import pairwise

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor, nn
from torch.distributions.categorical import Categorical

from benchmarks.peers.common import Clock, Job, Workload, answer, greedy_return, make_environment, read_job, require

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
DEVICE = torch.device("cpu")


def orthogonal(layer: nn.Linear, gain: float = 2**0.5) -> nn.Linear:
    """Initialise the weights of a layer, and return it."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.constant_(layer.bias, 0.0)
    return layer


class Agent(nn.Module):
    """Actor and critic as two networks."""

    def __init__(self, inputs: int, actions: int, work: Workload) -> None:
        super().__init__()
        self.actor = self._network(inputs, actions, 0.01, work)
        self.critic = self._network(inputs, 1, 1.0, work)

    @staticmethod
    def _network(inputs: int, outputs: int, gain: float, work: Workload) -> nn.Sequential:
        sizes = [inputs] + [work.hidden_dim] * work.hidden_layers
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [orthogonal(nn.Linear(before, after)), ACTIVATIONS[work.activation]()]
        return nn.Sequential(*layers, orthogonal(nn.Linear(sizes[-1], outputs), gain))

    def act_and_value(self, seen: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return an action, its log-probability, the entropy and the value."""
        distribution = Categorical(logits=self.actor(seen))
        if action is None:
            action = distribution.sample()
        return action, distribution.log_prob(action), distribution.entropy(), self.critic(seen)


def train(job: Job, clock: Clock) -> Agent:
    """Run the whole training."""
    work = job.work
    steps, count = work.num_steps, work.num_envs
    np.random.seed(job.seed)
    torch.manual_seed(job.seed)

    def make() -> gym.Env:
        return gym.wrappers.RecordEpisodeStatistics(make_environment(work.environment))

    envs = SyncVectorEnv([make] * count, autoreset_mode=AutoresetMode.SAME_STEP)
    shape = envs.single_observation_space.shape
    agent = Agent(int(np.prod(shape)), int(envs.single_action_space.n), work).to(DEVICE)
    optimizer = torch.optim.Adam(agent.parameters(), lr=work.learning_rate, eps=work.adam_epsilon)

    seen = torch.zeros((steps, count, *shape)).to(DEVICE)
    actions, logprobs, rewards, dones, values = (torch.zeros((steps, count)).to(DEVICE) for _ in range(5))
    next_seen = torch.Tensor(envs.reset(seed=job.seed)[0]).to(DEVICE)
    next_done = torch.zeros(count).to(DEVICE)
    for epoch in range(job.epochs):
        clock.rollout_begins()
        if work.anneal_lr:
            optimizer.param_groups[0]["lr"] = work.learning_rate * (1 - epoch / job.epochs)
        for step in range(steps):
            seen[step], dones[step] = next_seen, next_done
            with torch.no_grad():
                action, logprob, _, value = agent.act_and_value(next_seen)
            actions[step], logprobs[step], values[step] = action, logprob, value.flatten()
            observed, reward, terminated, truncated, _ = envs.step(action.cpu().numpy())
            rewards[step] = torch.tensor(reward).to(DEVICE).view(-1)
            next_seen = torch.Tensor(observed).to(DEVICE)
            next_done = torch.Tensor(np.logical_or(terminated, truncated)).to(DEVICE)
        with torch.no_grad():
            next_value = agent.critic(next_seen).flatten()
            advantages = torch.zeros_like(rewards).to(DEVICE)
            last = torch.zeros(count).to(DEVICE)
            for step in reversed(range(steps)):
                goes_on = 1.0 - (next_done if step == steps - 1 else dones[step + 1])
                following = next_value if step == steps - 1 else values[step + 1]
                delta = rewards[step] + work.gamma * following * goes_on - values[step]
                advantages[step] = last = delta + work.gamma * work.gae_lambda * goes_on * last
            returns = advantages + values
        batch = [
            each.reshape(steps * count, *each.shape[2:]) for each in (seen, actions, logprobs, advantages, returns)
        ]
        update(agent, optimizer, batch, work)
    envs.close()
    return agent


def update(agent: Agent, optimizer: torch.optim.Optimizer, batch: list[Tensor], work: Workload) -> dict[str, float]:
    """Take all passes over one batch; return the metrics that CleanRL would log."""
    seen, actions, logprobs, all_advantages, returns = batch
    order = np.arange(work.batch_size)
    clipped = []
    for _ in range(work.update_epochs):
        np.random.shuffle(order)
        for start in range(0, work.batch_size, work.minibatch_size):
            chosen = order[start : start + work.minibatch_size]
            _, logprob, entropy, value = agent.act_and_value(seen[chosen], actions.long()[chosen])
            log_ratio = logprob - logprobs[chosen]
            ratio = log_ratio.exp()
            advantages = all_advantages[chosen]
            if work.normalize_advantages:
                advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            policy_loss = (-advantages * ratio).mean()
            if work.algorithm == "ppo":
                clip = work.clip_coef
                with torch.no_grad():
                    old_kl, kl = (-log_ratio).mean(), ((ratio - 1) - log_ratio).mean()
                    clipped.append(((ratio - 1.0).abs() > clip).float().mean().item())
                limited = -advantages * torch.clamp(ratio, 1 - clip, 1 + clip)
                policy_loss = torch.max(-advantages * ratio, limited).mean()
            value_loss = 0.5 * ((value.flatten() - returns[chosen]) ** 2).mean()
            entropy_loss = entropy.mean()
            loss = policy_loss - work.ent_coef * entropy_loss + work.vf_coef * value_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), work.max_grad_norm)
            optimizer.step()
    figures = {"policy": policy_loss.item(), "value": value_loss.item(), "entropy": entropy_loss.item()}
    if work.algorithm == "ppo":
        figures |= {"old_kl": old_kl.item(), "kl": kl.item(), "clipped": float(np.mean(clipped))}
    return figures


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    require(
        job.work.encoder == "mlp" and job.target is None and not job.work.zoo, "images, targets or the zoo's settings"
    )
    clock = Clock()
    started = time.perf_counter()
    agent = train(job, clock)
    version = f"after CleanRL 1's design, PyTorch {torch.__version__.partition('+')[0]}"
    if job.task == "speed":
        measured = clock.answer(job.work)
        answer(**measured, version=version, vectorization="gymnasium's SyncVectorEnv, one process", notes="")
        return
    seconds = time.perf_counter() - started

    def greedy(observation: np.ndarray) -> int:
        with torch.no_grad():
            return int(agent.actor(torch.Tensor(observation)).argmax())

    score = greedy_return(greedy, job.work.environment, job.episodes)
    answer(**{"return": score}, seconds=seconds, version=version)


if __name__ == "__main__":
    main()
