"""Whether what stands in a shard is a trace: files that others have made may hold anything under the right names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Bools, Ints
from eebench.statistics import find_statistic
from eebench.traces.manifest import TraceManifest
from eebench.traces.prompts import position_keys
from eebench.traces.trace import HASHED, Document, Request, Trace
from eebench.traces.trees import Tree, known_where

LONGEST = 1 << 24
"""Positions that a request may have."""

LARGEST_VOCABULARY = 1 << 24
LARGEST_CHANCE = 1e12
"""What guessing reaches in any metric: a perplexity can be large."""

LONGEST_NAME = 500

SLACK = 1e-3
"""How far rounding may take a statistic beyond the ends of its range."""

LEAST_LOGPROB = -1e5
"""Nats: no logits of a model that works lie further apart."""


def wrong_with_description(names: Mapping[str, str], manifest: TraceManifest) -> str:
    """What in the description of a trace cannot be, though it is of the right types; empty if nothing is.

    Args:
        names: what the trace is of, as its key has it.
    """
    said = {**names, "model": manifest.model, "metric": manifest.metric}
    for name, text in said.items():
        if not (text and text.isprintable() and len(text) <= LONGEST_NAME):
            return f"{name} is no line of 1 to {LONGEST_NAME} printable characters"
    if manifest.metric_direction not in (1, -1):
        return f"metric_direction is {manifest.metric_direction}, and should be 1 or -1"
    if manifest.vocab_size > LARGEST_VOCABULARY:
        return f"vocab_size is {manifest.vocab_size}, and {LARGEST_VOCABULARY} is the most"
    if not abs(manifest.chance) <= LARGEST_CHANCE:
        return f"chance is {manifest.chance:g}, which guessing reaches in no metric"
    return ""


def wrong_with(shard: Trace | Tree, num_layers: int, documents: int, vocabulary: int = LARGEST_VOCABULARY) -> str:
    """What keeps a shard from being a trace of so many layers and documents; empty if nothing does."""
    own = _of_trace(shard) if isinstance(shard, Trace) else _of_tree(shard)
    try:
        for name, holds in chain(_of_both(shard, num_layers, documents), own, _in_range(shard, vocabulary)):
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


def _in_range(shard: Trace | Tree, vocabulary: int) -> Iterator[Check]:
    """Numbers that a model can have made, where there are any."""
    for name, ends in _ranges(vocabulary).items():
        about = f"a number of its statistic {name} cannot be"
        yield about, lambda name=name, ends=ends: _inside(_known(shard, name), *ends)  # type: ignore[misc]
    tokens = (0, vocabulary - 1)
    if isinstance(shard, Trace):
        yield "a token to be predicted is none of the vocabulary", lambda: _inside(shard.target, *tokens)
        logprobs = (LEAST_LOGPROB, SLACK)
        yield "a log-likelihood of it cannot be", lambda: _inside(shard.target_logprob, *logprobs)
        divergences = (-SLACK, -LEAST_LOGPROB)
        yield "a divergence from the last layer cannot be", lambda: _inside(shard.final_divergence, *divergences)
    else:
        yield "a token emitted is none of the vocabulary", lambda: _inside(shard.token, -1, vocabulary - 1)
        yield "a token that ends an answer is none of the vocabulary", lambda: _inside(shard.ends[:, 1], *tokens)


def _ranges(vocabulary: int) -> Mapping[str, tuple[float, float]]:
    """The ends of the range of each built-in statistic."""
    return {
        "top1": (0, vocabulary - 1),
        "max_prob": (-SLACK, 1 + SLACK),
        "top2_margin": (-SLACK, 1 + SLACK),
        "entropy": (-SLACK, math.log(vocabulary) + SLACK),
        "entropy_norm": (-SLACK, 1 + SLACK),
        "state_cosine": (-1 - SLACK, 1 + SLACK),
        "divergence": (-SLACK, math.log(2) + SLACK),
    }


def _known(shard: Trace | Tree, name: str) -> NDArray[Any]:
    """A statistic wherever the shard has it: a tree has holes."""
    values = shard.statistics[name]
    known_in = known_where(find_statistic(name)) if isinstance(shard, Tree) else ""
    return values[getattr(shard, known_in)] if known_in else values


def _inside(values: NDArray[Any], low: float, high: float) -> bool:
    """Whether all lie in a range; NaN lies in none."""
    return bool(((values >= low) & (values <= high)).all())


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
