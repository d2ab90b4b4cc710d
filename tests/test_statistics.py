"""Statistics of a layer against slow, obvious references, at the extremes too."""

from __future__ import annotations

import math

import pytest
import torch

from eebench.errors import EEBenchError
from eebench.statistics import REGISTRY, Lens, find_statistic, layers_read

EXTREMES = {
    "random": torch.randn(6, 300, generator=torch.Generator().manual_seed(0)) * 4,
    "sure": torch.cat([torch.full((6, 299), -200.0), torch.full((6, 1), 200.0)], dim=1),
    "flat": torch.zeros(6, 300),
    "impossible tokens": torch.cat([torch.full((6, 100), float("-inf")), torch.randn(6, 200)], dim=1),
    "huge": torch.randn(6, 300) * 1e6,
}


def lenses(logits: torch.Tensor) -> tuple[Lens, torch.Tensor, torch.Tensor]:
    """A lens with another layer before it, and the two distributions in float64."""
    other = logits.roll(7, dims=1) * 0.5
    state, other_state = torch.randn(6, 16), torch.randn(6, 16)
    lens = Lens(logits.clone, state, Lens(other.clone, other_state, None))
    return lens, logits.double().softmax(-1), other.double().softmax(-1)


def entropy(probs: torch.Tensor) -> torch.Tensor:
    return torch.special.entr(probs).sum(-1)


@pytest.mark.parametrize("name", EXTREMES)
class TestAgainstReferences:
    def test_no_statistic_is_ever_nan(self, name: str) -> None:
        lens, _p, _q = lenses(EXTREMES[name])
        for known in REGISTRY.values():
            assert torch.isfinite(known.compute(lens).double()).all(), known.name

    def test_probabilities(self, name: str) -> None:
        lens, p, _q = lenses(EXTREMES[name])
        best = p.topk(2).values
        assert (p.gather(1, lens.top1[:, None])[:, 0] == best[:, 0]).all()
        torch.testing.assert_close(REGISTRY["max_prob"].compute(lens).double(), best[:, 0], atol=1e-5, rtol=0)
        margin = REGISTRY["top2_margin"].compute(lens).double()
        torch.testing.assert_close(margin, best[:, 0] - best[:, 1], atol=1e-5, rtol=0)

    def test_entropy(self, name: str) -> None:
        lens, p, _q = lenses(EXTREMES[name])
        torch.testing.assert_close(REGISTRY["entropy"].compute(lens).double(), entropy(p), atol=1e-4, rtol=0)
        normalized = REGISTRY["entropy_norm"].compute(lens).double()
        torch.testing.assert_close(normalized, entropy(p) / math.log(300), atol=1e-4, rtol=0)

    def test_divergence(self, name: str) -> None:
        lens, p, q = lenses(EXTREMES[name])
        reference = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
        torch.testing.assert_close(REGISTRY["divergence"].compute(lens).double(), reference, atol=1e-4, rtol=0)

    def test_the_order_in_which_statistics_are_asked_for_does_not_matter(self, name: str) -> None:
        forwards, _p, _q = lenses(EXTREMES[name])
        backwards = Lens(EXTREMES[name].clone, forwards.state, forwards.previous)
        one = {known.name: known.compute(forwards) for known in REGISTRY.values()}
        other = {known.name: known.compute(backwards) for known in reversed(REGISTRY.values())}
        for statistic, value in one.items():
            torch.testing.assert_close(value, other[statistic], atol=1e-6, rtol=0)


def test_state_cosine() -> None:
    lens, _p, _q = lenses(EXTREMES["random"])
    assert lens.previous is not None
    reference = torch.nn.functional.cosine_similarity(lens.state, lens.previous.state)
    torch.testing.assert_close(REGISTRY["state_cosine"].compute(lens), reference)


def test_what_a_statistic_reads() -> None:
    assert layers_read("entropy", 4) == {4}
    assert layers_read("state_cosine", 4) == set()
    assert layers_read("divergence", 4) == {3, 4}
    assert layers_read("divergence", 1) == set()


def test_an_unknown_statistic_is_named_with_those_near_it() -> None:
    with pytest.raises(EEBenchError, match="unknown statistic 'entrpy': did you mean entropy"):
        find_statistic("entrpy")
