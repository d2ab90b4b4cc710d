"""Stop once the lens is confident."""

from eebench.policy import Bools, ExitPolicy, LayerView, swept, toward_one


class Confidence(ExitPolicy):
    """Stop once the most probable token is probable enough."""

    formula = "max_prob(k) >= threshold"
    source = "CALM's softmax-max (Schuster et al. 2022, arXiv 2207.07061)"

    threshold: float = swept(
        0.9, over=toward_one(0.95, 0.001, 14), description="lowest probability to stop at", ge=0, le=1
    )

    def stops(self, layer: LayerView) -> Bools:
        return layer.max_prob >= self.threshold
