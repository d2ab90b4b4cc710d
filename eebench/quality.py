"""A task's main metric from its documents' numbers, where these are all it takes: a mean, or a ratio of sums.

lm-eval aggregates, and what it makes of them is said once more here for those who check a result without the task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Items = NDArray[np.float64]
"""A document's value and its weight. [documents, 2]"""

SIGNIFICANCE = 1.645
"""Standard errors above chance at which a task is informative: one-sided 5%."""


def _mean(ratio: float) -> float:
    return ratio


def _bits(ratio: float) -> float:
    return -ratio / math.log(2)


def _perplexity(ratio: float) -> float:
    return math.exp(-ratio)


OF_RATIO: Mapping[str, Callable[[float], float]] = {
    "acc": _mean,
    "acc_norm": _mean,
    "acc_bytes": _mean,
    "acc_mutual_info": _mean,
    "exact_match": _mean,
    "bits_per_byte": _bits,
    "byte_perplexity": _perplexity,
    "word_perplexity": _perplexity,
    "perplexity": _perplexity,
}
"""Metric -> what it makes of the sum of values over the sum of weights."""


def follows(metric: str) -> bool:
    """Whether the metric follows from the documents' numbers, whichever filter it is under; so for all that follow."""
    return name_of(metric) in OF_RATIO


def name_of(metric: str) -> str:
    """`exact_match` of `exact_match,flexible-extract`."""
    return metric.partition(",")[0]


def is_mean(metric: str) -> bool:
    """Whether it is the mean over documents, so that guessing reaches the same whatever the model's tokens are."""
    return OF_RATIO.get(name_of(metric)) is _mean


def quality_of(metric: str, items: Items) -> float | None:
    """The metric over some documents; None where it overflows, or a document has no number."""
    value = _of_ratio(metric, _ratio(items))
    return value if math.isfinite(value) else None


def drawn_quality(metric: str, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The metric under draws of documents, NaN where a draw has none; None where documents' numbers do not give it.

    Args:
        weights: how often each document is drawn. [draws, documents]
    """
    if not follows(metric):
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = (weights @ items[:, 0]) / (weights @ items[:, 1])
    return np.array([_of_ratio(metric, float(ratio)) for ratio in ratios])


def _of_ratio(metric: str, ratio: float) -> float:
    """The metric of a ratio of sums; NaN where it overflows."""
    try:
        return OF_RATIO[name_of(metric)](ratio)
    except OverflowError:
        return math.nan


def stderr_of(metric: str, items: Items) -> float | None:
    """The metric's standard error over documents, by the delta method where it is not a mean; None for a single one."""
    n = len(items)
    if n < 2:
        return None
    if is_mean(metric):
        return float(np.std(items[:, 0], ddof=1) / math.sqrt(n))
    ratio = _ratio(items)
    residual = items[:, 0] - ratio * items[:, 1]
    error = math.sqrt(n / (n - 1) * float((residual**2).sum())) / float(items[:, 1].sum())
    return error * (1 / math.log(2) if name_of(metric) == "bits_per_byte" else math.exp(-ratio))


def retention_of(quality: float | None, full: float | None, chance: float) -> float | None:
    """(Q - chance) / (Q_full - chance); None where the full model is at chance."""
    if quality is None or full is None or full == chance:
        return None
    return (quality - chance) / (full - chance)


def is_informative(full: float | None, stderr: float | None, chance: float, direction: int) -> bool:
    """Whether the full model is significantly better than chance."""
    if full is None or stderr is None:
        return False
    return direction * (full - chance) > SIGNIFICANCE * stderr


def _ratio(items: Items) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):  # of nothing there is none, and that is not a finite number
        return float(items[:, 0].sum() / items[:, 1].sum())
