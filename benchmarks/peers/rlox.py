"""Rlox: PPO in PyTorch, with environments, advantages and buffers in Rust."""

import os
import time
from importlib import metadata

import torch
from rlox.algorithms.ppo import PPO
from rlox.policies import DiscretePolicy

from benchmarks.peers.common import answer, greedy_return, read_job, require


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    work = job.work
    os.environ["RAYON_NUM_THREADS"] = str(job.threads)  # read at the first environment step
    require(work.environment == "CartPole-v1", "environments other than CartPole-v1, the one that rlox brings itself")
    require(work.algorithm == "ppo" and work.encoder == "mlp" and job.target is None, "A2C, images or targets")
    network = work.hidden_layers, work.activation, work.adam_epsilon
    require(network == (2, "tanh", 1e-5), "networks other than two tanh layers, or another epsilon of Adam than 1e-5")
    torch.manual_seed(job.seed)
    model = PPO(
        work.environment,
        n_envs=work.num_envs,
        seed=job.seed,
        policy=DiscretePolicy(obs_dim=4, n_actions=2, hidden=work.hidden_dim),
        n_steps=work.num_steps,
        n_epochs=work.update_epochs,
        batch_size=work.minibatch_size,
        learning_rate=work.learning_rate,
        clip_eps=work.clip_coef,
        vf_coef=work.vf_coef,
        ent_coef=work.ent_coef,
        max_grad_norm=work.max_grad_norm,
        gamma=work.gamma,
        gae_lambda=work.gae_lambda,
        normalize_advantages=work.normalize_advantages,
        clip_vloss=False,
        anneal_lr=work.anneal_lr,
    )
    version = metadata.version("rlox")
    if job.task == "speed":
        model.train(work.batch_size)  # start-up
        steps = job.total_steps - work.batch_size
        started = time.perf_counter()
        model.train(steps)
        rate = steps / (time.perf_counter() - started)
        vectorization = "its own VecEnv in Rust, one process"
        answer(rate=rate, steps=steps, version=version, vectorization=vectorization, notes="its own CartPole in Rust")
        return
    started = time.perf_counter()
    model.train(job.total_steps)
    seconds = time.perf_counter() - started
    score = greedy_return(lambda seen: int(model.predict(seen)), work.environment, job.episodes)
    answer(**{"return": score}, seconds=seconds, version=version)


if __name__ == "__main__":
    main()
