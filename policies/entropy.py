"""Stop once the lens is sure."""

from pydantic import Field

from eebench.policy import Bools, ExitPolicy, LayerView, geometric, swept


class Entropy(ExitPolicy):
    """Stop once the entropy of the lens distribution is at or below a threshold."""

    formula = "entropy(k) <= threshold, in nats (normalized=true: entropy / ln V)"
    source = "BranchyNet (Teerapittayanon et al. 2016, arXiv 1709.01686), DeeBERT (Xin et al. 2020, arXiv 2004.12993)"

    threshold: float = swept(0.5, over=geometric(0.01, 6.0, 14), description="highest entropy to stop at", ge=0)
    normalized: bool = Field(False, description="divide the entropy by ln V, the largest it can be")

    def stops(self, layer: LayerView) -> Bools:
        entropy = layer.entropy_norm if self.normalized else layer.entropy
        return entropy <= self.threshold
