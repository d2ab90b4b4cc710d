"""Ask for less confidence the further the answer has come."""

import numpy as np
from pydantic import Field

from eebench.policy import Bools, ExitPolicy, LayerView, swept, toward_one


class Decay(ExitPolicy):
    """Stop on a margin that need not be as wide late in the answer: early mistakes are seen by more tokens."""

    formula = "margin(k) >= 0.9 * threshold + 0.1 * exp(-temperature * t / N), t the position of N in the answer"
    source = "CALM, eq. 5 (Schuster et al. 2022, arXiv 2207.07061)"

    threshold: float = swept(
        0.9, over=toward_one(0.97, 0.001, 12), description="margin asked for, before decay", ge=0, le=1
    )
    temperature: float = Field(4.0, ge=0, description="how fast it decays")

    def stops(self, layer: LayerView) -> Bools:
        asked = 0.9 * self.threshold + 0.1 * np.exp(-self.temperature * layer.position / layer.length)
        return layer.top2_margin >= asked
