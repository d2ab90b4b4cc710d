"""Go less deep the further the answer has come, whatever the lens says."""

from typing import Self

import numpy as np
from pydantic import model_validator

from eebench.policy import Bools, ExitPolicy, Layer, LayerView, layer_fractions, swept


class Schedule(ExitPolicy):
    """Stop at a depth that falls with the position in the answer. Reads no head until it stops."""

    formula = "k >= depth(t), falling linearly from `first` at t = 0 to `last` at t = N - 1"
    source = "SkipDecode (Del Corro et al. 2023, arXiv 2307.02628)"

    first: Layer = swept(1, over=layer_fractions(0.5, 0.7, 0.85, 0.95, 1.0), description="depth of the first position")
    last: Layer = swept(1, over=layer_fractions(0.25, 0.5, 0.75, 0.9), description="depth of the last position")

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.last > self.first:
            raise ValueError(f"the depth falls, so last={self.last} cannot be deeper than first={self.first}")
        return self

    def stops(self, layer: LayerView) -> Bools:
        steps = np.maximum(layer.length - 1, 1)
        return layer.index >= self.first + (self.last - self.first) * layer.position / steps  # whole depths stay whole
