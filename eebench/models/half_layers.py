"""A grid of half layers: exits after a block's attention as well as after its MLP.

The state between the two is the residual stream that the MLP's branch reads. Which of a block's parts is handed that
stream differs by family, so it is found by trying: it is the first part whose input is the block's own input plus a
multiple of an earlier part's output, and from which the block's output is a multiple of a later part's output away.
Blocks that run attention and MLP side by side, or norm the stream itself, have no such state, and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from eebench.cost import CostModel
from eebench.errors import EEBenchError
from eebench.models.blocks import LayerReader, probe_inputs, state_of

TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""How far a part's input may be from input + multiple of an output, relative to that output; 5e-2 in other dtypes."""


class HalfLayerReader(LayerReader):
    """As `LayerReader`, with 2·L layers: 2k-1 is the state after block k's attention, 2k the state after block k.

    Raises:
        EEBenchError: as `LayerReader`, or a block has no state between its attention and its MLP.
    """

    def __init__(self, model: nn.Module) -> None:
        self._middles: list[nn.Module] = []
        super().__init__(model)
        ran = [_parts_run(model, block) for block in self.blocks]
        self._halves = [_halves(parts) for parts in ran]
        missing = next((number for number, halves in enumerate(self._halves, start=1) if halves is None), None)
        if missing is not None:
            raise EEBenchError(
                f"block {missing} of {type(model).__name__} has no state between its attention and its MLP (they run "
                f"side by side, or there is only one of them): this model cannot be read by half layers."
            )
        self._middles = [halves.middle for halves in self._halves if halves is not None]
        self.num_layers = 2 * len(self.blocks)

    def captured_with_grad(self, inputs: Mapping[str, Any], rows: Tensor, columns: Tensor) -> list[Tensor]:
        between: list[Tensor] = []

        def capture(_part: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            between.append(_first_tensor(args, kwargs)[rows, columns])

        handles = [middle.register_forward_pre_hook(capture, with_kwargs=True) for middle in self._middles]
        try:
            after = super().captured_with_grad(inputs, rows, columns)
        finally:
            for handle in handles:
                handle.remove()
        if not self._middles:
            return after  # the whole blocks are checked first
        return [state for pair in zip(between, after, strict=True) for state in pair]

    def half_costs(self, whole: CostModel) -> CostModel:
        """The cost of half blocks, from that of whole ones: each half has the weights of the parts that run in it."""
        shares = [halves.first_share for halves in self._halves if halves is not None]
        block = [half for share, cost in zip(shares, whole.block, strict=True) for half in (share * cost, cost)]
        block[1::2] = [both - first for first, both in zip(block[::2], block[1::2], strict=True)]
        attention = [half for per_token in whole.attention for half in (per_token, 0.0)]
        window = [sees for sees in whole.window for _half in range(2)]
        return replace(whole, block=tuple(block), attention=tuple(attention), window=tuple(window))


@dataclass(frozen=True)
class _Halves:
    """Where a block is cut in two: the part that is handed the middle state, and the first half's share of weights."""

    middle: nn.Module
    first_share: float


@dataclass(frozen=True)
class _Run:
    """A part of a block as it ran on a probe; of the block itself, the part is None."""

    part: nn.Module | None
    input: Tensor
    output: Tensor


@torch.inference_mode()
def _parts_run(model: nn.Module, block: nn.Module) -> list[_Run]:
    """What a block and its parts were handed and made of it: the block first, its parts in the order they ran."""
    parts: list[_Run] = []
    whole: list[_Run] = []

    def note(part: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        made = state_of(output)
        if isinstance(made, Tensor):
            run = _Run(None if part is block else part, _first_tensor(args, kwargs), made)
            (whole if part is block else parts).append(run)

    handles = [part.register_forward_hook(note, with_kwargs=True) for part in (block, *block.children())]
    try:
        model(**probe_inputs(model))
    finally:
        for handle in handles:
            handle.remove()
    return [*whole, *parts]


def _first_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """What a part is called with first, by place or by name."""
    found: Tensor = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    return found


def _halves(ran: list[_Run]) -> _Halves | None:
    block, *parts = ran
    for number, part in enumerate(parts):
        if part.part is None or part.input.shape != block.input.shape:
            continue
        comes_from = any(_adds(block.input, earlier.output, part.input) for earlier in parts[:number])
        if comes_from and any(_adds(part.input, later.output, block.output) for later in parts[number:]):
            before = sum(_matrix_weights(earlier.part) for earlier in parts[:number])
            after = sum(_matrix_weights(later.part) for later in parts[number:])
            return _Halves(part.part, before / (before + after))
    return None


def _adds(stream: Tensor, branch: Tensor, result: Tensor) -> bool:
    """Whether `result` is `stream` with a multiple of `branch` added to it."""
    if branch.shape != stream.shape:
        return False
    added, branch = (result.float() - stream.float()).flatten(), branch.float().flatten()
    size = float(branch.dot(branch))
    multiple = float(added.dot(branch)) / size if size else 0.0
    off = float((added - multiple * branch).abs().max())
    return multiple != 0.0 and off <= TOLERANCE.get(stream.dtype, 5e-2) * float((multiple * branch).abs().max())


def _matrix_weights(part: nn.Module | None) -> int:
    return 0 if part is None else sum(weight.numel() for weight in part.parameters() if weight.ndim >= 2)
