"""Summaries of returns, with confidence intervals over episodes or over seeds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RESAMPLES = 2000
_DRAWN_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation and a bootstrap interval of the mean.

    Attributes:
        mean: Mean over the sample.
        std: Standard deviation over the sample (n − 1; 0 for a single value).
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Confidence level of the interval.
    """

    mean: float
    std: float
    low: float
    high: float
    level: float = 0.95


def summarize(values: npt.NDArray[np.float64], generator: np.random.Generator, level: float = 0.95) -> Summary:
    """Summarise a sample with the percentile bootstrap of its mean (Efron and Tibshirani, 1993, chapter 13).

    Args:
        values: [n], at least one value.
        generator: Source of the 2,000 resamples.
        level: Confidence level, in (0, 1).

    Returns:
        The summary; the interval of a single value is that value.

    Raises:
        ValueError: The sample is empty or not one-dimensional.
    """
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"expected at least one value in an array [n]; got shape {values.shape}")
    at_a_time = max(1, _DRAWN_AT_ONCE // len(values))
    means = np.concatenate(
        [
            values[generator.integers(0, len(values), (min(at_a_time, _RESAMPLES - done), len(values)))].mean(1)
            for done in range(0, _RESAMPLES, at_a_time)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Summary(float(values.mean()), std, float(low), float(high), level)


def plainly(value: float) -> str:
    """Format a number for display: four significant digits, and no exponent below 1e9."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def interquartile_mean(values: npt.NDArray[np.float64]) -> float:
    """Compute the mean of the middle half: drop a quarter of the values, rounded down, at each end.

    (Agarwal et al., 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.3.)

    Args:
        values: [n], such as one score per seed.

    Raises:
        ValueError: The sample is empty or not one-dimensional.
    """
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"expected at least one value in an array [n]; got shape {values.shape}")
    return float(interquartile_means(values[None])[0])


def interquartile_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute the interquartile mean of each row [R, n]; see :func:`interquartile_mean`."""
    dropped = values.shape[1] // 4
    middle: npt.NDArray[np.float64] = np.sort(values, 1)[:, dropped : values.shape[1] - dropped].mean(1)
    return middle
