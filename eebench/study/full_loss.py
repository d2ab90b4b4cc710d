"""The loss of the full model on running text: over all of it, and by how much of the text came before."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eebench.policy import Bools
from eebench.ranking.bootstrap import interval
from eebench.study.material import Material
from eebench.study.subwords import places

ROLLING_METRICS = ("bits_per_byte", "byte_perplexity", "word_perplexity")


def running_text(material: Material) -> Bools:
    """Which positions are of running text, which is what rolling tasks score; all, where there are none. [positions]"""
    rolling = np.array([task.evaluation.metric in ROLLING_METRICS for task in material.tasks])
    if not rolling.any():
        return np.ones(material.trace.num_positions, dtype=bool)
    of_document = np.repeat(rolling, [len(task.trace.documents) for task in material.tasks])
    where: Bools = of_document[material.trace.document]
    return where


def loss_draws(material: Material, where: Bools) -> NDArray[np.float64]:
    """Cross-entropy of the full model over some positions, nats per token, of the sample and each draw. [1 + draws]"""
    loss = -material.trace.target_logprob[-1].astype(np.float64)
    return material.resampler.ratios(material.per_document(loss, where), material.per_document(1.0, where))


def loss_by_position(before: Material, after: Material) -> pd.DataFrame:
    """The full models' losses on the same running text, by position in it.

    Returns:
        A row per range: `position`, `positions`, `before` and `after` in nats per token, and their `difference`, after
        less before, with its interval (`low`, `high`).
    """
    text = running_text(before)
    rows = []
    for name, at in places(before):
        where = text & at
        if where.any():
            losses = [loss_draws(material, where) for material in (before, after)]
            change = interval(losses[1] - losses[0])
            rows.append(
                {
                    "position": name,
                    "positions": int(where.sum()),
                    "before": float(losses[0][0]),
                    "after": float(losses[1][0]),
                    "difference": change.value,
                    "low": change.low,
                    "high": change.high,
                }
            )
    return pd.DataFrame(rows)
