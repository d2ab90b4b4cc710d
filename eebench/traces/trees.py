"""The tree of a generation task: every prefix that some setting has stood on, and what the layers say there.

Settings that have emitted the same tokens stand on the same node. A node is the prefix that its path spells: the
prompt at a root, and one more emitted token with every step down. Heads are read only where a setting asked, so a tree
has holes; a setting that falls into one, or steps off the tree, has to be decoded before it can be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eebench.errors import unknown
from eebench.policy import Bools, ExitPolicy, Ints
from eebench.replaying import Decisions, replay
from eebench.statistics import Statistic, find_statistic
from eebench.traces.trace import Document, Request, Trace

END = -1
"""What stands for a child where an emitted token ends the answer."""


@dataclass(frozen=True)
class Tree:
    """The nodes of a few documents; a parent stands before its children.

    Attributes:
        statistics: name -> [layers, nodes]; meaningless where `known` says that a head was not read.
        known: whether the head of a layer was read at a node. [layers, nodes]
        compared: whether the statistics that take the heads of two layers are there. [layers, nodes]
        parent: the node before, -1 at a root. [nodes]
        token: the token that led here, -1 at a root. [nodes]
        position: t, the number of tokens emitted before. [nodes]
        length: N, the longest length the answer may have. [nodes]
        context: number of tokens the node's prefix has. [nodes]
        key: a hash of (document, request, t): the seed of every coin tossed at the node. [nodes]
        request: index into `requests`. [nodes]
        ends: (node, token) for every token that ended an answer. [ends, 2]
    """

    statistics: Mapping[str, NDArray[Any]]
    known: Bools
    compared: Bools
    parent: Ints
    token: Ints
    position: Ints
    length: Ints
    context: Ints
    key: NDArray[np.uint64]
    request: Ints
    ends: Ints
    requests: tuple[Request, ...]
    documents: tuple[Document, ...]

    @property
    def num_layers(self) -> int:
        return int(self.known.shape[0])

    @property
    def num_positions(self) -> int:
        """The number of nodes."""
        return len(self.parent)

    def all_layers(self, name: str) -> NDArray[Any]:
        """A statistic at all layers. [layers, nodes]

        Raises:
            EEBenchError: the tree does not hold the statistic.
        """
        try:
            return self.statistics[name]
        except KeyError:
            raise unknown("statistic", name, self.statistics) from None

    @cached_property
    def children(self) -> dict[tuple[int, int], int]:
        """(node, emitted token) -> the node it leads to, or `END`."""
        children = {(int(node), int(token)): END for node, token in self.ends}
        for node in np.flatnonzero(self.parent >= 0).tolist():
            children[int(self.parent[node]), int(self.token[node])] = node
        return children

    @cached_property
    def roots(self) -> list[int]:
        """The node of each request's prompt. [requests]"""
        by_request = {int(self.request[node]): node for node in np.flatnonzero(self.parent < 0).tolist()}
        return [by_request[request] for request in range(len(self.requests))]

    def walk(self, policy: ExitPolicy) -> Walk:
        """Where a setting goes, request by request, as far as the tree tells.

        Raises:
            EEBenchError: the policy raised, or answered something that is not one boolean per position.
        """
        seen = _Seen(self)
        decisions = replay(policy, seen)
        everywhere = np.arange(self.num_positions)
        told = seen.told & self.known[decisions.exit_layer - 1, everywhere] & self.known[-1]
        emitted = self.statistics["top1"][decisions.exit_layer - 1, everywhere]
        nodes: list[int] = []
        leaves: dict[int, Leaf] = {}
        for request, root in enumerate(self.roots):
            node = root
            while node != END:
                if not told[node]:
                    leaves[request] = Leaf(node, None)
                    break
                nodes.append(node)
                token = int(emitted[node])
                if (node, token) not in self.children:
                    leaves[request] = Leaf(node, token)
                    break
                node = self.children[node, token]
        chosen = np.array(nodes, dtype=np.int64)
        there = Decisions(decisions.exit_layer[chosen], decisions.lens_reads[chosen])
        return Walk(chosen, emitted[chosen], there, leaves)

    def whole_way(self, policy: ExitPolicy) -> Walk:
        """As `walk`, for a setting that has been decoded on this tree.

        Raises:
            RuntimeError: it leaves the tree all the same, and half an answer must not pass for a whole one.
        """
        walk = self.walk(policy)
        if walk.leaves:
            raise RuntimeError(f"{policy.setting()} leaves the tree that it was decoded on: it decides differently now")
        return walk

    def along(self, walk: Walk) -> Trace:
        """The positions a setting stood on, as a trace; its targets are the tokens the setting emitted."""
        nodes = walk.nodes
        unknown = np.broadcast_to(np.float32(np.nan), (self.num_layers, len(nodes)))
        return Trace(
            statistics={name: values[:, nodes] for name, values in self.statistics.items()},
            target_logprob=unknown,  # there is no target
            final_divergence=unknown,  # heads are read as far as settings ask for them
            target=walk.tokens.astype(np.int32),
            position=self.position[nodes],
            length=self.length[nodes],
            context=self.context[nodes],
            key=self.key[nodes],
            request=self.request[nodes],
            requests=self.requests,
            documents=self.documents,
        )


@dataclass(frozen=True)
class Leaf:
    """Where a setting leaves what a tree knows: at a node it cannot decide, or behind it with the token it emits."""

    node: int
    token: int | None


@dataclass(frozen=True)
class Walk:
    """The way of one setting through a tree.

    Attributes:
        nodes: where it stood, request by request and in order. [positions]
        tokens: what it emitted there. [positions]
        decisions: where it stopped there. [positions]
        leaves: request -> where the tree no longer tells what it would do; empty if the tree holds the whole way.
    """

    nodes: Ints
    tokens: Ints
    decisions: Decisions
    leaves: Mapping[int, Leaf]


def known_where(statistic: Statistic) -> Literal["known", "compared", ""]:
    """Which array of a tree says whether it holds a statistic; one that reads no head it always holds."""
    if not statistic.reads_head:
        return ""
    return "compared" if statistic.looks_back else "known"


class _Seen:
    """The nodes of a tree as `replay` sees them, noting where it was shown what the tree does not know.

    Attributes:
        told: whether everything asked so far was known. [nodes]
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.num_layers, self.num_positions = tree.num_layers, tree.num_positions
        self.position, self.length, self.key = tree.position, tree.length, tree.key
        self.told: Bools = np.ones(tree.num_positions, dtype=bool)

    def all_layers(self, name: str) -> NDArray[Any]:
        if known_in := known_where(find_statistic(name)):
            self.told &= getattr(self._tree, known_in).all(axis=0)
        return self._tree.all_layers(name)

    def at_layer(self, name: str, layer: int, going: Bools) -> NDArray[Any]:
        if known_in := known_where(find_statistic(name)):
            self.told &= getattr(self._tree, known_in)[layer - 1] | ~going
        row: NDArray[Any] = self._tree.all_layers(name)[layer - 1]
        return row


def concatenate_trees(trees: Sequence[Tree]) -> Tree:
    """One tree of the documents of several, in order."""
    nodes = np.cumsum([0, *(tree.num_positions for tree in trees)])
    requests = np.cumsum([0, *(len(tree.requests) for tree in trees)])
    documents = np.cumsum([0, *(len(tree.documents) for tree in trees)])
    names = trees[0].statistics

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    return Tree(
        statistics={name: np.concatenate([tree.statistics[name] for tree in trees], axis=1) for name in names},
        known=np.concatenate([tree.known for tree in trees], axis=1),
        compared=np.concatenate([tree.compared for tree in trees], axis=1),
        parent=np.concatenate(
            [np.where(tree.parent < 0, -1, tree.parent + first) for tree, first in zip(trees, nodes, strict=False)]
        ),
        token=joined("token"),
        position=joined("position"),
        length=joined("length"),
        context=joined("context"),
        key=joined("key"),
        request=np.concatenate([tree.request + first for tree, first in zip(trees, requests, strict=False)]),
        ends=np.concatenate([tree.ends + np.array([first, 0]) for tree, first in zip(trees, nodes, strict=False)]),
        requests=tuple(
            Request(request.document + int(first), request.index)
            for tree, first in zip(trees, documents, strict=False)
            for request in tree.requests
        ),
        documents=tuple(document for tree in trees for document in tree.documents),
    )
