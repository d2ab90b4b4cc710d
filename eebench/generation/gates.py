"""Gates: a model's own forward, ended after any block and entered before any, over K/V that differ in length by layer.

Every block stands behind a gate, which runs it or hands its input on. The model's own forward stays the driver, so
masks, positions and rotary embeddings are its own. No block is ever run twice on a token: a token that stopped early
waits with the state it stopped with, and when a later token goes deeper, the forward is begun again with all tokens
that are behind, entered at the block they wait at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from eebench.generation.stepped_cache import SteppedCache, Stored
from eebench.models.blocks import LayerReader, state_of, with_blocks

Skipped = Literal["later", "propagate", "copy"]
"""What becomes of the K/V of skipped blocks: made when a later token needs them; projected from the state at the exit;
copied from the exit layer."""


class Stopping(Protocol):
    """What decides how far a token goes.

    Attributes:
        looks: whether it is asked after block k; `looks[0]` is not used. [layers + 1]
    """

    looks: list[bool]

    def stops(self, layer: int, before: Tensor, after: Tensor) -> bool:
        """Whether the newest token stops after block `layer`, given its states before and after it, [1, hidden]."""
        ...


class GatedModel:
    """One sequence on its way through a model, batch 1.

    Attributes:
        filled: of how many tokens each layer has K/V; it never rises with the layer. [layers + 1], `filled[0]` unused
        ran: (layer, start, end) of every block that was run on tokens start..end-1.
        stored: (layer, token) of every block that was only run until its K/V were stored.
    """

    def __init__(self, reader: LayerReader) -> None:
        self.num_layers = reader.num_layers
        self._reader = reader
        gates = [Gate(self, layer, block) for layer, block in enumerate(reader.blocks, start=1)]
        self._twin = with_blocks(reader.model, reader.path, gates)
        self.hands_on_more = False
        """Whether blocks tell later ones more than the state (T5's first block computes the position bias of all)."""

    def begin(
        self, context: Tensor, longest: int, depth: int | None = None, skipped: Skipped = "later", source: Any = ()
    ) -> None:
        """Forget the last sequence and take up another.

        Args:
            context: its first tokens. [tokens]
            longest: how many more there may be.
            depth: blocks to run at most; None: all.
            source: token ids that an encoder-decoder model's encoder reads.
        """
        self.cache = SteppedCache()
        self.filled = [0] * (self.num_layers + 1)
        self.ran: list[tuple[int, int, int]] = []
        self.stored: list[tuple[int, int]] = []
        self._depth = depth or self.num_layers
        self._skipped = skipped
        self._ids = torch.zeros(1, len(context) + longest, dtype=torch.long, device=context.device)
        self._ids[0, : len(context)] = context
        self._waiting: Tensor | None = None
        self._inputs: dict[str, Any] = {"past_key_values": self.cache, "use_cache": True}
        self._ids_name = "input_ids"
        if self._reader.has_encoder:
            self._encode(torch.tensor([source], dtype=torch.long, device=context.device))

    def _encode(self, source: Tensor) -> None:
        model: Any = self._reader.model
        mask = torch.ones_like(source)
        encoded = model.get_encoder()(input_ids=source, attention_mask=mask).last_hidden_state
        self._inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=encoded)
        self._inputs["attention_mask"] = mask
        self._inputs["past_key_values"] = EncoderDecoderCache(self.cache, DynamicCache())
        self._ids_name = "decoder_input_ids"

    def put(self, place: int, token: int) -> None:
        """Set the token at a place of the sequence."""
        self._ids[0, place] = token

    def forget(self, length: int) -> None:
        """Keep K/V of the first `length` tokens only."""
        self.filled = [min(tokens, length) for tokens in self.filled]

    def run(self, end: int, stopping: Stopping | None = None) -> tuple[int, Tensor]:
        """Run the tokens before `end` that the first block has not seen, until the last of them stops.

        Returns:
            The layer it stopped at, and the states there of the last tokens that reached it in this call, the newest
            last. [tokens, hidden]
        """
        self.cache.past, self._end = self.filled[1], end
        self._enter = 1
        self._stopping = stopping
        self._stopped: _Ended | None = None
        self._extras: Sequence[Any] | None = None
        while True:
            try:
                ids = {self._ids_name: self._ids[:, self.cache.past : end]}
                self._twin(**ids, **self._inputs)
            except _Ended as ended:
                return ended.layer, ended.states[0]
            except _Behind as behind:
                self._enter, self.cache.past = behind.layer, self.filled[behind.layer]
            else:
                raise RuntimeError("its forward ended before its last block did")

    # --- what a gate does ----------------------------------------------------------------------------------------

    def _at(self, layer: int, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._stopped is not None:
            return self._past_the_exit(layer, block, args, kwargs)
        start, end = self.cache.past, self._end
        if layer < self._enter and not (layer == 1 and self.hands_on_more):
            return self._handed_on(_given(args, kwargs))
        if layer == self._enter > 1:
            assert self._waiting is not None
            args, kwargs = _replaced(args, kwargs, self._waiting[:, start:end])
        if self.filled[layer] < start:
            self._wait(_given(args, kwargs))
            raise _Behind(layer)
        looks = self._stopping is not None and self._stopping.looks[layer]
        # Copied first: some blocks add to their input in place.
        before = _given(args, kwargs)[:, -1].clone() if looks else None
        self.cache.block = layer
        output = block(*args, **kwargs)
        self.ran.append((layer, start, end))
        if layer < self._enter:  # only for what it tells later blocks
            self._extras = output[1:]
            return output
        self.filled[layer] = end
        state = state_of(output)
        if layer == self._depth:
            raise _Ended(layer, state)
        if looks and self._stopping.stops(layer, before, state[:, -1].clone()):  # type: ignore[union-attr, arg-type]
            return self._stop(layer, output, state)
        if isinstance(output, tuple | list):
            self._extras = output[1:]
        return output

    def _stop(self, layer: int, output: Any, state: Tensor) -> Any:
        if self._skipped == "later":
            self._wait(state)
            raise _Ended(layer, state)
        if self._skipped == "copy":
            self.cache.copy_last(layer, self._end, self.num_layers)
            self.filled[layer + 1 :] = [self._end] * (self.num_layers - layer)
            raise _Ended(layer, state)
        self._stopped = _Ended(layer, state)
        if isinstance(output, tuple | list):
            self._extras = output[1:]
        return output

    def _past_the_exit(self, layer: int, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a skipped block on the exit state until its K/V are stored, and hand the state on."""
        assert self._stopped is not None
        self.cache.block, self.cache.only_stores = layer, True
        try:
            block(*args, **kwargs)
        except Stored:
            self.stored.append((layer, self._end - 1))
        finally:
            self.cache.only_stores = False
        self.filled[layer] = self._end
        if layer == self._depth:
            raise self._stopped
        return self._handed_on(_given(args, kwargs))

    def _wait(self, state: Tensor) -> None:
        """Keep the states of the tokens being run, to go on from later. [1, tokens, hidden]"""
        if self._waiting is None:
            self._waiting = state.new_empty(1, self._ids.shape[1], state.shape[-1])
        self._waiting[:, self.cache.past : self._end] = state

    def _handed_on(self, state: Tensor) -> Any:
        """A state in the shape of what a block returns."""
        extras = self._reader.extras_of_a_block
        if extras is None:
            return state
        return (state, *(self._extras if self._extras is not None else [None] * extras))


class Gate(nn.Module):
    """Stands before a block; attributes it does not have are the block's."""

    def __init__(self, gated: GatedModel, layer: int, block: nn.Module) -> None:
        super().__init__()
        self.__dict__.update(_gated=gated, _layer=layer, _block=block)  # not a submodule: a gate has no weights

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        return own["_gated"]._at(own["_layer"], own["_block"], args, kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # some models ask their blocks for an attention type
            return getattr(self.__dict__["_block"], name)


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The state a block is called with. [1, tokens, hidden]"""
    state: Tensor = args[0] if args else kwargs["hidden_states"]
    return state


def _replaced(args: tuple[Any, ...], kwargs: dict[str, Any], state: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((state, *args[1:]), kwargs) if args else ((), {**kwargs, "hidden_states": state})


class _Ended(Exception):
    """Ends a forward pass once the newest token has stopped."""

    def __init__(self, layer: int, states: Tensor) -> None:
        self.layer = layer
        self.states = states


class _Behind(Exception):
    """Ends a forward pass at a block that has not seen all earlier tokens."""

    def __init__(self, layer: int) -> None:
        self.layer = layer
