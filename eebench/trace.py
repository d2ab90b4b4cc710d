"""The trace of a (model, task): the statistics of all layers at all scored positions, as numpy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eebench.errors import unknown
from eebench.policy import Bools, Floats, Ints

Part = Literal["calibration", "test"]


@dataclass(frozen=True)
class Document:
    """A scored document: its number in the task, and a hash of its content that tells it from all others."""

    id: int
    hash: str

    @property
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
        target: id of the token to be predicted. [positions]
        position: t, the position in the answer, from 0. [positions]
        length: N, the longest length the answer may have. [positions]
        context: number of tokens the position attends to, itself included. [positions]
        key: a hash of (document, request, t): the seed of every coin tossed at the position. [positions]
        request: index into `requests`. [positions]
    """

    statistics: Mapping[str, NDArray[Any]]
    target_logprob: Floats
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
