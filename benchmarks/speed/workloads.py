"""The workloads of the speed benchmark, and the contenders of each."""

from dataclasses import dataclass, field
from typing import Any

PPO = {
    "environment": "CartPole-v1",
    "algorithm": "ppo",
    "num_envs": 8,
    "num_steps": 128,
    "update_epochs": 4,
    "num_minibatches": 4,
    "hidden_dim": 64,
    "hidden_layers": 2,
    "activation": "tanh",
    "encoder": "mlp",
    "learning_rate": 0.00025,
    "anneal_lr": False,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_coef": 0.2,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "normalize_advantages": True,
    "adam_epsilon": 1e-5,
}
COMPILED = {"vectorization": "compiled"}
A2C = {
    "algorithm": "a2c",
    "num_steps": 5,
    "update_epochs": 1,
    "num_minibatches": 1,
    "clip_coef": "off",
    "normalize_advantages": False,
    "gae_lambda": 1.0,
}
OURS = "speed.ours"  # the module of our own contenders
PLAIN = {"normalize_observations": False, "normalize_rewards": False, "min_advantage_std": 0.0, "target_kl": "off"}
"""Turns off what our general presets add, so that all contenders do the same work."""


@dataclass(frozen=True)
class Contender:
    """A library, or a variant of ours, and how long it is measured.

    Attributes:
        name: Name on the page.
        module: Module of the package ``benchmarks``. Ours runs in this interpreter, a peer in its own.
        epochs: Rollouts of a measurement, including start-up.
        threads: Numbers of threads to try; the better one counts.
        settings: Extra settings of ours.
        task: Task of the script.
    """

    name: str
    module: str
    epochs: int
    threads: tuple[int, ...] = (1,)
    settings: dict[str, Any] = field(default_factory=dict)
    task: str = "speed"


@dataclass(frozen=True)
class Workload:
    """A workload and its contenders; ours comes first.

    Attributes:
        key: Short name, for the command line and the results.
        title: Title on the page.
        settings: Settings of the work.
        contenders: The contenders.
        learning_epochs: Rollouts of the learning comparison; None for no comparison.
        learners: Peers in the learning comparison.
        learning_seeds: Number of seeds in the learning comparison.
    """

    key: str
    title: str
    settings: dict[str, Any]
    contenders: tuple[Contender, ...]
    learning_epochs: int | None = None
    learners: tuple[str, ...] = ("stable_baselines3", "cleanrl_equivalent")
    learning_seeds: int = 5


PEERS = {
    "stable_baselines3": "Stable-Baselines3",
    "cleanrl_equivalent": "CleanRL (equivalent script)",
    "sbx": "SBX",
    "rlox": "rlox",
    "sample_factory": "Sample Factory",
    "tianshou": "Tianshou",
    "torchrl": "TorchRL",
}


def _peer(name: str, epochs: int) -> Contender:
    return Contender(PEERS[name], f"peers.{name}", epochs, (1, 2))


def _ours(words: str, epochs: int, **settings: Any) -> Contender:
    return Contender(f"ours{words}", OURS, epochs, settings=PLAIN | {"vectorization": "sync"} | settings)


def _alone(epochs: int) -> Contender:
    return Contender("the environment alone, one core", OURS, epochs, task="environment")


def _twin(key: str, title: str, epochs: int, peer_epochs: int, **settings: Any) -> Workload:
    """Return a workload on a compiled twin, beside the same on Gymnasium's own environment."""
    return Workload(
        key,
        title,
        PPO | settings,
        (
            _ours(", compiled", epochs, **COMPILED),
            _ours(", compiled, 2 threads", epochs, **COMPILED, threads=2),
            _ours("", max(epochs // 3, 3)),
            Contender(PEERS["stable_baselines3"], "peers.stable_baselines3", peer_epochs),  # two threads are slower
        ),
        learners=(),
    )


WORKLOADS = (
    _twin("compiled", "CartPole-v1, PPO, 8 x 128, 4 passes of 4 minibatches, compiled", 300, 16),
    _twin("compiled-many", "CartPole-v1, PPO, 64 x 128, 4 passes of 4 minibatches, compiled", 60, 5, num_envs=64),
    _twin("compiled-a2c", "CartPole-v1, A2C, 8 x 5, compiled", 6000, 600, **A2C),
    _twin(
        "acrobot",
        "Acrobot-v1, PPO, 16 x 256, 4 passes of minibatches of 64, compiled",
        60,
        4,
        environment="Acrobot-v1",
        num_envs=16,
        num_steps=256,
        num_minibatches=64,
        gae_lambda=0.94,
    ),
    _twin(
        "mountaincar",
        "MountainCar-v0, PPO, 16 x 16, 4 passes of minibatches of 64, compiled",
        600,
        40,
        environment="MountainCar-v0",
        num_envs=16,
        num_steps=16,
        gae_lambda=0.98,
    ),
    _twin(
        "frozenlake",
        "FrozenLake-v1, PPO, 8 x 128, 4 passes of 4 minibatches, compiled",
        300,
        16,
        environment="FrozenLake-v1",
    ),
    _twin(
        "taxi",
        "Taxi-v4, PPO, 8 x 128, 4 passes of 4 minibatches, compiled (ours with its masks)",
        150,
        12,
        environment="Taxi-v4",
    ),
    Workload(
        "cartpole",
        "CartPole-v1, PPO, 8 x 128, 4 passes of 4 minibatches",
        PPO,
        (
            _ours("", 300),
            _ours(", 2 threads", 300, threads=2),
            _ours(", overlap", 400, overlap=True),
            _ours(", eager", 100, backend="eager"),
            _peer("stable_baselines3", 16),
            _peer("cleanrl_equivalent", 16),
            _peer("sbx", 16),
            _peer("rlox", 24),
            _peer("sample_factory", 30),
            _peer("tianshou", 12),
            _peer("torchrl", 12),
            _alone(200),
        ),
        98,
        learning_seeds=50,  # in the middle of learning, returns differ by 60 to 110 from seed to seed
    ),
    Workload(
        "many",
        "CartPole-v1, PPO, 64 x 128, 4 passes of 4 minibatches",
        PPO | {"num_envs": 64},
        (
            _ours(", native vector form", 80, vectorization="native"),
            _ours(", native vector form, 2 threads", 80, vectorization="native", threads=2),
            _ours("", 40),
            _peer("stable_baselines3", 5),
        ),
        36,
        learning_seeds=20,
    ),
    Workload(
        "lunarlander",
        "LunarLander-v3, PPO, 16 x 1024, 4 passes of minibatches of 64",
        PPO
        | {"environment": "LunarLander-v3", "num_envs": 16, "num_steps": 1024, "num_minibatches": 256}
        | {"learning_rate": 0.0003, "gamma": 0.999, "gae_lambda": 0.98},
        (
            _ours("", 8),
            _ours(", overlap", 10, overlap=True),
            _ours(", 2 processes and threads", 10, workers=2, threads=2),
            _peer("stable_baselines3", 3),
            _peer("cleanrl_equivalent", 3),
            _alone(3),
        ),
        12,
    ),
    Workload(
        "a2c",
        "CartPole-v1, A2C, 8 x 5",
        PPO | A2C,
        (
            _ours("", 6000),
            _ours(", eager", 1500, backend="eager"),
            _peer("stable_baselines3", 600),
            _peer("cleanrl_equivalent", 600),
        ),
        2500,
        learning_seeds=50,
    ),
    Workload(
        "minatar",
        "MinAtar Breakout, PPO with a small CNN, 8 x 128, 4 passes of 4 minibatches",
        PPO
        | {"environment": "MinAtar/Breakout-v1", "encoder": "small_cnn", "hidden_dim": 128, "hidden_layers": 1}
        | {"activation": "relu"},
        (
            _ours("", 30),
            _ours(", 2 threads", 40, threads=2),
            _ours(", overlap", 40, overlap=True),
            _ours(", overlap, 2 threads", 50, overlap=True, threads=2),
            _peer("stable_baselines3", 8),
        ),
        98,
        ("stable_baselines3",),
        learning_seeds=10,
    ),
    Workload(
        "described",
        "Random states, A2C, batch 32, hidden 256",
        {},
        (
            _ours("", 8000),
            _ours(", 2 threads", 8000, threads=2),
            _ours(", eager", 3000, backend="eager"),
            Contender("plain PyTorch loop", OURS, 2000, (1, 2), task="plain loop"),
        ),
    ),
    Workload(
        "wide",
        "CartPole-v1, PPO, 64 x 128, hidden 512, 4 passes of minibatches of 2,048",
        PPO | {"num_envs": 64, "hidden_dim": 512},
        (
            _ours(", native vector form", 6, vectorization="native"),
            _ours(", native vector form, 2 threads", 8, vectorization="native", threads=2),
            _ours(", native vector form, eager", 6, vectorization="native", backend="eager"),
        ),
    ),
)
