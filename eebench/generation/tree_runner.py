"""Running the nodes of a tree through the model: with a shared cache where the architecture allows, else without.

Architectures that cannot be masked as a tree (recurrent states, ALiBi, caches of their own) are told by trying a
small tree when a model first decodes; their nodes are run as whole sequences, without a cache: slower, and as right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from eebench.generation.growing import GrowingTree
from eebench.generation.tree_cache import States, TreeCache, Windows
from eebench.models.batching import padded_batches
from eebench.models.blocks import SELF_CHECK_TOLERANCE, LayerReader, difference
from eebench.traces.prompts import Prompt
from eebench.traces.trace import Document, Request

CACHE_BYTES = {"cpu": 3 * 2**30, "cuda": 16 * 2**30}
"""The most K/V kept for the requests that are decoded together; what does not fit is computed again."""

LONGEST_PROBE = 600
"""A sliding window up to this long is tried out by the small tree."""


class TreeRunner:
    """Runs nodes of trees on one model.

    Attributes:
        shares: whether K/V is shared along a tree; else nodes are run as whole sequences.
    """

    def __init__(self, reader: LayerReader, cache_bytes: int | None = None) -> None:
        """
        Args:
            cache_bytes: the most K/V to keep; by default what suits the device.
        """
        self.reader = reader
        self.cache_bytes = cache_bytes or CACHE_BYTES.get(reader.device.type, CACHE_BYTES["cpu"])
        self.windows = None if reader.has_encoder else attention_windows(reader.model.config)
        self.shares = self.windows is not None and self._check(self.windows)

    def together(self, prompts: Sequence[Prompt]) -> int:
        """How many of the next prompts to decode together: their K/V takes a quarter of the room, the rest is for what
        is decoded."""
        longest = 0
        for number, prompt in enumerate(prompts if self.shares else ()):
            longest = max(longest, len(prompt.tokens))
            if number and (number + 1) * longest * self._slot_bytes > self.cache_bytes / 4:
                return number
        return len(prompts)

    def open(self, tree: GrowingTree, requests: Sequence[int]) -> Group:
        """Get ready to run the nodes of some requests of a tree."""
        return Group(self, tree, requests)

    def _check(self, windows: Windows) -> bool:
        """Whether a small tree gives the states that its sequences give."""
        limits = [windows] if isinstance(windows, int) else windows.values()
        reach = max((limit for limit in limits if limit <= LONGEST_PROBE), default=0)
        tree = _probe(self.reader.num_layers, self.reader.model.config, 5 + reach)
        roots, nodes = tree.nodes[:2], tree.nodes[2:]
        try:
            cache = TreeCache(self.reader, windows, tree, (0, 1))
            shared = [torch.cat(pair) for pair in zip(cache.roots, cache.feed(nodes), strict=True)]
        except Exception:  # any model's own code, masked as it may not expect
            return False
        self._slot_bytes = cache.slot_bytes
        tolerance = SELF_CHECK_TOLERANCE.get(shared[0].dtype, 6e-2)
        alone = recompute(self.reader, tree, [*roots, *nodes])
        return all(difference(one, other) <= tolerance for one, other in zip(shared, alone, strict=True))


class Group:
    """Some requests of a tree that are decoded together.

    Attributes:
        reader: the model they are run on.
    """

    def __init__(self, runner: TreeRunner, tree: GrowingTree, requests: Sequence[int]) -> None:
        self.reader, self._tree, self._room = runner.reader, tree, runner.cache_bytes
        self._row = {request: row for row, request in enumerate(requests)}
        self._cache = None
        if runner.shares and runner.windows is not None:
            self._cache = TreeCache(runner.reader, runner.windows, tree, requests)

    def run(self, nodes: Sequence[int]) -> States:
        """The states after each block at some nodes. Per layer, [nodes, hidden]."""
        cache = self._cache
        if cache is None:
            return recompute(self.reader, self._tree, nodes)
        roots = [node for node in nodes if self._tree.parent(node) < 0]
        new = [node for node in nodes if self._tree.parent(node) >= 0 and not cache.holds(node)]
        if new and cache.bytes_with(new) > self._room:
            cache.keep(new)
            new = new if cache.bytes_with(new) <= self._room else []
        parts: list[tuple[list[int], States]] = []
        if roots:
            rows = torch.tensor([self._row[self._tree.request(node)] for node in roots], device=self.reader.device)
            parts.append((roots, [state[rows] for state in cache.roots]))
        if new:
            parts.append((new, cache.feed(new)))
        done = {*roots, *new}
        if rest := [node for node in nodes if node not in done]:
            parts.append((rest, recompute(self.reader, self._tree, rest)))
        place = {node: number for number, node in enumerate(node for some, _states in parts for node in some)}
        back = torch.tensor([place[node] for node in nodes], device=self.reader.device)
        return [torch.cat(layers)[back] for layers in zip(*(states for _some, states in parts), strict=True)]


def recompute(reader: LayerReader, tree: GrowingTree, nodes: Sequence[int]) -> States:
    """The states of nodes, each run as the whole sequence it stands for. Per layer, [nodes, hidden]."""
    prompts = [tree.prompts[tree.request(node)] for node in nodes]
    sequences = [(p.source, p.tokens + tree.answer(node)) for p, node in zip(prompts, nodes, strict=True)]
    pieces: list[States] = []
    order: list[int] = []
    for group, input_ids, source in padded_batches(sequences, None, reader.device):
        columns = torch.tensor([len(sequences[number][1]) - 1 for number in group], device=reader.device)
        pieces.append(reader.states(input_ids, torch.arange(len(group), device=reader.device), columns, *source))
        order.extend(group)
    back = torch.from_numpy(np.argsort(np.array(order))).to(reader.device)
    return [torch.cat(layers)[back] for layers in zip(*pieces, strict=True)]


# --- can it be masked as a tree? ---------------------------------------------------------------------------------

_KNOWN_LIMITS = re.compile(r"_?(use_)?sliding_window(_pattern)?|max_window_layers")
_LIMITS = re.compile(r"window|attention_chunk|attention_types|local_attention|block_size|alibi")


def attention_windows(config: Any) -> Windows | None:
    """How far each type of layer attends, or None where the configuration names a limit that is not known here.

    A limit that a short probe does not reach would go unnoticed, so only what transformers' own masks know is taken.
    """
    text = config.get_text_config(decoder=True)
    limits = (name for name, value in vars(text).items() if value and _LIMITS.search(name))
    if not all(_KNOWN_LIMITS.fullmatch(name) for name in limits):
        return None
    window = int(getattr(text, "sliding_window", None) or 0)
    types = set(getattr(text, "layer_types", None) or ())
    if not types <= {"full_attention", "sliding_attention"}:
        return None
    if len(types) == 2:
        return {"full_attention": 0, "sliding_attention": window}
    return 0 if types == {"full_attention"} or getattr(text, "use_sliding_window", True) is False else window


def _probe(num_layers: int, config: Any, length: int) -> GrowingTree:
    """Two prompts, one of this length and a short one, and a few branches."""
    vocab = int(config.get_text_config(decoder=True).vocab_size)
    tokens = [(37 * number + 11) % vocab for number in range(max(length, 64))]
    prompts = [Prompt(tuple(tokens[:length]), (), 8), Prompt(tuple(tokens[7:10]), (), 8)]
    documents = [Document(number, f"probe {number}") for number in range(2)]
    tree = GrowingTree(num_layers, prompts, [Request(0, 0), Request(1, 0)], documents)
    for root in list(tree.nodes):
        for branch in range(2):
            node = root
            for step in range(3):
                node = tree.child(node, tokens[20 + 10 * root + 4 * branch + step])
    return tree
