"""K/V of trees: one row per request, its prompt first and behind it every node that was run, on whatever branch.

A node attends to its prompt and to the nodes on its own path, by a four-dimensional mask, at the position its path
gives it. So a prefix that many settings share is computed and kept once, and all branches of all requests run as one
batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache

from eebench.generation.growing import GrowingTree
from eebench.generation.growing_layer import GrowingLayer
from eebench.models.blocks import LayerReader
from eebench.policy import Bools

FEED_TOKENS = {"cpu": 2048, "cuda": 16384}
"""Tokens run at once; more are fed in pieces."""

Windows = int | Mapping[str, int]
"""The most tokens that are attended to, 0 for all; by the type of the layer where there are several."""

States = list[Tensor]
"""Per layer, [nodes, hidden]."""


class TreeCache:
    """The K/V of some requests of a tree that is being decoded.

    Attributes:
        roots: the states after the last token of each prompt. Per layer, [requests, hidden]
    """

    def __init__(self, reader: LayerReader, windows: Windows, tree: GrowingTree, requests: Sequence[int]) -> None:
        self._reader, self._windows, self._tree = reader, windows, tree
        self._cache = Cache(layer_class_to_replicate=GrowingLayer)
        self._row = {request: row for row, request in enumerate(requests)}
        self._prompt = np.array([len(tree.prompts[request].tokens) for request in requests])  # slots of each row
        self._position = np.zeros((len(requests), 0), dtype=np.int64)  # of the token in each slot [rows, slots]
        self._path: dict[int, NDArray[np.int64]] = {}  # node -> the slots of its path, its own included
        self.roots = self._feed_prompts([tree.prompts[request].tokens for request in requests])

    @property
    def num_slots(self) -> int:
        """Slots in use, in each row."""
        return self._position.shape[1]

    @property
    def slot_bytes(self) -> int:
        """K/V of one slot of one row, in all layers."""
        held = [layer.keys for layer in self._cache.layers if layer.is_initialized]
        return sum(2 * keys.shape[1] * keys.shape[3] * keys.element_size() for keys in held)

    def holds(self, node: int) -> bool:
        """Whether a node was run before and is still there."""
        return node in self._path

    def bytes_with(self, nodes: Sequence[int]) -> int:
        """What the K/V will take once these nodes are in."""
        return len(self._row) * (self.num_slots + self._widest(self._missing(nodes))) * self.slot_bytes

    def feed(self, nodes: Sequence[int]) -> States:
        """Run nodes that are not there, and whatever is missing on the way to them. Per layer, [nodes, hidden]."""
        missing = self._missing(nodes)
        by_row: list[list[int]] = [[] for _ in self._row]
        for node in missing:
            by_row[self._row[self._tree.request(node)]].append(node)
        width = max(1, FEED_TOKENS.get(self._reader.device.type, FEED_TOKENS["cpu"]) // len(by_row))
        pieces: list[States] = []
        order: list[int] = []
        for start in range(0, max(map(len, by_row)), width):
            piece = [row_nodes[start : start + width] for row_nodes in by_row]
            order.extend(node for row_nodes in piece for node in row_nodes)
            pieces.append(self._feed_nodes(piece))
        place = {node: number for number, node in enumerate(order)}
        wanted = torch.tensor([place[node] for node in nodes], device=self._reader.device)
        return [torch.cat(layers)[wanted] for layers in zip(*pieces, strict=True)]

    def keep(self, nodes: Sequence[int]) -> None:
        """Let go of everything but the prompts and what is on the way to one of these nodes."""
        held = [node for node in self._ancestors(nodes) if self.holds(node)]
        requests = list(self._row)  # those that wait stay too: what they need is run again when their turn comes
        old_rows = np.array([self._row[request] for request in requests])
        new_row = {request: row for row, request in enumerate(requests)}
        own: list[set[int]] = [set() for _ in requests]
        for node in held:
            own[new_row[self._tree.request(node)]].add(int(self._path[node][-1]))
        kept = [
            np.concatenate([np.arange(self._prompt[row]), sorted(slots)]).astype(np.int64)
            for row, slots in zip(old_rows, own, strict=True)
        ]
        index = np.zeros(
            (len(requests), max(map(len, kept))), dtype=np.int64
        )  # what is beyond a row's own is never seen
        moved = np.zeros((len(requests), self.num_slots), dtype=np.int64)
        for row, slots in enumerate(kept):
            index[row, : len(slots)] = slots
            moved[row, slots] = np.arange(len(slots))
        for layer in self._cache.layers:
            layer.select(torch.from_numpy(old_rows), torch.from_numpy(index))
        self._path = {node: moved[new_row[self._tree.request(node)]][self._path[node]] for node in held}
        self._position = np.take_along_axis(self._position[old_rows], index, axis=1)
        self._prompt, self._row = self._prompt[old_rows], new_row

    # --- underneath ----------------------------------------------------------------------------------------------

    def _missing(self, nodes: Sequence[int]) -> list[int]:
        """What must be run for these nodes to be there, parents first."""
        return sorted(node for node in self._ancestors(nodes) if not self.holds(node))

    def _ancestors(self, nodes: Sequence[int]) -> set[int]:
        """These nodes and all on the way to them; the roots, which are the prompts, left out."""
        found: set[int] = set()
        for node in nodes:
            while node not in found and (parent := self._tree.parent(node)) >= 0:
                found.add(node)
                node = parent
        return found

    def _widest(self, nodes: Sequence[int]) -> int:
        return int(np.bincount([self._tree.request(node) for node in nodes]).max()) if nodes else 0

    def _feed_prompts(self, prompts: Sequence[tuple[int, ...]]) -> States:
        rows, longest = len(prompts), int(self._prompt.max())
        width = max(1, FEED_TOKENS.get(self._reader.device.type, FEED_TOKENS["cpu"]) // rows)
        pieces: list[States] = []
        order: list[int] = []
        for start in range(0, longest, width):
            end = min(start + width, longest)
            ids = [prompt[start:end] + (0,) * (end - max(start, min(len(prompt), end))) for prompt in prompts]
            positions = np.tile(np.arange(start, end), (rows, 1))
            visible = np.tile(np.arange(end) <= np.arange(start, end)[:, None], (rows, 1, 1))
            last_here = [row for row, prompt in enumerate(prompts) if start < len(prompt) <= end]
            columns = [len(prompts[row]) - 1 - start for row in last_here]
            pieces.append(self._forward(np.array(ids), positions, visible, last_here, columns))
            order.extend(last_here)
        back = torch.from_numpy(np.argsort(np.array(order))).to(self._reader.device)
        return [torch.cat(layers)[back] for layers in zip(*pieces, strict=True)]

    def _feed_nodes(self, by_row: Sequence[Sequence[int]]) -> States:
        """Nodes row by row, none of them before its parent. Per layer, [nodes, hidden]."""
        first = self.num_slots
        shape = (len(by_row), max(map(len, by_row)))
        ids, positions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        visible = np.zeros((*shape, first + shape[1]), dtype=bool)
        visible[:, np.arange(shape[1]), first + np.arange(shape[1])] = True  # padding sees itself, lest it be NaN
        no_slots = np.zeros(0, dtype=np.int64)
        for row, nodes in enumerate(by_row):
            for column, node in enumerate(nodes):
                self._path[node] = np.append(self._path.get(self._tree.parent(node), no_slots), first + column)
                ids[row, column] = self._tree.token(node)
                positions[row, column] = self._prompt[row] + self._tree.depth(node) - 1
                visible[row, column, : self._prompt[row]] = True
                visible[row, column, self._path[node]] = True
        rows, columns = zip(*((row, c) for row, nodes in enumerate(by_row) for c in range(len(nodes))), strict=True)
        return self._forward(ids, positions, visible, rows, columns)

    def _forward(
        self,
        ids: NDArray[np.int64],  # [rows, queries]
        positions: NDArray[np.int64],  # [rows, queries]
        visible: Bools,  # [rows, queries, slots]
        rows: Sequence[int],
        columns: Sequence[int],
    ) -> States:
        device = self._reader.device
        self._position = np.concatenate([self._position, positions], axis=1)
        inputs = {
            "input_ids": torch.from_numpy(ids).to(device),
            "position_ids": torch.from_numpy(positions).to(device),
            "attention_mask": self._masks(positions, visible),
            "past_key_values": self._cache,
            "use_cache": True,
        }
        at = (torch.tensor(list(places), dtype=torch.long, device=device) for places in (rows, columns))
        return self._reader.captured(inputs, *at)

    def _masks(self, positions: NDArray[np.int64], visible: Bools) -> Any:
        if isinstance(self._windows, int):
            return self._mask(positions, visible, self._windows)
        return {name: self._mask(positions, visible, window) for name, window in self._windows.items()}

    def _mask(self, positions: NDArray[np.int64], visible: Bools, window: int) -> Tensor:
        """What is added to attention scores. [rows, 1, queries, slots]"""
        if window:
            visible = visible & (positions[:, :, None] - self._position[:, None, :] < window)
        dtype = next(self._reader.model.parameters()).dtype
        seen = torch.from_numpy(visible).to(self._reader.device)
        hidden = torch.full(seen.shape, torch.finfo(dtype).min, dtype=dtype, device=seen.device)
        return hidden.masked_fill_(seen, 0.0).unsqueeze(1)
