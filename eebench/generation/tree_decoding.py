"""Tree decoding: all settings of a run decode together, greedily and with exact K/V.

Every setting stands on a node of each request's tree. In a round the nodes that settings stand on are run through the
model once, the settings decide there, layer by layer, with heads read only where one asks, and each moves on to the
node behind the token it emits. Settings that have emitted the same so far share everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eebench.generation.growing import GrowingTree
from eebench.generation.tree_cache import States
from eebench.generation.tree_runner import Group, TreeRunner
from eebench.models.blocks import LayerReader
from eebench.policy import Bools, Bound, ExitPolicy, Ints
from eebench.replaying import Deciding, replay
from eebench.statistics import REGISTRY, Lens, find_statistic
from eebench.traces.prompts import PromptedDocument, StopRule
from eebench.traces.trace import Document, Request
from eebench.traces.trees import END, Leaf, Tree, known_where

LIVE_AT_ONCE = 192
"""Nodes decided together: nodes × vocabulary floats are in memory a few times."""

Standing = Mapping[int, Sequence[int]]
"""Number of a setting -> the nodes it stands on, at most one of each request."""


def grow(
    runner: TreeRunner,
    tree: Tree | None,
    documents: Sequence[PromptedDocument],
    settings: Sequence[ExitPolicy],
    stop: StopRule,
    batch_size: int | None = None,
) -> Tree:
    """The tree of some documents with the whole way of these settings on it; the same tree if it holds them already.

    Args:
        tree: what is there to be extended, if anything.
        batch_size: the most requests that are decoded together; None: as many as there is room for.

    Raises:
        EEBenchError: a policy raised, or answered something that is not one boolean per position.
    """
    prompts = [request.prompt for document in documents for request in document.requests]
    if tree is None:
        requests = [Request(n, asked.index) for n, document in enumerate(documents) for asked in document.requests]
        described = [Document(document.id, document.hash) for document in documents]
        growing = GrowingTree(runner.reader.num_layers, prompts, requests, described)
        leaves: list[Mapping[int, Leaf]] = [{root: Leaf(root, None) for root in growing.nodes} for _ in settings]
    else:
        leaves = [tree.walk(setting).leaves for setting in settings]
        if not any(leaves):
            return tree
        growing = GrowingTree.grown_from(tree, prompts)
    decode(runner, growing, settings, leaves, stop, batch_size)
    return growing.finished()


@torch.inference_mode()
def decode(
    runner: TreeRunner,
    tree: GrowingTree,
    settings: Sequence[ExitPolicy],
    leaves: Sequence[Mapping[int, Leaf]],
    stop: StopRule,
    batch_size: int | None = None,
) -> None:
    """Decode settings to the end of all answers, from where each leaves the tree.

    Args:
        leaves: for each setting, request -> where it stands.
    """
    requests = sorted(set(chain.from_iterable(leaves)))
    while requests:
        next_ones = requests[:batch_size]
        together = next_ones[: runner.together([tree.prompts[request] for request in next_ones])]
        requests = requests[len(together) :]
        group = runner.open(tree, together)
        standing = _first_nodes(tree, leaves, set(together), stop)
        asks: set[int] = set()
        while standing:
            standing = _round(group, tree, settings, standing, stop, asks)


def _first_nodes(
    tree: GrowingTree, leaves: Sequence[Mapping[int, Leaf]], requests: set[int], stop: StopRule
) -> Standing:
    standing: dict[int, list[int]] = defaultdict(list)
    for setting, of_setting in enumerate(leaves):
        for request in of_setting.keys() & requests:
            leaf = of_setting[request]
            node = leaf.node if leaf.token is None else _step(tree, leaf.node, leaf.token, stop)
            if node != END:
                standing[setting].append(node)
    return dict(standing)


def _step(tree: GrowingTree, node: int, token: int, stop: StopRule) -> int:
    """The node behind an emitted token, or `END`."""
    known = tree.children.get((node, token))
    if known is not None:
        return known
    if stop.ends(tree.prompts[tree.request(node)], (*tree.answer(node), token)):
        tree.end(node, token)
        return END
    return tree.child(node, token)


def _round(
    group: Group,
    tree: GrowingTree,
    settings: Sequence[ExitPolicy],
    standing: Standing,
    stop: StopRule,
    asks: set[int],
) -> Standing:
    """Run the least deep nodes that settings stand on, decide there, and move on.

    Those that stand deeper wait, so that all who will ever stand on a node do so in the same round.
    """
    depth = min(tree.depth(node) for node in chain.from_iterable(standing.values()))
    nodes = sorted({node for node in chain.from_iterable(standing.values()) if tree.depth(node) == depth})
    states = group.run(nodes)
    place = {node: number for number, node in enumerate(nodes)}
    rows_of = {s: np.array(sorted(place[node] for node in own if node in place)) for s, own in standing.items()}
    moved: dict[int, list[int]] = defaultdict(list)
    for setting, own in standing.items():
        if waiting := [node for node in own if node not in place]:
            moved[setting] = waiting
    for start in range(0, len(nodes), LIVE_AT_ONCE):
        some = slice(start, start + LIVE_AT_ONCE)
        live = LiveNodes(group.reader, tree, np.array(nodes[some]), [state[some] for state in states])
        here = {s: rows[(rows >= start) & (rows < some.stop)] - start for s, rows in rows_of.items()}
        here = {s: rows for s, rows in here.items() if len(rows)}
        for setting, emitted in _decide(live, settings, here, asks):
            for row, token in zip(here[setting].tolist(), emitted.tolist(), strict=True):
                node = _step(tree, nodes[start + row], token, stop)
                if node != END:
                    moved[setting].append(node)
    return dict(moved)


# --- deciding at nodes whose states are at hand ------------------------------------------------------------------


def _decide(
    live: LiveNodes, settings: Sequence[ExitPolicy], rows_of: Mapping[int, Ints], asks: set[int]
) -> Iterator[tuple[int, Ints]]:
    """What each setting emits where it stands: (setting, a token for each of its rows).

    All settings go up the layers together, so that what several want of a layer is read at once. `asks` remembers the
    settings that have asked for a head before: what they are likely to ask is read ahead, in one batch.
    """
    last = live.num_layers
    live.read(last, np.arange(live.num_nodes))  # what the full model says is asked of every node
    views = {setting: live.at(rows) for setting, rows in rows_of.items()}
    deciding = {s: Deciding(settings[s], view) for s, view in views.items() if not isinstance(settings[s], Bound)}
    for k in range(1, last):
        looking = {s: it for s, it in deciding.items() if k in settings[s].layers_looked_at(last) and it.going.any()}
        live.read_all(k, [rows_of[s][it.going] for s, it in looking.items() if s in asks])
        stopped = []
        for setting, it in looking.items():
            before = it.going.copy()
            it.look(k)
            stopped.append(rows_of[setting][before & ~it.going])
        live.read_all(k, stopped)
    asks.update(setting for setting, it in deciding.items() if it.reads_heads)
    for setting, rows in rows_of.items():
        decided = deciding[setting].decisions() if setting in deciding else replay(settings[setting], views[setting])
        yield setting, live.top1(decided.exit_layer, rows)


class LiveNodes:
    """Nodes that were just run: their states are at hand, and heads are read into the tree as they are asked for."""

    def __init__(self, reader: LayerReader, tree: GrowingTree, nodes: NDArray[np.int64], states: States) -> None:
        self._reader, self._tree, self._nodes, self._states = reader, tree, nodes, states
        self.num_layers, self.num_nodes = reader.num_layers, len(nodes)
        self._lenses: list[tuple[int, Ints, Lens]] = []  # (layer, rows, lens) of the last two layers read
        self._fill_headless()

    def at(self, rows: Ints) -> _Standing:
        """Some of the nodes, as a setting sees them. [rows]"""
        return _Standing(self, self._tree, self._nodes[rows], rows)

    def top1(self, exit_layer: Ints, rows: Ints) -> Ints:
        """The most probable tokens at layers that have been read. [rows]"""
        tokens: Ints = self._tree.statistics["top1"][exit_layer - 1, self._nodes[rows]]
        return tokens

    def read(self, layer: int, rows: Ints) -> None:
        """Read a head at some nodes, where it has not been read yet."""
        new = rows[~self._tree.known[layer - 1, self._nodes[rows]]]
        if len(new):
            self._keep(self._lens(layer, new), layer, new)

    def read_all(self, layer: int, rows: Sequence[Ints]) -> None:
        """Read a head at all of these nodes in one batch."""
        if rows:
            self.read(layer, np.unique(np.concatenate(rows)))

    def compare(self, layer: int, rows: Ints) -> None:
        """Read the heads of a layer and of the one before, for the statistics that take both."""
        new = rows[~self._tree.compared[layer - 1, self._nodes[rows]]]
        if not len(new):
            return
        before = self._lens(layer - 1, new) if layer > 1 else None
        lens = self._lens(layer, new)
        lens.previous = before
        for name, known in REGISTRY.items():
            if known.reads_head and known.looks_back:
                self._put(name, layer, new, known.compute(lens) if before else known.no_value)
        lens.previous = None
        self._tree.compared[layer - 1, self._nodes[new]] = True
        if before:
            self._keep(before, layer - 1, new)
        self._keep(lens, layer, new)

    def _keep(self, lens: Lens, layer: int, rows: Ints) -> None:
        """What a lens says, where it is not known yet: what a setting has been told once stays."""
        new = ~self._tree.known[layer - 1, self._nodes[rows]]
        for name, known in REGISTRY.items():
            if known.reads_head and not known.looks_back:
                self._put(name, layer, rows[new], known.compute(lens)[torch.from_numpy(new).to(lens.state.device)])
        self._tree.known[layer - 1, self._nodes[rows]] = True

    def _lens(self, layer: int, rows: Ints) -> Lens:
        """A layer at some nodes; what was read there just now is not read again. `rows` ascend."""
        device = self._reader.device
        for held_layer, held, lens in self._lenses:
            if held_layer == layer and np.isin(rows, held).all():
                return lens.at(torch.from_numpy(np.searchsorted(held, rows)).to(device))
        state = self._states[layer - 1][torch.from_numpy(rows).to(device)]
        lens = Lens(lambda: self._reader.logits(state), state, None)
        self._lenses = [held for held in self._lenses if abs(held[0] - layer) <= 1]
        self._lenses.append((layer, rows, lens))
        return lens

    def _fill_headless(self) -> None:
        """Statistics that read no head are known at all layers from the start."""
        lenses = [Lens(_no_head, state, None) for state in self._states]
        every = np.flatnonzero(~self._tree.known[-1, self._nodes])  # the others were run before, and told it then
        for name, known in REGISTRY.items():
            if not known.reads_head:
                for layer, lens in enumerate(lenses, start=1):
                    lens.previous = lenses[layer - 2] if layer > 1 else None
                    has_value = lens.previous is not None or not known.looks_back
                    values = known.compute(lens)[every] if has_value else known.no_value
                    self._put(name, layer, every, values)

    def _put(self, name: str, layer: int, rows: Ints, values: Any) -> None:
        here = values.cpu().numpy() if isinstance(values, torch.Tensor) else values
        self._tree.statistics[name][layer - 1, self._nodes[rows]] = here


class _Standing:
    """The nodes that one setting stands on, as positions to be decided."""

    def __init__(self, live: LiveNodes, tree: GrowingTree, nodes: NDArray[np.int64], rows: Ints) -> None:
        self._live, self._tree, self._nodes, self._rows = live, tree, nodes, rows
        self.num_layers, self.num_positions = live.num_layers, len(rows)
        self.position, self.length = tree.columns["position"][nodes], tree.columns["length"][nodes]
        self.key = tree.columns["key"][nodes]

    def at_layer(self, name: str, layer: int, going: Bools) -> NDArray[Any]:
        self._ask(name, layer, self._rows[going])
        values: NDArray[Any] = self._tree.statistics[name][layer - 1, self._nodes]
        return values

    def all_layers(self, name: str) -> NDArray[Any]:
        for layer in range(1, self.num_layers + 1):
            self._ask(name, layer, self._rows)
        values: NDArray[Any] = self._tree.statistics[name][:, self._nodes]
        return values

    def _ask(self, name: str, layer: int, rows: Ints) -> None:
        where = known_where(find_statistic(name))
        if where == "known":
            self._live.read(layer, rows)
        elif where:
            self._live.compare(layer, rows)


def _no_head() -> torch.Tensor:
    raise AssertionError("a statistic registered with reads_head=False has asked for the head")
