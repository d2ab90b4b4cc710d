"""Trace: one pass over the model keeps a few numbers per layer and scored position.

Token prefixes are what decides a position, so a shard of documents is laid out as a tree of prefixes: a sequence that
is the beginning of another is not run again, and a prefix that many requests share (the question before its answers)
is read through the head once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eebench.models.batching import Sequenced, Source, Tokens, padded_batches
from eebench.models.blocks import LayerReader
from eebench.statistics import REGISTRY, Lens, Statistic
from eebench.traces.prompts import position_keys
from eebench.traces.trace import Document, Request, Trace

READ_AT_ONCE = 128
"""Positions read through the head together: positions × vocabulary floats are in memory twice."""


@dataclass(frozen=True)
class Window:
    """Tokens the model sees and the continuation it is scored on: `targets` are predicted from the last
    `len(targets)` positions of `tokens`.

    In an encoder-decoder model `tokens` are what the decoder sees and `source` what the encoder does.
    """

    tokens: tuple[int, ...]
    targets: tuple[int, ...]
    source: tuple[int, ...] = ()


@dataclass(frozen=True)
class EncodedRequest:
    """A request as tokens; a long text is several windows."""

    index: int
    windows: tuple[Window, ...]

    @property
    def num_positions(self) -> int:
        return sum(len(window.targets) for window in self.windows)


@dataclass(frozen=True)
class EncodedDocument:
    """A document as tokens."""

    id: int
    hash: str
    requests: tuple[EncodedRequest, ...]

    @property
    def num_positions(self) -> int:
        return sum(request.num_positions for request in self.requests)

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over every token of every request: two documents with the same hash have the same trace."""
        digest = hashlib.sha256(self.hash.encode())
        for request in self.requests:
            for window in request.windows:
                digest.update(f"|{request.index}:{len(window.targets)}:{len(window.source)}:".encode())
                tokens = window.source + window.tokens + window.targets[-1:]
                digest.update(np.array(tokens, dtype=np.int64).tobytes())
        return digest.hexdigest()


def trace_documents(reader: LayerReader, documents: Sequence[EncodedDocument], batch_size: int | None = None) -> Trace:
    """Trace a shard of documents in one pass over the model.

    Args:
        batch_size: sequences per forward pass; None fills a batch up to a number of tokens.
    """
    tree = PrefixTree(documents)
    read = _read(reader, tree, batch_size)
    return _lay_out(documents, tree, read)


# --- the tree of prefixes ----------------------------------------------------------------------------------------


class PrefixTree:
    """Every distinct prefix of a shard.

    Attributes:
        sequences: what must be run, as (source, tokens): sequences that are not the beginning of another.
        place: prefix -> (which sequence it lies in, at which token).
        scored: the scored prefixes, in order of first use.
        positions: for every position in trace order, (index into `scored`, target token).
    """

    def __init__(self, documents: Sequence[EncodedDocument]) -> None:
        windows = [w for document in documents for request in document.requests for w in request.windows]
        self.sequences: list[Sequenced] = []
        self.place: list[tuple[int, int]] = []
        self._children: dict[tuple[int | Tokens, int], int] = {}
        # Longest first: a sequence whose last prefix is already there is the beginning of one that will be run.
        distinct = sorted({(w.source, w.tokens) for w in windows}, key=lambda pair: len(pair[1]), reverse=True)
        paths = {pair: self._insert(*pair) for pair in distinct}
        node_of_scored: dict[int, int] = {}
        self.positions: list[tuple[int, int]] = []
        for window in windows:
            nodes = paths[window.source, window.tokens][-len(window.targets) :]
            for node, target in zip(nodes, window.targets, strict=True):
                self.positions.append((node_of_scored.setdefault(node, len(node_of_scored)), target))
        self.scored = list(node_of_scored)

    def _insert(self, source: Tokens, tokens: Tokens) -> list[int]:
        """The node of each prefix of `tokens` after `source`."""
        parent: int | Tokens = source
        path: list[int] = []
        known, sequence = len(self.place), len(self.sequences)
        for depth, token in enumerate(tokens):
            node = self._children.setdefault((parent, token), len(self.place))
            if node == len(self.place):
                self.place.append((sequence, depth))
            path.append(node)
            parent = node
        if len(self.place) > known:
            self.sequences.append((source, tokens))
        return path


# --- the pass over the model -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Readings:
    """What the pass gives: statistics per scored prefix, and the target's log-probability per position."""

    statistics: dict[str, NDArray[Any]]  # [layers, scored]
    final_divergence: NDArray[np.float32]  # [layers, scored]
    target_logprob: NDArray[np.float32]  # [layers, positions]


def _read(reader: LayerReader, tree: PrefixTree, batch_size: int | None) -> _Readings:
    positions_of: list[list[int]] = [[] for _ in tree.scored]
    for position, (node, _target) in enumerate(tree.positions):
        positions_of[node].append(position)
    targets = np.array([target for _scored, target in tree.positions])
    layers = reader.num_layers
    statistics: dict[str, NDArray[Any]] = {
        name: np.empty((layers, len(tree.scored)), dtype=np.int32 if known.is_token else np.float32)
        for name, known in REGISTRY.items()
    }
    final_divergence = np.empty((layers, len(tree.scored)), dtype=np.float32)
    target_logprob = np.empty((layers, len(targets)), dtype=np.float32)
    for input_ids, source, scored, rows, columns in _batches(tree, batch_size, reader.device):
        states = reader.states(input_ids, rows, columns, *source)
        for start in range(0, len(scored), READ_AT_ONCE):
            some = slice(start, start + READ_AT_ONCE)
            wanted = [(row, position) for row, s in enumerate(scored[some]) for position in positions_of[s]]
            lens_rows, of_positions = np.array(wanted).T
            read = _read_layers(reader, [state[some] for state in states], lens_rows, targets[of_positions])
            for name, value in read.statistics.items():
                statistics[name][:, scored[some]] = value
            final_divergence[:, scored[some]] = read.final_divergence
            target_logprob[:, of_positions] = read.target_logprob
    return _Readings(statistics, final_divergence, target_logprob)


def _batches(
    tree: PrefixTree, batch_size: int | None, device: torch.device
) -> list[tuple[Tensor, Source, NDArray[np.int64], Tensor, Tensor]]:
    """Batches: token ids [batch, length], source, and the scored prefixes' number, row and column."""
    scored_in: list[list[tuple[int, int]]] = [[] for _ in tree.sequences]
    for scored, node in enumerate(tree.scored):
        sequence, depth = tree.place[node]
        scored_in[sequence].append((scored, depth))
    batches = []
    for group, input_ids, source in padded_batches(tree.sequences, batch_size, device):
        wanted = [(scored, row, depth) for row, sequence in enumerate(group) for scored, depth in scored_in[sequence]]
        if wanted:
            scored_ids, rows, columns = np.array(wanted).T
            row_ids, column_ids = (torch.from_numpy(array.copy()).to(device) for array in (rows, columns))
            batches.append((input_ids, source, scored_ids, row_ids, column_ids))
    return batches


@torch.inference_mode()
def _read_layers(
    reader: LayerReader, states: Sequence[Tensor], lens_rows: NDArray[np.int64], targets: NDArray[np.int64]
) -> _Readings:
    """Read some positions at every layer.

    Args:
        states: per layer. [positions, hidden]
        lens_rows: for each target, which of the positions it follows. [targets]

    """
    rows = torch.from_numpy(lens_rows).to(reader.device)
    ids = torch.from_numpy(targets).to(reader.device)
    values: dict[str, list[Tensor]] = {name: [] for name in REGISTRY}
    logprobs, divergences = [], []
    final = Lens(lambda: reader.logits(states[-1]), states[-1], None)
    previous: Lens | None = None
    for state in states:
        logits = reader.logits(state)
        # Both before `Lens` turns the logits into probabilities.
        expected = torch.einsum("pv,pv->p", final.probs, logits)  # of the logits under the final distribution
        target_logits = logits[rows, ids]
        lens = Lens(lambda logits=logits: logits, state, previous)  # type: ignore[misc]
        del logits
        for name, known in REGISTRY.items():
            values[name].append(_value(known, lens))
        logprobs.append(target_logits - lens.log_total[rows])
        divergences.append((lens.log_total - expected - final.entropy).clamp_(min=0.0))
        lens.previous = None  # keep one layer back, not the whole way
        previous = lens
    stacked = {name: torch.stack(per_layer).cpu().numpy() for name, per_layer in values.items()}
    return _Readings(stacked, torch.stack(divergences).cpu().numpy(), torch.stack(logprobs).cpu().numpy())


def _value(known: Statistic, lens: Lens) -> Tensor:
    if known.looks_back and lens.previous is None:
        return torch.full((len(lens.state),), known.no_value, device=lens.state.device)
    return known.compute(lens)


# --- back to positions -------------------------------------------------------------------------------------------


def _lay_out(documents: Sequence[EncodedDocument], tree: PrefixTree, read: _Readings) -> Trace:
    """The trace in the order of documents, requests and positions."""
    scored = np.array([scored for scored, _target in tree.positions])
    requests = [(number, request) for number, document in enumerate(documents) for request in document.requests]
    lengths = [request.num_positions for _number, request in requests]
    longest = [max(request.num_positions for request in document.requests) for document in documents]
    windows = [window for _number, request in requests for window in request.windows]
    ends = [len(w.source) + len(w.tokens) + 1 for w in windows]
    contexts = [range(end - len(w.targets), end) for end, w in zip(ends, windows, strict=True)]
    return Trace(
        statistics={name: values[:, scored] for name, values in read.statistics.items()},
        target_logprob=read.target_logprob,
        final_divergence=read.final_divergence[:, scored],
        target=np.array([target for _scored, target in tree.positions], dtype=np.int32),
        position=np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
        length=np.repeat(np.array([longest[number] for number, _request in requests], dtype=np.int32), lengths),
        context=np.fromiter(chain.from_iterable(contexts), dtype=np.int32),
        key=np.concatenate(
            [
                position_keys(documents[number].hash, request.index, request.num_positions)
                for number, request in requests
            ]
        ),
        request=np.repeat(np.arange(len(requests), dtype=np.int32), lengths),
        requests=tuple(Request(number, request.index) for number, request in requests),
        documents=tuple(Document(document.id, document.hash) for document in documents),
    )
