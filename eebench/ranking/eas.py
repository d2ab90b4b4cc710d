"""EAS, a model's suitability for early exit in one number (Wei et al., arXiv 2603.23701)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WEIGHT = 0.5
"""a: how much a layer's similarity weighs against the layers that stopping there saves."""


def eas(similarity: NDArray[np.float64], weight: float = WEIGHT) -> float:
    """Mean over l < L of S_l^a · w_l^(1-a), w_l = (L-l)/L.

    Args:
        similarity: S_l of every layer; here how often its top-1 is the full model's. [layers]
    """
    num_layers = len(similarity)
    left = (num_layers - np.arange(1, num_layers)) / num_layers
    return float(np.mean(similarity[:-1] ** weight * left ** (1 - weight)))
