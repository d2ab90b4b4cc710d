"""A KV cache whose layers may differ in length, written from whatever token a forward pass begins with."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache

from eebench.generation.growing_layer import GrowingLayer


class Stored(Exception):
    """Ends a block once its K/V are stored."""


class SteppedCache(DynamicCache):  # type: ignore[misc]
    """K/V of one sequence, written from the token on that the forward pass begins with.

    It tells the model that so many tokens are past, whatever its layers hold beyond them, and keeps all tokens for
    sliding windows too, so that going back is only counting back.

    Attributes:
        past: tokens before the ones being run.
        only_stores: end the block that stores its K/V.
        block: the block being run, counted from 1; `written_by` which one wrote each layer of the cache.
    """

    def __init__(self) -> None:
        super().__init__()
        self.past = 0
        self.only_stores = False
        self.block = 0
        self.written_by: dict[int, int] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        kept = self._layer(layer_idx).write(self.past, key_states, value_states)
        self.written_by[layer_idx] = self.block
        if self.only_stores:
            raise Stored
        return kept

    def copy_last(self, layer: int, end: int, num_layers: int) -> None:
        """Copy the last token's K/V of a layer to all later layers."""
        last = self.layers[layer - 1]
        keys, values = (kept[..., end - 1 : end, :] for kept in (last.keys, last.values))
        for later in range(layer, num_layers):
            self._layer(later).write(end - 1, keys, values)

    def _layer(self, index: int) -> GrowingLayer:
        while len(self.layers) <= index:
            self.layers.append(GrowingLayer())
        layer: GrowingLayer = self.layers[index]
        return layer

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.past

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self.past + query_length, 0
