"""Statistics that no model has to make, for the entry exam of policies: likely ones, extreme ones, and very many."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench import statistics as registered
from eebench.policy import Floats, Ints
from eebench.traces.trace import Document, Request, Trace

VOCAB = 50
LONGEST = 16

_POSITIONS_PER_DOCUMENT = 100

_ENDS: Mapping[str, tuple[float, float]] = {
    "max_prob": (0.0, 1.0),
    "top2_margin": (0.0, 1.0),
    "entropy": (0.0, np.log(VOCAB)),
    "entropy_norm": (0.0, 1.0),
    "state_cosine": (-1.0, float(np.nextafter(np.float32(1), np.float32(2)))),  # what rounding makes of a cosine of 1
    "divergence": (0.0, np.log(2)),
}
"""The ends of a statistic's range; those registered by a user are taken to lie in 0..1."""


# A policy at its exam is shown what it is shown anywhere: a `Trace`, so that it cannot tell that it is being examined.


def rows(trace: Trace, which: Ints | slice) -> Trace:
    """Some of the positions, in this order, as a copy."""
    return replace(
        trace,
        statistics={name: values[:, which] for name, values in trace.statistics.items()},
        target_logprob=trace.target_logprob[:, which],
        final_divergence=trace.final_divergence[:, which],
        target=trace.target[which],
        position=trace.position[which],
        length=trace.length[which],
        context=trace.context[which],
        key=trace.key[which],
        request=trace.request[which],
    )


def above(trace: Trace, k: int, other: Trace) -> Trace:
    """The trace with what another one says at the layers above k, as a copy."""
    both = {name: np.concatenate([values[:k], other.statistics[name][k:]]) for name, values in trace.statistics.items()}
    return replace(trace, statistics=both)


def equals(one: Trace, other: Trace) -> bool:
    """Whether every number is the same: statistics, positions, lengths and keys alike."""
    return all(
        np.array_equal(values, _arrays(other)[name], equal_nan=values.dtype.kind == "f")
        for name, values in _arrays(one).items()
    )


def _arrays(trace: Trace) -> dict[str, NDArray[Any]]:
    others = {field.name: getattr(trace, field.name) for field in fields(trace)}
    return {**trace.statistics, **{name: array for name, array in others.items() if isinstance(array, np.ndarray)}}


def likely(layers: int, positions: int, seed: int = 0) -> Trace:
    """Statistics of random distributions that drift from layer to layer, as a model's do."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, (layers, positions, VOCAB)) * np.linspace(0.5, 3, layers)[:, None, None]
    logits = steps.cumsum(axis=0)
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs = exp / exp.sum(axis=-1, keepdims=True)
    return _trace(_of_distributions(probs, rng), rng)


def extreme(layers: int, positions: int, seed: int = 0) -> Trace:
    """Every statistic at one end of its range or the other, by chance."""
    rng = np.random.default_rng(seed)
    shape = (layers, positions)
    ends = {name: np.where(rng.random(shape) < 0.5, *_ENDS[name]) for name in _ENDS}
    return _trace({"top1": rng.integers(0, 2, shape), **ends}, rng)


def all_at(end: int, layers: int, positions: int) -> Trace:
    """Every statistic everywhere at the lower (0) or the upper (1) end of its range, the same token everywhere."""
    rng = np.random.default_rng(end)
    ends = {name: np.full((layers, positions), both[end]) for name, both in _ENDS.items()}
    return _trace({"top1": np.full((layers, positions), end), **ends}, rng)


def many(layers: int, positions: int) -> Trace:
    """Statistics made as fast as they can be, without distributions: where only their number matters."""
    rng = np.random.default_rng(0)
    shape = (layers, positions)
    sure = rng.random(shape, dtype=np.float32)
    numbers = {
        "max_prob": sure,
        "top2_margin": sure * sure,
        "entropy": np.float32(np.log(VOCAB)) * (1 - sure),
        "entropy_norm": 1 - sure,
        "state_cosine": rng.random(shape, dtype=np.float32),
        "divergence": np.float32(np.log(2)) * (1 - sure),
    }
    return _trace({"top1": rng.integers(0, 3, shape, dtype=np.int32), **numbers}, rng)


def _of_distributions(probs: NDArray[np.float64], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """All built-in statistics. [layers, positions, vocabulary] -> [layers, positions] each"""
    second, first = np.moveaxis(np.sort(probs, axis=-1)[..., -2:], -1, 0)
    entropy = _entropy(probs)
    between = _entropy((probs[1:] + probs[:-1]) / 2)
    divergence = np.concatenate([np.zeros_like(entropy[:1]), between - (entropy[1:] + entropy[:-1]) / 2])
    return {
        "top1": probs.argmax(axis=-1),
        "max_prob": first,
        "top2_margin": first - second,
        "entropy": entropy,
        "entropy_norm": entropy / np.log(VOCAB),
        "state_cosine": 1 - rng.random(entropy.shape) ** 3,  # most are close to 1, as a model's are
        "divergence": np.maximum(divergence, 0),
    }


def _entropy(probs: NDArray[np.float64]) -> Floats:
    """In nats. [..., vocabulary] -> [...]"""
    entropy: Floats = -(probs * np.log(np.maximum(probs, 1e-300))).sum(axis=-1)
    return entropy


def _trace(values: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> Trace:
    """A trace of these statistics and of those a user has registered, in the types and with the gaps of a real one."""
    layers, positions = values["top1"].shape
    own = {
        name: rng.random((layers, positions), dtype=np.float32) for name in registered.REGISTRY if name not in values
    }
    statistics = {name: _stored(name, stored) for name, stored in {**values, **own}.items()}
    length: Ints = rng.integers(1, LONGEST + 1, size=(positions,), dtype=np.int32)
    position = (rng.random(positions) * length).astype(np.int32)
    documents = range(-(-positions // _POSITIONS_PER_DOCUMENT))
    nothing = np.broadcast_to(np.float32(0), (layers, positions))  # no policy sees it
    return Trace(
        statistics=statistics,
        target_logprob=nothing,
        final_divergence=nothing,
        target=statistics["top1"][-1].copy(),
        position=position,
        length=length,
        context=position + 1,
        key=rng.integers(0, 2**64, size=(positions,), dtype=np.uint64),
        request=np.arange(positions) // _POSITIONS_PER_DOCUMENT,
        requests=tuple(Request(number, 0) for number in documents),
        documents=tuple(Document(number, hashlib.sha256(b"%d" % number).hexdigest()) for number in documents),
    )


def _stored(name: str, rows: NDArray[Any]) -> NDArray[Any]:
    about = registered.find_statistic(name)
    stored = rows.astype(np.int32 if about.is_token else np.float32, copy=False)
    if about.looks_back:
        stored[:1] = about.no_value
    return stored
