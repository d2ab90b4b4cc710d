"""A tree while it is being decoded: nodes are added, and filled in where heads are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.statistics import REGISTRY
from eebench.traces.prompts import Prompt, position_keys
from eebench.traces.trace import Document, Request
from eebench.traces.trees import END, Tree

_COLUMNS: dict[str, Any] = {
    "parent": np.int32,
    "token": np.int32,
    "position": np.int32,
    "length": np.int32,
    "context": np.int32,
    "key": np.uint64,
    "request": np.int32,
}


class GrowingTree:
    """Nodes in arrays with room to spare.

    Attributes:
        prompts: what each request is to be gone on from. [requests]
        statistics: name -> [layers, room]
        known, compared: as in a `Tree`. [layers, room]
        columns: the other arrays of a `Tree`. name -> [room]
        children: (node, emitted token) -> the node it leads to, or `END`.
    """

    def __init__(
        self, num_layers: int, prompts: Sequence[Prompt], requests: Sequence[Request], documents: Sequence[Document]
    ) -> None:
        self.prompts = tuple(prompts)
        self._requests, self._documents = tuple(requests), tuple(documents)
        self.num_layers = num_layers
        self._count = 0
        self.statistics: dict[str, NDArray[Any]] = {
            name: np.zeros((num_layers, 0), dtype=np.int32 if known.is_token else np.float32)
            for name, known in REGISTRY.items()
        }
        self.known = np.zeros((num_layers, 0), dtype=bool)
        self.compared = np.zeros((num_layers, 0), dtype=bool)
        self.columns: dict[str, NDArray[Any]] = {name: np.zeros(0, dtype=dtype) for name, dtype in _COLUMNS.items()}
        self.children: dict[tuple[int, int], int] = {}
        self._keys = [
            position_keys(documents[request.document].hash, request.index, prompt.max_new_tokens)
            for request, prompt in zip(requests, prompts, strict=True)
        ]
        for number in range(len(self.prompts)):
            self._add(-1, -1, number)

    @classmethod
    def grown_from(cls, tree: Tree, prompts: Sequence[Prompt]) -> GrowingTree:
        """A finished tree, to be extended."""
        growing = cls(tree.num_layers, prompts, tree.requests, tree.documents)
        growing.statistics = {name: values.copy() for name, values in tree.statistics.items()}
        growing.known, growing.compared = tree.known.copy(), tree.compared.copy()
        growing.columns = {name: getattr(tree, name).copy() for name in _COLUMNS}
        growing.children = dict(tree.children)
        growing._count = tree.num_positions
        return growing

    @property
    def nodes(self) -> range:
        """All nodes; the roots are as many as there are requests, and come first."""
        return range(self._count)

    def parent(self, node: int) -> int:
        """The node before, -1 at a root."""
        return int(self.columns["parent"][node])

    def token(self, node: int) -> int:
        """The emitted token that leads to a node."""
        return int(self.columns["token"][node])

    def depth(self, node: int) -> int:
        """How many tokens were emitted on the way to a node."""
        return int(self.columns["position"][node])

    def request(self, node: int) -> int:
        """Which request a node belongs to."""
        return int(self.columns["request"][node])

    def child(self, node: int, token: int) -> int:
        """The node behind `node` and an emitted token; added if it is not there."""
        known = self.children.get((node, token))
        if known is None:
            known = self._add(node, token, self.request(node))
            self.children[node, token] = known
        return known

    def end(self, node: int, token: int) -> None:
        """Note that `token`, emitted at `node`, ends the answer."""
        self.children[node, token] = END

    def answer(self, node: int) -> tuple[int, ...]:
        """The tokens emitted on the way to a node."""
        backwards = []
        while self.parent(node) >= 0:
            backwards.append(self.token(node))
            node = self.parent(node)
        return tuple(reversed(backwards))

    def finished(self) -> Tree:
        """The tree as it stands."""
        nodes = slice(self._count)
        ends = sorted(edge for edge, child in self.children.items() if child == END)
        return Tree(
            statistics={name: values[:, nodes] for name, values in self.statistics.items()},
            known=self.known[:, nodes],
            compared=self.compared[:, nodes],
            **{name: values[nodes] for name, values in self.columns.items()},
            ends=np.array(ends, dtype=np.int32).reshape(-1, 2),
            requests=self._requests,
            documents=self._documents,
        )

    def _add(self, parent: int, token: int, request: int) -> int:
        node = self._count
        self._make_room(node + 1)
        position = 0 if parent < 0 else self.depth(parent) + 1
        prompt = self.prompts[request]
        row: dict[str, Any] = {
            "parent": parent,
            "token": token,
            "position": position,
            "length": prompt.max_new_tokens,
            "context": len(prompt.source) + len(prompt.tokens) + position,
            "key": self._keys[request][position],
            "request": request,
        }
        for name, value in row.items():
            self.columns[name][node] = value
        self._count += 1
        return node

    def _make_room(self, wanted: int) -> None:
        """Double the arrays until they hold so many nodes."""
        room = len(self.columns["parent"])
        if wanted <= room:
            return
        more = max(wanted, 2 * room, 64) - room
        self.columns = {name: np.pad(values, (0, more)) for name, values in self.columns.items()}
        self.statistics = {name: np.pad(values, ((0, 0), (0, more))) for name, values in self.statistics.items()}
        self.known = np.pad(self.known, ((0, 0), (0, more)))
        self.compared = np.pad(self.compared, ((0, 0), (0, more)))
