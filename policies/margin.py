"""Stop once the first token is well ahead of the second."""

from eebench.policy import Bools, ExitPolicy, LayerView, swept, toward_one


class Margin(ExitPolicy):
    """Stop once the two most probable tokens are far enough apart."""

    formula = "p(top-1) - p(top-2) at k >= threshold"
    source = "CALM's softmax response (Schuster et al. 2022, arXiv 2207.07061)"

    threshold: float = swept(
        0.9, over=toward_one(0.97, 0.001, 14), description="smallest margin to stop at", ge=0, le=1
    )

    def stops(self, layer: LayerView) -> Bools:
        return layer.top2_margin >= self.threshold
