"""Random numbers of functional environments: Philox, a counter-based generator, in plain Python.

The numbers of an episode are a function of its seed and of how many were drawn before. ``compiled/random.py`` has the
same functions for compiled code; both give the same bits.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

WORDS = 6
"""Length of the state of a generator: the seed, the number of draws, and four words of the current block."""

RANDOM_METHODS = ("uniform", "integers", "normal", "exponential", "poisson", "choice", "shuffle")
"""What functions may call."""

_MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_MASK = 2**64 - 1
_UNIT = 2.0**-53
_MOST_AT_ONCE = 500.0  # exp(−mean) of a larger mean would be close to the smallest float


def philox(seed: int, block: int) -> tuple[int, int, int, int]:
    """Return one block of Philox4x64-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3").

    Args:
        seed: The key, 0 to 2⁶⁴ − 1.
        block: The counter, 0 to 2⁶⁴ − 1.

    Returns:
        Four words of 64 bits, as ``numpy.random.Philox(key=seed)`` returns them.
    """
    c0, c1, c2, c3 = block, 0, 0, 0
    k0, k1 = seed, 0
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & _MASK, (p0 >> 64) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


class Random:
    """The random numbers of one episode.

    Attributes:
        words: [WORDS] uint64, the state; it may be a row of a larger array.
    """

    def __init__(self, words: npt.NDArray[np.uint64]) -> None:
        """Continue from a state."""
        self.words = words

    def seed(self, seed: int) -> None:
        """Start with the first number of a seed, 0 to 2⁶⁴ − 1."""
        self.words[0], self.words[1] = seed, 0

    def next_word(self) -> int:
        """Return the next 64 bits."""
        drawn = int(self.words[1])
        place = drawn % 4
        if place == 0:
            self.words[2:] = philox(int(self.words[0]), drawn // 4 + 1)
        self.words[1] = drawn + 1
        return int(self.words[2 + place])

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a float64 in [low, high)."""
        return low + (high - low) * ((self.next_word() >> 11) * _UNIT)

    def integers(self, low: int, high: int) -> int:
        """Return an integer in [low, high); ``high`` is greater than ``low``."""
        if high <= low:
            raise ValueError("integers: low must be less than high")
        first = int(low)  # NumPy's integers would overflow
        return first + (self.next_word() * (int(high) - first) >> 64)

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """Return a normally distributed float64 (Box and Muller, 1958)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return mean + deviation * (radius * math.cos(2.0 * math.pi * self.uniform()))

    def exponential(self, mean: float = 1.0) -> float:
        """Return an exponentially distributed float64."""
        return -mean * math.log(1.0 - self.uniform())

    def poisson(self, mean: float) -> int:
        """Return a Poisson-distributed integer, by inversion; a large mean takes time in proportion to it."""
        if mean == math.inf:
            raise ValueError("poisson: the mean must be finite")
        count = 0
        while mean > 0.0:
            part = min(mean, _MOST_AT_ONCE)
            mean -= part
            limit = self.uniform()
            probability = math.exp(-part)
            total = probability
            k = 0
            while total <= limit and probability > 0.0:
                k += 1
                probability *= part / k
                total += probability
            count += k
        return count

    def choice(self, weights: Any) -> int:
        """Return an index i with probability weights[i] / sum; the weights are at least 0, and one is above 0."""
        total = 0.0
        for weight in weights:
            total += weight
        limit = self.uniform() * total
        cumulative = 0.0
        chosen = 0
        for i in range(len(weights)):
            if weights[i] > 0.0:
                chosen = i
                cumulative += weights[i]
                if cumulative > limit:
                    break
        return chosen

    def shuffle(self, values: Any) -> None:
        """Permute a one-dimensional array in place (Fisher and Yates)."""
        for i in range(len(values) - 1, 0, -1):
            j = self.integers(0, i + 1)
            kept = values[i]
            values[i] = values[j]
            values[j] = kept
