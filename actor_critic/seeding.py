"""Every random number is a pure function of (seed, purpose, index): generators are derived, never kept.

NumPy's ``SeedSequence`` spreads the key over a Philox counter generator (Salmon et al., 2011, "Parallel random
numbers: as easy as 1, 2, 3"), so two streams with different keys are independent and any of them can be made
again anywhere.
"""

import random
from enum import IntEnum

import numpy as np

MAX_SEED = 2**32 - 1


class Purpose(IntEnum):
    """What a stream of random numbers is for. The numbers are part of the checkpoint contract: never reuse one."""

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


# Training, best-checkpoint selection and final tests draw their episode seeds from three disjoint ranges, so an
# episode that a policy was trained or chosen on can never be one it is reported on. 31 bits: some simulators
# (the Arcade Learning Environment among them) take no more.
_EPISODE_SEED_RANGES = {
    Purpose.EPISODES: (0, 2**30),
    Purpose.SELECTION: (2**30, 2**30 + 2**29),
    Purpose.TEST: (2**30 + 2**29, 2**31),
}


def generator(seed: int, purpose: Purpose, *index: int) -> np.random.Generator:
    """Derive the generator of one stream.

    Args:
        seed: The run's seed, 0 to 2³² − 1.
        purpose: What the numbers are for.
        index: Which stream of that purpose, such as the epoch; each from 0 to 2³² − 1.

    Returns:
        A fresh Philox generator; equal arguments give equal numbers on every machine.
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, purpose, *index)))


def integer_seed(seed: int, purpose: Purpose, *index: int) -> int:
    """Derive one integer in [0, 2³²), for libraries that take a plain seed."""
    return int(_sequence(seed, purpose, *index).generate_state(1)[0])


def seed_global_generators(seed: int, epoch: int, *purpose: int) -> None:
    """Seed the generators that code of others draws from: Python's, NumPy's and PyTorch's.

    Nothing in this package draws from them. A user's module that does, dropout say, does the same in a resumed run.

    Args:
        seed: The run's seed.
        epoch: Of which epoch; 0 is what comes before the first one.
        purpose: What in it, where that is not to depend on what was drawn before it; from 3.
    """
    import torch  # not above: what only derives seeds does not wait for it

    random.seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose))
    np.random.seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose, 1))
    torch.manual_seed(integer_seed(seed, Purpose.GLOBAL, epoch, *purpose, 2))


def episode_seed(seed: int, purpose: Purpose, environment: int, episode: int) -> int:
    """Seed that episode ``episode`` of environment ``environment`` is reset with.

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
