"""Learn, at each layer, when the prediction is already the final one."""

from typing import Self

import numpy as np

from eebench.errors import EEBenchError
from eebench.policy import Bools, ExitPolicy, Floats, Hindsight, LayerView, fitted, swept

STATISTICS = ("max_prob", "entropy", "state_cosine")  # few: a fourth is overfitted on some hundred positions
MOST_POSITIONS = 20_000


class Gate(ExitPolicy):
    """Stop once a logistic regression on the statistics of the layer says that the prediction is the final one."""

    formula = "P(top-1 at k = final top-1 | max_prob, entropy, state cosine at k) >= threshold"
    source = "after AdaInfer (Fan et al. 2024, arXiv 2403.02181) and CALM's classifier (arXiv 2207.07061)"
    learns = True

    threshold: float = swept(
        0.9, over=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99), description="lowest probability", ge=0, le=1
    )
    weights: tuple[tuple[float, ...], ...] | None = fitted("per layer: one weight per statistic, and the intercept")

    def stops(self, layer: LayerView) -> Bools:
        if self.weights is None:
            raise EEBenchError("the gate learns from calibration documents first: use it in `eebench run`.")
        *weights, intercept = self.weights[layer.index - 1]
        score = intercept + sum(w * getattr(layer, name) for w, name in zip(weights, STATISTICS, strict=True))
        stops: Bools = 0.5 + 0.5 * np.tanh(score / 2) >= self.threshold  # the logistic function, never overflowing
        return stops

    def fit(self, calibration: Hindsight) -> Self:
        top1 = calibration.all_layers("top1")  # [layers, positions]
        every = 1 + top1.shape[1] // MOST_POSITIONS
        statistics = np.stack([calibration.all_layers(name)[:, ::every] for name in STATISTICS], axis=-1)
        is_final = (top1 == top1[-1])[:, ::every]
        weights = [_fit_layer(x, y) for x, y in zip(statistics, is_final, strict=True)]
        return self.model_copy(update={"weights": tuple(weights)})


def _fit_layer(statistics: Floats, is_final: Bools) -> tuple[float, ...]:
    """Weights on the statistics as they are, [positions, statistics], standardised only for the fit."""
    from sklearn.linear_model import LogisticRegression

    if is_final.all() or not is_final.any():  # as at the last layer: nothing to tell apart
        return (*[0.0] * len(STATISTICS), 30.0 if is_final.all() else -30.0)
    mean, scale = statistics.mean(axis=0), statistics.std(axis=0)
    scale[scale == 0] = 1.0
    model = LogisticRegression().fit((statistics - mean) / scale, is_final)
    weights = model.coef_[0] / scale
    intercept = model.intercept_[0] - float(weights @ mean)
    return tuple(float(f"{value:.9g}") for value in (*weights, intercept))
