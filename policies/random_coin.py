"""Toss a coin."""

from pydantic import Field

from eebench.policy import Bools, ExitPolicy, LayerView, linear, swept


class Random(ExitPolicy):
    """Stop at once or never, by a coin: the no-skill line, which must score 0 within its interval."""

    kind = "control"
    formula = "a seeded coin per position: with probability p stops at the first look, else at L"
    source = "control: what a policy must beat to have any skill"

    p: float = swept(0.5, over=linear(0.1, 0.9, 9), description="probability of stopping at once", ge=0, le=1)
    seed: int = Field(0, description="another seed is another toss of all coins")

    def stops(self, layer: LayerView) -> Bools:
        first_look = layer.previous is None
        return layer.uniform(self.seed) < self.p if first_look else layer.none()
