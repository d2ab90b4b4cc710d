"""Statistics that no model has to make, for the entry exam of policies: likely ones, extreme ones, and very many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench import statistics as registered
from eebench.policy import Bools, Floats, Ints

VOCAB = 50
LONGEST = 16

_ENDS: Mapping[str, tuple[float, float]] = {
    "max_prob": (0.0, 1.0),
    "top2_margin": (0.0, 1.0),
    "entropy": (0.0, np.log(VOCAB)),
    "entropy_norm": (0.0, 1.0),
    "state_cosine": (-1.0, float(np.nextafter(np.float32(1), np.float32(2)))),  # what rounding makes of a cosine of 1
    "divergence": (0.0, np.log(2)),
}
"""The ends of a statistic's range; those registered by a user are taken to lie in 0..1."""


@dataclass(frozen=True)
class ExamTrace:
    """What a policy may see of some positions; none of it comes from a model.

    Attributes:
        statistics: name -> [layers, positions].
        position, length, key: as those of a `Trace`. [positions]
    """

    num_layers: int
    statistics: Mapping[str, NDArray[Any]]
    position: Ints
    length: Ints
    key: NDArray[np.uint64]

    @property
    def num_positions(self) -> int:
        return len(self.position)

    def all_layers(self, name: str) -> NDArray[Any]:
        """A statistic at all layers. [layers, positions]

        Raises:
            EEBenchError: nobody has registered it.
        """
        registered.find_statistic(name)
        return self.statistics[name]

    def at_layer(self, name: str, layer: int, going: Bools) -> NDArray[Any]:
        """A statistic at one layer, from 1. [positions]"""
        values: NDArray[Any] = self.all_layers(name)[layer - 1]
        return values

    def rows(self, which: Ints | slice) -> ExamTrace:
        """Some of the positions, in this order, as a copy."""
        return replace(
            self,
            statistics={name: values[:, which] for name, values in self.statistics.items()},
            position=self.position[which],
            length=self.length[which],
            key=self.key[which],
        )

    def above(self, k: int, other: ExamTrace) -> ExamTrace:
        """The trace with what another one says at the layers above k, as a copy."""
        both = {name: np.concatenate([rows[:k], other.statistics[name][k:]]) for name, rows in self.statistics.items()}
        return replace(self, statistics=both)

    def equals(self, other: ExamTrace) -> bool:
        """Whether every statistic is the same."""
        return all(np.array_equal(values, other.statistics[name]) for name, values in self.statistics.items())


def likely(layers: int, positions: int, seed: int = 0) -> ExamTrace:
    """Statistics of random distributions that drift from layer to layer, as a model's do."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, (layers, positions, VOCAB)) * np.linspace(0.5, 3, layers)[:, None, None]
    logits = steps.cumsum(axis=0)
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs = exp / exp.sum(axis=-1, keepdims=True)
    return _trace(_of_distributions(probs, rng), rng)


def extreme(layers: int, positions: int, seed: int = 0) -> ExamTrace:
    """Every statistic at one end of its range or the other, by chance."""
    rng = np.random.default_rng(seed)
    shape = (layers, positions)
    ends = {name: np.where(rng.random(shape) < 0.5, *_ENDS[name]) for name in _ENDS}
    return _trace({"top1": rng.integers(0, 2, shape), **ends}, rng)


def all_at(end: int, layers: int, positions: int) -> ExamTrace:
    """Every statistic everywhere at the lower (0) or the upper (1) end of its range, the same token everywhere."""
    rng = np.random.default_rng(end)
    ends = {name: np.full((layers, positions), both[end]) for name, both in _ENDS.items()}
    return _trace({"top1": np.full((layers, positions), end), **ends}, rng)


def many(layers: int, positions: int) -> ExamTrace:
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


def _trace(values: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> ExamTrace:
    """A trace of these statistics and of those a user has registered, in the types and with the gaps of a real one."""
    layers, positions = values["top1"].shape
    own = {
        name: rng.random((layers, positions), dtype=np.float32) for name in registered.REGISTRY if name not in values
    }
    length: Ints = rng.integers(1, LONGEST + 1, size=(positions,), dtype=np.int32)
    return ExamTrace(
        num_layers=layers,
        statistics={name: _stored(name, rows) for name, rows in {**values, **own}.items()},
        position=(rng.random(positions) * length).astype(np.int32),
        length=length,
        key=rng.integers(0, 2**64, size=(positions,), dtype=np.uint64),
    )


def _stored(name: str, rows: NDArray[Any]) -> NDArray[Any]:
    about = registered.find_statistic(name)
    stored = rows.astype(np.int32 if about.is_token else np.float32, copy=False)
    if about.looks_back:
        stored[:1] = about.no_value
    return stored
