"""Stop once the hidden state has settled."""

from eebench.policy import Bools, ExitPolicy, LayerView, swept, toward_one


class State(ExitPolicy):
    """Stop once a layer hardly turns the hidden state. Reads no head until it stops."""

    formula = "cosine(state k, state k-1) >= threshold; never at layer 1, which has none before it"
    source = "CALM's hidden-state saturation (Schuster et al. 2022, arXiv 2207.07061)"

    threshold: float = swept(0.99, over=toward_one(0.4, 0.001, 14), description="lowest cosine to stop at", ge=-1, le=1)

    def stops(self, layer: LayerView) -> Bools:
        return layer.none() if layer.index == 1 else layer.state_cosine >= self.threshold
