"""Run the whole model."""

from eebench.policy import Bools, ExitPolicy, LayerView


class Full(ExitPolicy):
    """Never stop before the last layer: what quality is retained of."""

    kind = "control"
    fixed = True
    formula = "never before L"
    source = "control: the model as it is"

    def stops(self, layer: LayerView) -> Bools:
        return layer.none()
