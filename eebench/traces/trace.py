"""The trace of a (model, task): the statistics of all layers at all scored positions, as numpy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eebench.errors import unknown
from eebench.policy import Bools, Floats, Ints

Part = Literal["calibration", "test"]

HASHED = ("divergence", "entropy", "entropy_norm", "max_prob", "state_cosine", "top1", "top2_margin")
"""Statistics that tell one trace from another."""


@dataclass(frozen=True)
class Document:
    """A scored document: its number in the task, and a hash of its content that tells it from all others."""

    id: int
    hash: str

    @cached_property
    def part(self) -> Part:
        """Half of all documents calibrate, half are reported; which is which depends on the content alone."""
        digest = hashlib.sha256(f"eebench-split:{self.hash}".encode()).digest()
        return "calibration" if digest[0] < 128 else "test"


@dataclass(frozen=True)
class Request:
    """One request of the harness: which document asked (an index into `Trace.documents`), and its number there."""

    document: int
    index: int


@dataclass(frozen=True)
class Trace:
    """What every layer says at every scored position. Positions of a request are adjacent and in order.

    Attributes:
        statistics: what policies may look at, name -> [layers, positions].
        target_logprob: ln of the probability each layer gives to the target; no policy sees it. [layers, positions]
        final_divergence: KL(p_L || p_k) in nats, how far each layer's distribution is from the final one; no policy
            sees it. [layers, positions]
        target: id of the token to be predicted. [positions]
        position: t, the position in the answer, from 0. [positions]
        length: N, the longest length the answer may have. [positions]
        context: number of tokens the position attends to, itself included. [positions]
        key: a hash of (document, request, t): the seed of every coin tossed at the position. [positions]
        request: index into `requests`. [positions]
    """

    statistics: Mapping[str, NDArray[Any]]
    target_logprob: Floats
    final_divergence: Floats
    target: Ints
    position: Ints
    length: Ints
    context: Ints
    key: NDArray[np.uint64]
    request: Ints
    requests: tuple[Request, ...]
    documents: tuple[Document, ...]

    @property
    def num_layers(self) -> int:
        return int(self.statistics["top1"].shape[0])

    @property
    def num_positions(self) -> int:
        return len(self.target)

    def all_layers(self, name: str) -> NDArray[Any]:
        """A statistic at all layers. [layers, positions]

        Raises:
            EEBenchError: the trace does not hold the statistic.
        """
        try:
            return self.statistics[name]
        except KeyError:
            raise unknown("statistic", name, self.statistics) from None

    def at_layer(self, name: str, layer: int, going: Bools) -> NDArray[Any]:
        """A statistic at one layer, from 1, wherever a setting is `going` or not. [positions]"""
        values: NDArray[Any] = self.all_layers(name)[layer - 1]
        return values

    @cached_property
    def document(self) -> Ints:
        """Index into `documents` of each position. [positions]"""
        of_request = np.array([request.document for request in self.requests], dtype=np.int64)
        return of_request[self.request]

    @cached_property
    def final_top1(self) -> Ints:
        """The full model's most probable token. [positions]"""
        final: Ints = self.statistics["top1"][-1]
        return final

    @cached_property
    def agrees(self) -> Bools:
        """Whether a layer's most probable token is the full model's. [layers, positions]"""
        agrees: Bools = self.statistics["top1"] == self.final_top1
        return agrees

    def answers(self, exit_layer: Ints) -> tuple[NDArray[np.float64], Bools]:
        """What the model answers each request when its positions stop where they do.

        Args:
            exit_layer: the layer each position stops at, 1..L. [positions]

        Returns:
            The continuation's log-likelihood in nats, and whether each of its tokens is the top-1. [requests]
        """
        at = (exit_layer - 1, np.arange(self.num_positions))
        starts = np.flatnonzero(np.diff(self.request, prepend=-1))
        logprobs = np.add.reduceat(self.target_logprob[at].astype(np.float64), starts)
        return logprobs, np.logical_and.reduceat(self._target_is_top1[at], starts)

    @cached_property
    def _target_is_top1(self) -> Bools:
        is_top1: Bools = self.statistics["top1"] == self.target
        return is_top1  # [layers, positions]

    def document_hashes(self) -> list[str]:
        """Per document, a hash of what the layers say there: two with the same hash have the same trace, bit by bit.

        Statistics that somebody else has registered are no part of it.
        """
        arrays = {name: self.statistics[name] for name in HASHED if name in self.statistics}
        arrays |= {"target_logprob": self.target_logprob, "target": self.target[None]}
        arrays |= {"context": self.context[None], "key": self.key[None]}
        ends = np.searchsorted(self.document, np.arange(len(self.documents) + 1))
        return [
            _hash_of({name: values[:, start:end] for name, values in arrays.items()}) for start, end in pairwise(ends)
        ]

    def in_part(self, part: Part) -> Bools:
        """Which documents belong to a part of the split. [documents]"""
        return np.array([document.part == part for document in self.documents], dtype=bool)

    def select(self, documents: Bools) -> Trace:
        """The trace of some of its documents only, `documents` a mask. [documents]"""
        kept_documents = np.flatnonzero(documents)
        new_document = {int(old): new for new, old in enumerate(kept_documents)}
        kept_requests = [i for i, request in enumerate(self.requests) if documents[request.document]]
        new_request = np.full(len(self.requests), -1)
        new_request[kept_requests] = np.arange(len(kept_requests))
        rows = documents[self.document]
        return replace(
            self,
            statistics={name: values[:, rows] for name, values in self.statistics.items()},
            target_logprob=self.target_logprob[:, rows],
            final_divergence=self.final_divergence[:, rows],
            target=self.target[rows],
            position=self.position[rows],
            length=self.length[rows],
            context=self.context[rows],
            key=self.key[rows],
            request=new_request[self.request[rows]],
            requests=tuple(
                replace(self.requests[i], document=new_document[self.requests[i].document]) for i in kept_requests
            ),
            documents=tuple(self.documents[i] for i in kept_documents),
        )


def _hash_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, values in arrays.items():
        digest.update(f"{name}:{values.dtype.str}:{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]


def concatenate(traces: Sequence[Trace]) -> Trace:
    """One trace of the documents of several, in order."""
    first_request = np.cumsum([0, *(len(trace.requests) for trace in traces)])
    first_document = np.cumsum([0, *(len(trace.documents) for trace in traces)])
    return Trace(
        statistics={
            name: np.concatenate([trace.statistics[name] for trace in traces], axis=1) for name in traces[0].statistics
        },
        target_logprob=np.concatenate([trace.target_logprob for trace in traces], axis=1),
        final_divergence=np.concatenate([trace.final_divergence for trace in traces], axis=1),
        target=np.concatenate([trace.target for trace in traces]),
        position=np.concatenate([trace.position for trace in traces]),
        length=np.concatenate([trace.length for trace in traces]),
        context=np.concatenate([trace.context for trace in traces]),
        key=np.concatenate([trace.key for trace in traces]),
        request=np.concatenate([trace.request + first for trace, first in zip(traces, first_request, strict=False)]),
        requests=tuple(
            replace(request, document=request.document + int(first))
            for trace, first in zip(traces, first_document, strict=False)
            for request in trace.requests
        ),
        documents=tuple(document for trace in traces for document in trace.documents),
    )
