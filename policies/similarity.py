"""Stop once successive layers say nearly the same."""

import numpy as np

from eebench.policy import Bools, ExitPolicy, LayerView, geometric, swept


class Similarity(ExitPolicy):
    """Stop once the distributions of successive layers have been close for some looks in a row."""

    formula = "Jensen-Shannon divergence of k and k-1 <= threshold, in nats, at `patience` looked-at layers in a row"
    source = "F-PABEE (Gao et al. 2023, arXiv 2305.11916)"

    threshold: float = swept(0.05, over=geometric(0.0003, 0.6, 8), description="largest divergence that counts", ge=0)
    patience: int = swept(1, over=(1, 2, 3), description="close looks in a row to stop at", ge=1)

    def stops(self, layer: LayerView) -> Bools:
        if layer.index == 1:  # no layer before it to be close to
            return layer.none()
        close = layer.divergence <= self.threshold
        layer.state.in_a_row = np.where(close, getattr(layer.state, "in_a_row", 0) + 1, 0)
        stops: Bools = layer.state.in_a_row >= self.patience
        return stops
