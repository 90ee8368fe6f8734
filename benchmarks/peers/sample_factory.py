"""Sample Factory: serial mode with one thread, asynchronous mode (several processes) with two."""

import logging
import sys
import tempfile
import time
from importlib import metadata
from typing import Any

import numpy as np
import torch
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.algo.utils.misc import ExperimentStatus
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner
from sample_factory.utils.utils import log

from benchmarks.peers.common import Job, answer, greedy_return, make_environment, read_job, require

LEFT_OUT = 4  # updates until all processes run
NEVER = 10**9
NOTES = "clips ratios to [1/(1 + ε), 1 + ε]"

log.setLevel(logging.ERROR)  # not in `main`, because the worker processes of the library import this module


class Updates(AlgoObserver):
    """Record the time of each update, and keep the networks, which the library deletes at the end."""

    def __init__(self) -> None:
        self.times: dict[int, float] = {}
        self.model: Any = None  # set if the networks are in this process

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Serve as the library's hook."""
        self.times[training_iteration_since_resume] = time.perf_counter()

    def on_stop(self, runner: Runner) -> None:
        """Serve as the library's hook."""
        self.model = getattr(runner.learners[0].learner, "actor_critic", None)


def make(name: str, cfg: Any = None, env_config: Any = None, render_mode: str | None = None) -> Any:
    """Make an environment; the library requires this signature."""
    return make_environment(name)


def options(job: Job, is_serial: bool, folder: str) -> list[str]:
    """Return the library's command line."""
    work = job.work
    chosen = {
        "env": work.environment,
        "train_dir": folder,
        "seed": job.seed,
        "device": "cpu",
        "serial_mode": is_serial,
        "async_rl": not is_serial,
        "num_workers": 1,
        "num_envs_per_worker": work.num_envs,
        "worker_num_splits": 1,
        "rollout": work.num_steps,
        "batch_size": work.minibatch_size,
        "num_batches_per_epoch": work.num_minibatches,
        "num_epochs": work.update_epochs,
        "shuffle_minibatches": True,
        "train_for_env_steps": job.total_steps - 1,
        "gamma": work.gamma,
        "gae_lambda": work.gae_lambda,
        "ppo_clip_ratio": work.clip_coef,
        "ppo_clip_value": NEVER,
        "exploration_loss_coeff": work.ent_coef,
        "value_loss_coeff": work.vf_coef / 2,  # its value loss lacks the factor ½
        "max_grad_norm": work.max_grad_norm,
        "learning_rate": work.learning_rate,
        "adam_eps": work.adam_epsilon,
        "normalize_input": False,
        "normalize_returns": False,
        "use_rnn": False,
        "actor_critic_share_weights": False,
        "nonlinearity": work.activation,
        "set_workers_cpu_affinity": False,
        "log_to_file": False,
        "experiment_summaries_interval": NEVER,
        "save_every_sec": NEVER,
        "save_best_after": NEVER,
    }
    layers = [str(work.hidden_dim)] * work.hidden_layers
    return [f"--{name}={value}" for name, value in chosen.items()] + ["--encoder_mlp_layers", *layers]


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    work = job.work
    require(work.algorithm == "ppo" and work.encoder == "mlp" and job.target is None, "A2C, images or targets")
    require(not work.anneal_lr and work.normalize_advantages, "annealing, or advantages as they are")
    register_env(work.environment, make)
    is_serial = job.threads == 1 or job.task == "learn"
    updates = Updates()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = options(job, is_serial, folder)
        parser, _ = parse_sf_args(arguments)
        _, runner = make_runner(parse_full_cfg(parser, arguments))
        runner.register_observer(updates)
        if runner.init() != ExperimentStatus.SUCCESS or runner.run() != ExperimentStatus.SUCCESS:
            sys.exit("sample_factory: the run failed")
    version = metadata.version("sample-factory")
    if job.task == "speed":
        last = max(updates.times)
        steps = (last - LEFT_OUT) * work.batch_size
        rate = steps / (updates.times[last] - updates.times[LEFT_OUT])
        processes = "serial mode, one process" if is_serial else "asynchronous, a process each to step, act and learn"
        answer(rate=rate, steps=steps, version=version, vectorization=processes, notes=NOTES)
        return
    seconds = time.perf_counter() - started
    model = updates.model

    def greedy(observation: np.ndarray) -> int:
        with torch.no_grad():
            seen = model.normalize_obs({"obs": torch.as_tensor(observation)[None]})
            return int(model(seen, torch.zeros(1, 1))["action_logits"].argmax())

    answer(**{"return": greedy_return(greedy, work.environment, job.episodes)}, seconds=seconds, version=version)


if __name__ == "__main__":
    main()
