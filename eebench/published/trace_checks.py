"""Whether what stands in a shard is a trace: files that others have made may hold anything under the right names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Bools, Ints
from eebench.traces.prompts import position_keys
from eebench.traces.trace import HASHED, Document, Request, Trace
from eebench.traces.trees import Tree

LONGEST = 1 << 24
"""Positions that a request may have."""


def wrong_with(shard: Trace | Tree, num_layers: int, documents: int) -> str:
    """What keeps a shard from being a trace of so many layers and documents; empty if nothing does."""
    own = _of_trace(shard) if isinstance(shard, Trace) else _of_tree(shard)
    try:
        for name, holds in chain(_of_both(shard, num_layers, documents), own):
            if not holds():
                return name
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        return f"its arrays do not belong together ({error})"
    return ""


Check = tuple[str, Callable[[], Any]]
"""What is wrong unless it holds."""


def _of_both(shard: Trace | Tree, num_layers: int, documents: int) -> Iterator[Check]:
    positions = shard.num_positions
    shape = (num_layers, positions)
    yield "its documents are not those that it is named for", lambda: len(shard.documents) == documents
    yield "it has no positions", lambda: positions > 0
    yield "a statistic is missing", lambda: set(HASHED) <= shard.statistics.keys()
    yield "a statistic has not a number per layer and position", lambda: _all_of(shard.statistics.values(), shape)
    yield "its positions are not numbered", lambda: _whole_numbers(shard, positions)
    yield "its requests are not those of its documents", lambda: _requests_fit(shard.requests, shard.documents)
    yield "a position belongs to no request", lambda: _between(shard.request, 0, len(shard.requests) - 1)
    yield (
        "a position lies outside of its answer",
        lambda: _between(shard.position, 0, LONGEST) and bool((shard.position < shard.length).all()),
    )
    yield "a position sees no tokens", lambda: _between(shard.context, 1, LONGEST)
    yield "its coins are not those of its documents", lambda: _keys_fit(shard)


def _of_trace(trace: Trace) -> Iterator[Check]:
    shape = (trace.num_layers, trace.num_positions)
    yield (
        "a column has not a number per layer and position",
        lambda: _all_of((trace.target_logprob, trace.final_divergence), shape),
    )
    yield "its positions are not in order", lambda: _in_order(trace)


def _of_tree(tree: Tree) -> Iterator[Check]:
    shape = (tree.num_layers, tree.num_positions)
    yield "it does not say what is known", lambda: _all_of((tree.known, tree.compared), shape, np.bool_)
    yield "a node stands before its parent", lambda: _parents_fit(tree)
    yield "an answer ends nowhere", lambda: _between(tree.ends[:, 0], 0, tree.num_positions - 1)


def _all_of(arrays: Any, shape: tuple[int, int], dtype: type = np.number) -> bool:
    return all(values.shape == shape and np.issubdtype(values.dtype, dtype) for values in arrays)


def _whole_numbers(shard: Trace | Tree, positions: int) -> bool:
    tree_only = ("parent",) if isinstance(shard, Tree) else ("target",)
    arrays = [getattr(shard, name) for name in ("position", "length", "context", "key", "request", *tree_only)]
    return all(values.shape == (positions,) and np.issubdtype(values.dtype, np.integer) for values in arrays)


def _between(values: NDArray[Any], low: int, high: int) -> bool:
    return not len(values) or (int(values.min()) >= low and int(values.max()) <= high)


def _requests_fit(requests: Sequence[Request], documents: Sequence[Document]) -> bool:
    """Each document has requests, in order."""
    of = [request.document for request in requests]
    return of == sorted(of) and set(of) == set(range(len(documents))) and all(document.hash for document in documents)


def _in_order(trace: Trace) -> bool:
    """Positions of a request are adjacent and count from 0, and no request is without."""
    lengths = np.bincount(trace.request, minlength=len(trace.requests))
    expected = np.concatenate([np.arange(length) for length in lengths])
    ordered: Bools = np.diff(trace.request) >= 0
    return bool(lengths.all() and ordered.all() and (trace.position == expected).all())


def _parents_fit(tree: Tree) -> bool:
    """One root per request, at position 0; every other node one position after its parent, in the same request."""
    nodes: Ints = np.arange(tree.num_positions)
    roots = tree.parent < 0
    below, parents = nodes[~roots], tree.parent[~roots]
    return bool(
        (np.sort(tree.request[roots]) == np.arange(len(tree.requests))).all()
        and (tree.position[roots] == 0).all()
        and (parents < below).all()
        and (tree.position[below] == tree.position[parents] + 1).all()
        and (tree.request[below] == tree.request[parents]).all()
    )


def _keys_fit(shard: Trace | Tree) -> bool:
    """Coins follow from the content of the document, the request and the position."""
    longest = np.zeros(len(shard.requests), dtype=np.int64)
    np.maximum.at(longest, shard.request, shard.position.astype(np.int64) + 1)
    starts = np.concatenate([[0], np.cumsum(longest)])
    if starts[-1] > LONGEST:
        return False
    of_requests = [
        position_keys(shard.documents[request.document].hash, request.index, int(count))
        for request, count in zip(shard.requests, longest, strict=True)
    ]
    keys = np.concatenate(of_requests)[starts[shard.request] + shard.position]
    return bool((keys == shard.key).all())
