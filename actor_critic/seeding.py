"""Every random number is a pure function of (seed, purpose, index): generators are derived, never kept.

NumPy's ``SeedSequence`` spreads the key over a Philox counter generator (Salmon et al., 2011, "Parallel random
numbers: as easy as 1, 2, 3"). So two streams with different keys are independent, and any of them can be derived again
anywhere.
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


# Training, best-checkpoint selection and final tests draw their episode seeds from three disjoint ranges. So a policy
# is never reported on an episode that it was trained or chosen on. Seeds have 31 bits because some simulators, such as
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
        index: The stream of that purpose, such as the epoch; each number from 0 to 2³² − 1.

    Returns:
        A fresh Philox generator; equal arguments give equal numbers on every machine.
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, purpose, *index)))


def integer_seed(seed: int, purpose: Purpose, *index: int) -> int:
    """Derive one integer in [0, 2³²), for libraries that take a plain seed."""
    return int(_sequence(seed, purpose, *index).generate_state(1)[0])


def seed_global_generators(seed: int, epoch: int, *purpose: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch, which code of others draws from.

    Nothing in this package draws from them. A user's module that does, such as dropout, does the same in a resumed run.

    Args:
        seed: The run's seed.
        epoch: The epoch, from 1; 0 is the time before the first one.
        purpose: A part of the epoch whose draws must not depend on earlier ones; from 3.
    """
    import torch  # not above: to derive seeds does not need PyTorch, which takes long to import

    random.seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose))
    np.random.seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose, 1))
    torch.manual_seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose, 2))


def episode_seed(seed: int, purpose: Purpose, environment: int, episode: int) -> int:
    """Derive the seed that one episode of one environment is reset with.

    Args:
        seed: The run's seed.
        purpose: ``EPISODES`` (training), ``SELECTION`` (best checkpoint) or ``TEST``: three disjoint ranges.
        environment: Index of the environment, from 0.
        episode: Number of the episode in that environment, from 0.

    Returns:
        An integer in [0, 2³¹).
    """
    low, high = _EPISODE_SEED_RANGES[purpose]
    return low + integer_seed(seed, purpose, environment, episode) % (high - low)


def _sequence(seed: int, purpose: Purpose, *index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(entropy=seed, spawn_key=(int(purpose), *index))
