"""Stop once layers in a row have said the same."""

import numpy as np

from eebench.policy import Bools, ExitPolicy, LayerView, swept


class Patience(ExitPolicy):
    """Stop once the prediction has not changed for some looks in a row."""

    formula = "top-1 has equalled the previous looked-at layer's `patience` times in a row"
    source = "PABEE (Zhou et al. 2020, arXiv 2006.04152)"

    patience: int = swept(3, over=range(1, 9), description="unchanged looks in a row to stop at", ge=1)

    def stops(self, layer: LayerView) -> Bools:
        if layer.previous is None:
            layer.state.unchanged = np.zeros(len(layer.top1), dtype=int)
            return layer.none()
        same = layer.top1 == layer.previous.top1
        layer.state.unchanged = np.where(same, layer.state.unchanged + 1, 0)
        stops: Bools = layer.state.unchanged >= self.patience
        return stops
