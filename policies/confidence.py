"""Stop once the lens is confident."""

from typing import Self

import numpy as np
from pydantic import Field

from eebench.errors import EEBenchError
from eebench.policy import Bools, ExitPolicy, Floats, Hindsight, LayerView, fitted, swept, toward_one

SURE = 30.0  # a score whose logistic function is 1 but for 1e-13


class Confidence(ExitPolicy):
    """Stop once the most probable token is probable enough, or, calibrated, probable enough to be the final one."""

    formula = "max_prob(k) >= threshold; calibrated: P(top-1 at k = final top-1 | max_prob at k) >= threshold"
    source = "CALM's softmax-max (Schuster et al. 2022, arXiv 2207.07061); calibrated by Platt scaling (Platt 1999)"

    threshold: float = swept(
        0.9, over=toward_one(0.95, 0.001, 14), description="lowest probability to stop at", ge=0, le=1
    )
    calibrated: bool = Field(False, description="fit each layer's probabilities on calibration documents first")
    scaling: tuple[tuple[float, float], ...] | None = fitted("per layer: slope and intercept on the logit of max_prob")

    @property
    def needs_fit(self) -> bool:
        return self.calibrated

    def stops(self, layer: LayerView) -> Bools:
        if not self.calibrated:
            return layer.max_prob >= self.threshold
        if self.scaling is None:
            raise EEBenchError("calibrated confidence learns first: use it in `eebench run`.")
        slope, intercept = self.scaling[layer.index - 1]
        score = slope * _logit(layer.max_prob) + intercept
        stops: Bools = 0.5 + 0.5 * np.tanh(score / 2) >= self.threshold  # the logistic function, never overflowing
        return stops

    def fit(self, calibration: Hindsight) -> Self:
        top1, max_prob = calibration.all_layers("top1"), calibration.all_layers("max_prob")  # [layers, positions]
        scaling = [_scaled(_logit(probs), is_final) for probs, is_final in zip(max_prob, top1 == top1[-1], strict=True)]
        return self.model_copy(update={"scaling": tuple(scaling)})


def _logit(probability: Floats) -> Floats:
    inside = np.clip(probability.astype(np.float64), 1e-9, 1 - 1e-9)
    logit: Floats = np.log(inside / (1 - inside))
    return logit


def _scaled(logits: Floats, is_final: Bools) -> tuple[float, float]:
    """Slope and intercept of a logistic regression on one number. [positions] each"""
    from sklearn.linear_model import LogisticRegression

    if is_final.all() or not is_final.any():  # as at the last layer: nothing to tell apart
        return 0.0, SURE if is_final.all() else -SURE
    model = LogisticRegression().fit(logits[:, None], is_final)
    return float(f"{model.coef_[0, 0]:.9g}"), float(f"{model.intercept_[0]:.9g}")
