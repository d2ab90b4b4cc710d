"""Cut the model."""

from eebench.policy import Bools, ExitPolicy, Layer, LayerView, every_layer, swept


class Static(ExitPolicy):
    """Stop at a fixed layer: what any policy competes with."""

    kind = "control"
    fixed = True
    formula = "k = layer"
    source = "control: simply cutting the model"

    layer: Layer = swept(1, over=every_layer, description="the layer to stop at")

    def stops(self, layer: LayerView) -> Bools:
        return layer.all() if layer.index >= self.layer else layer.none()
