"""Measure how often intervals over seeds hold the true value, and how often equal groups are called different.

    python -m benchmarks.learning.intervals [COMPARISONS]

Writes the rows of the table in docs/reports.md.
"""

import sys
from collections.abc import Callable

import numpy as np

from actor_critic.ops.comparison import Scores, bootstrap, difference, p_value
from actor_critic.ops.statistics import interquartile_means

Draw = Callable[[np.random.Generator, int], Scores]

DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda random, count: random.normal(0, 1, count),
    "two-peaked": lambda random, count: np.where(
        random.random(count) < 0.2, random.normal(50, 20, count), random.normal(480, 20, count)
    ),
    "skewed": lambda random, count: -random.exponential(1, count),
}


def main() -> None:
    """Print the rows."""
    comparisons = int(sys.argv[1]) if sys.argv[1:] else 1000
    random = np.random.default_rng(0)
    for name, draw in DISTRIBUTIONS.items():
        true = float(interquartile_means(draw(random, 400_000)[None])[0])
        for count in (5, 10):
            held = np.zeros(4)
            for _ in range(comparisons):
                groups = one, other = [draw(random, count), draw(random, count)]
                low, high = bootstrap(interquartile_means, [one], random)
                held[0] += low <= true <= high
                for place, is_paired in ((1, False), (2, True)):
                    low, high = bootstrap(difference, groups, random, is_paired=is_paired)
                    held[place] += low <= 0 <= high
                held[3] += p_value(one, other, random, is_paired=count > 5) < 0.05  # as `compare` does with same seeds
            cells = " | ".join(f"{share:.1%}" for share in held / comparisons)
            print(f"| {name} | {count} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
