"""One layer's K/V in a buffer with room to grow, for caches that are added to token by token."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """K/V of one layer at the front of a buffer with room to grow: adding a token copies one token, not all."""

    def write(self, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write tokens from place `start` on, and return all up to the last of them."""
        end = start + keys.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            self._rooms = [_room(tokens, end) for tokens in (keys, values)]
        if self._rooms[0].shape[-2] < end:
            for i, room in enumerate(self._rooms):
                self._rooms[i] = _room(room, 2 * end)
                self._rooms[i][..., :start, :] = room[..., :start, :]
        for room, tokens in zip(self._rooms, (keys, values), strict=True):
            room[..., start:end, :] = tokens
        self.keys, self.values = (room[..., :end, :] for room in self._rooms)
        return self.keys, self.values

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        return self.write(self.get_seq_length(), key_states, value_states)

    def select(self, rows: Tensor, places: Tensor) -> None:
        """Keep of some rows [rows] some places each [rows, kept]."""
        if self.is_initialized:
            rows, places = rows.to(self.keys.device), places.to(self.keys.device)
            self._rooms = [room[rows[:, None], :, places].transpose(1, 2).contiguous() for room in self._rooms]
            self.keys, self.values = self._rooms


def _room(like: Tensor, tokens: int) -> Tensor:
    return like.new_empty(*like.shape[:-2], tokens + 64, like.shape[-1])
