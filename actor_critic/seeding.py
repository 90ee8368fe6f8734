"""Random number streams. Every number is a pure function of (seed, purpose, index); generators are never stored.

NumPy's ``SeedSequence`` spreads the key over a Philox counter generator (Salmon et al., 2011, "Parallel random
numbers: as easy as 1, 2, 3"). So streams with different keys are independent, and any stream can be derived again.
"""

import random
from enum import IntEnum

import numpy as np

MAX_SEED = 2**32 - 1


class Purpose(IntEnum):
    """The purpose of a stream of random numbers. Checkpoints depend on the values: never reuse one."""

    PARAMETERS = 0
    ACTIONS = 1
    MINIBATCHES = 2
    EPISODES = 3
    SELECTION = 4
    TEST = 5
    REWARD_MODEL = 6
    PREDICTION = 7
    BOOTSTRAP = 8
    EVALUATION_ACTIONS = 9
    ENCODER = 10
    GLOBAL = 11
    SEARCH = 12


# Training, best-checkpoint selection and final tests use three disjoint ranges of episode seeds. So a policy is never
# tested on an episode of its training or selection. Seeds have 31 bits because some simulators, such as
# the Arcade Learning Environment, take no more.
_EPISODE_SEED_RANGES = {
    Purpose.EPISODES: (0, 2**30),
    Purpose.SELECTION: (2**30, 2**30 + 2**29),
    Purpose.TEST: (2**30 + 2**29, 2**31),
}


def generator(seed: int, purpose: Purpose, *index: int) -> np.random.Generator:
    """Derive the generator of one stream.

    Args:
        seed: The run's seed, 0 to 2³² − 1.
        purpose: The purpose of the numbers.
        index: Numbers of the stream, such as the epoch; each from 0 to 2³² − 1.

    Returns:
        A new Philox generator; equal arguments give equal numbers on every machine.
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, purpose, *index)))


def integer_seed(seed: int, purpose: Purpose, *index: int) -> int:
    """Derive one integer in [0, 2³²), for libraries that take an integer seed."""
    return int(_sequence(seed, purpose, *index).generate_state(1)[0])


def seed_global_generators(seed: int, epoch: int, *purpose: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch, for user code that draws from them.

    This package never draws from them. So user code with dropout, for example, gives the same numbers when resumed.

    Args:
        seed: The run's seed.
        epoch: The epoch, from 1; 0 means before the first epoch.
        purpose: A part of the epoch whose draws must not depend on earlier ones; from 3.
    """
    import torch  # imported here because it is slow, and deriving seeds does not need it

    random.seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose))
    np.random.seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose, 1))
    for_torch = integer_seed(seed, Purpose.GLOBAL, epoch, *purpose, 2)
    if torch.cuda.is_available():
        torch.manual_seed(for_torch)
    else:  # without a GPU, torch.manual_seed would keep a stack trace of every call
        torch.default_generator.manual_seed(for_torch)


def episode_seed(seed: int, purpose: Purpose, environment: int, episode: int) -> int:
    """Derive the reset seed of one episode of one environment.

    Args:
        seed: The run's seed.
        purpose: ``EPISODES`` (training), ``SELECTION`` (best checkpoint) or ``TEST``: three disjoint ranges.
        environment: Index of the environment, from 0.
        episode: Number of the episode in that environment, from 0.

    Returns:
        An integer in [0, 2³¹).
    """
    low, span = episode_seed_range(purpose)
    return low + integer_seed(seed, purpose, environment, episode) % span


def episode_seed_range(purpose: Purpose) -> tuple[int, int]:
    """Return the lowest episode seed of a purpose, and how many there are."""
    low, high = _EPISODE_SEED_RANGES[purpose]
    return low, high - low


def _sequence(seed: int, purpose: Purpose, *index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(entropy=seed, spawn_key=(int(purpose), *index))
