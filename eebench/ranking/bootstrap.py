"""The paired bootstrap over documents (Efron 1979): how sure a figure is, with whole documents drawn again.

Positions of a document hang together, so it is documents that are drawn. Everything that is compared is computed from
the same draws: a difference's interval is the interval of differences, not of two figures apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval at `LEVEL`."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval lies on one side of 0, else 0: undecided."""
        return int(self.low > 0) - int(self.high < 0)

    def scaled(self, by: float) -> Estimate:
        """The same in another unit, `by` positive."""
        return Estimate(by * self.value, by * self.low, by * self.high)

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


class Resampler:
    """Draws of documents, stratum by stratum, the same for all that is computed from them.

    Attributes:
        weights: how often each document was drawn; the first row is the sample itself. [1 + draws, documents]
    """

    def __init__(self, strata: Sequence[int], draws: int = DRAWS, seed: int = 0) -> None:
        """
        Args:
            strata: documents of each stratum (as a task), which are drawn from separately, in order.
        """
        rng = np.random.default_rng(seed)
        drawn = [rng.multinomial(size, np.full(size, 1 / size), size=draws) for size in strata]
        self.weights = np.concatenate([np.ones((1, sum(strata))), np.concatenate(drawn, axis=1)])

    def ratios(self, numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
        """Sums of one over sums of another, per draw; NaN where there is nothing to divide by.

        Args:
            numerator: sums per document, of one figure or of several. [documents] or [documents, figures]
            denominator: the same shape, or [documents].

        Returns:
            [1 + draws] or [1 + draws, figures], the sample itself first.
        """
        above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
        if above.ndim > below.ndim:
            below = below[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: NDArray[np.float64] = (self.weights @ above) / (self.weights @ below)
        return ratios

    def ratio(self, numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
        """A ratio of sums over documents, [documents] each, with its interval."""
        return interval(self.ratios(numerator, denominator))


def interval(values: NDArray[np.float64]) -> Estimate:
    """A figure and the percentiles of its draws.

    Args:
        values: of the sample itself, then of each draw; draws that have no value are left out. [1 + draws]
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn) or not np.isfinite(values[0]):
        return Estimate(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values[0]), float(low), float(high))
