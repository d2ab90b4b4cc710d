"""Random traces whose statistics belong together, as those of a model would, without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.traces.trace import Document, Request, Trace

VOCAB = 5


def random_trace(seed: int = 0, layers: int = 6, documents: int = 8, longest: int = 5) -> Trace:
    """A trace of `documents` requests of 1 to `longest` positions, its layers drifting between predictions."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, documents)
    positions = int(lengths.sum())
    logits = rng.normal(0, 1, (layers, positions, VOCAB)).cumsum(axis=0)  # a walk: later layers often agree
    probs = _softmax(logits)
    return Trace(
        statistics=_statistics(probs, rng),
        target_logprob=np.log(probs[:, :, 0]).astype(np.float32),
        final_divergence=(probs[-1] * np.log(probs[-1] / probs)).sum(axis=-1).astype(np.float32),
        target=np.zeros(positions, dtype=np.int32),
        position=np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
        length=np.full(positions, longest, dtype=np.int32),
        context=np.arange(positions, dtype=np.int32) + 1,
        key=rng.integers(0, 2**64, positions, dtype=np.uint64),
        request=np.repeat(np.arange(documents, dtype=np.int32), lengths),
        requests=tuple(Request(number, number) for number in range(documents)),
        documents=tuple(Document(number, f"{seed}-{number}") for number in range(documents)),
    )


def with_statistics(trace: Trace, **statistics: Any) -> Trace:
    """The trace with some of its statistics replaced. [layers, positions]"""
    return replace(trace, statistics={**trace.statistics, **statistics})


def _statistics(probs: NDArray[np.float64], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """All built-in statistics of distributions. [layers, positions, vocabulary] -> [layers, positions] each"""
    second, first = np.moveaxis(np.sort(probs, axis=-1)[..., -2:], -1, 0)
    entropy = _entropy(probs)
    divergence = np.zeros_like(entropy)  # layer 1 has none: what stands there tempts a policy that forgets it
    between = _entropy((probs[1:] + probs[:-1]) / 2)
    divergence[1:] = np.maximum(between - (entropy[1:] + entropy[:-1]) / 2, 0)
    cosine = rng.uniform(-0.2, 1, entropy.shape)
    cosine[0] = 1
    numbers = {
        "max_prob": first,
        "top2_margin": first - second,
        "entropy": entropy,
        "entropy_norm": entropy / np.log(VOCAB),
        "state_cosine": cosine,
        "divergence": divergence,
    }
    top1 = probs.argmax(axis=-1).astype(np.int32)
    return {"top1": top1, **{name: values.astype(np.float32) for name, values in numbers.items()}}


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: NDArray[np.float64] = exp / exp.sum(axis=-1, keepdims=True)
    return probs


def _entropy(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """In nats. [..., vocabulary] -> [...]"""
    entropy: NDArray[np.float64] = -(probs * np.log(probs)).sum(axis=-1)
    return entropy
