"""Is early exit natural? What each layer already says of the final prediction, and how much an oracle could save."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eebench.policy import Ints
from eebench.ranking.bootstrap import Estimate, interval
from eebench.ranking.eas import eas
from eebench.study.material import Material


@dataclass(frozen=True)
class Capability:
    """How early a model could stop.

    Attributes:
        layers: a row per layer: `agreement` (share of positions whose top-1 is the final one), `target_logprob`,
            `entropy`, `final_divergence` (means, nats), `max_prob` (means), `oracle` and `stable` (shares of
            positions that these bounds stop at the layer).
        oracle, stable: share of layers saved by the first layer that agrees, and by the first that agrees for good.
        by_chance: what `oracle` would save if the final predictions were dealt out among the positions at random: what
            frequent tokens make agree without any foresight.
        compute_with_head, compute_without_head: share of FLOPs that the oracle saves, the final read of the head
            counted on both sides, or on neither.
        eas: mean over l < L of S_l^a · w_l^(1-a), w_l = (L-l)/L (Wei et al., arXiv 2603.23701), S_l being agreement.
    """

    layers: pd.DataFrame
    oracle: Estimate
    stable: Estimate
    by_chance: Estimate
    compute_with_head: Estimate
    compute_without_head: Estimate
    eas: float


def capability(material: Material) -> Capability:
    """What the layers of a model say, over all its positions."""
    trace, num_layers = material.trace, material.num_layers
    agreement = trace.agrees.mean(axis=1)
    layers = pd.DataFrame(
        {
            "layer": np.arange(1, num_layers + 1),
            "agreement": agreement,
            "target_logprob": trace.target_logprob.mean(axis=1, dtype=np.float64),
            "entropy": trace.all_layers("entropy").mean(axis=1, dtype=np.float64),
            "final_divergence": trace.final_divergence.mean(axis=1, dtype=np.float64),
            "max_prob": trace.all_layers("max_prob").mean(axis=1, dtype=np.float64),
            "oracle": _shares(material.oracle, num_layers),
            "stable": _shares(material.stable, num_layers),
        }
    )
    with_head, without_head = _compute_saved(material)
    return Capability(
        layers=layers,
        oracle=layers_saved(material, material.oracle),
        stable=layers_saved(material, material.stable),
        by_chance=layers_saved(material, dealt_out(material)),
        compute_with_head=with_head,
        compute_without_head=without_head,
        eas=eas(agreement),
    )


def layers_saved(material: Material, exit_layer: Ints) -> Estimate:
    """The share of layers that stopping at `exit_layer` saves. [positions]"""
    return interval(saved_draws(material, exit_layer))


def saved_draws(material: Material, exit_layer: Ints) -> NDArray[np.float64]:
    """As `layers_saved`, of the sample and of each draw of documents. [1 + draws]"""
    saved = material.per_document(1 - exit_layer / material.num_layers)
    return material.resampler.ratios(saved, material.per_document(1.0))


def _shares(layer: Ints, num_layers: int) -> NDArray[np.float64]:
    return np.bincount(layer, minlength=num_layers + 1)[1:] / len(layer)


def dealt_out(material: Material) -> Ints:
    """Where the oracle would stop if each position wanted the final prediction of another position of its task."""
    rng = np.random.default_rng(0)
    top1 = material.trace.all_layers("top1")
    wanted = top1[-1].copy()
    start = 0
    for task in material.tasks:
        some = slice(start, start + task.trace.num_positions)
        wanted[some] = rng.permutation(wanted[some])
        start = some.stop
    agrees = top1 == wanted
    agrees[-1] = True
    first: Ints = agrees.argmax(axis=0) + 1
    return first


def _compute_saved(material: Material) -> tuple[Estimate, Estimate]:
    trace, cost = material.trace, material.cost
    reads = np.ones_like(material.oracle)
    stopped, full = cost.flops(material.oracle, reads, trace.context), cost.full(trace.context)
    with_head = material.resampler.ratio(material.per_document(full - stopped), material.per_document(full))
    without = material.per_document(full - cost.head)
    return with_head, material.resampler.ratio(material.per_document(full - stopped), without)
