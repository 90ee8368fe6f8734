"""SBX: the loop of Stable-Baselines3, with networks and updates compiled by JAX."""

import os
import time
import warnings
from importlib import metadata

from benchmarks.peers.common import Clock, Job, answer, greedy_return, make_environment, read_job, require

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of the libraries during import
    from flax import linen
    from sbx import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv

ACTIVATIONS = {"tanh": linen.tanh, "relu": linen.relu}


class RolloutStarts(BaseCallback):
    """Notify the clock when a rollout begins."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def _on_rollout_start(self) -> None:
        self._clock.rollout_begins()

    def _on_step(self) -> bool:
        return True


def make_model(job: Job) -> PPO:
    """Make PPO, with all environments in one process."""
    work = job.work
    sizes = [work.hidden_dim] * work.hidden_layers
    return PPO(
        "MlpPolicy",
        DummyVecEnv([lambda: make_environment(work.environment)] * work.num_envs),
        learning_rate=lambda left: work.learning_rate * (left if work.anneal_lr else 1.0),
        n_steps=work.num_steps,
        batch_size=work.minibatch_size,
        n_epochs=work.update_epochs,
        gamma=work.gamma,
        gae_lambda=work.gae_lambda,
        clip_range=work.clip_coef,
        ent_coef=work.ent_coef,
        vf_coef=work.vf_coef / 2,  # its value loss lacks the factor ½
        max_grad_norm=work.max_grad_norm,
        normalize_advantage=work.normalize_advantages,
        policy_kwargs={
            "net_arch": {"pi": sizes, "vf": sizes},
            "activation_fn": ACTIVATIONS[work.activation],
            "ortho_init": True,
            "optimizer_kwargs": {"eps": work.adam_epsilon},
        },
        seed=job.seed,
        device="cpu",
    )


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    work = job.work
    require(work.algorithm == "ppo" and work.encoder == "mlp" and job.target is None, "A2C, images or targets")
    # JAX reads these at its first computation: size of the thread pool, and whether one operation may use several.
    os.environ["NPROC"] = str(job.threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'false' if job.threads == 1 else 'true'}"
    model = make_model(job)
    clock = Clock(left_out=3)  # the first rollouts include compilation
    started = time.perf_counter()
    model.learn(job.total_steps, callback=RolloutStarts(clock))
    seconds = time.perf_counter() - started
    version = f"{metadata.version('sbx-rl')}, JAX {metadata.version('jax')}"
    if job.task == "speed":
        notes = "one Adam and one gradient clipping per network"
        answer(**clock.answer(work), version=version, vectorization="DummyVecEnv, one process", notes=notes)
        return
    score = greedy_return(lambda seen: int(model.predict(seen, deterministic=True)[0]), work.environment, job.episodes)
    answer(**{"return": score}, seconds=seconds, version=version)


if __name__ == "__main__":
    main()
