"""What a position costs, in FLOPs, from the model's real parameter shapes.

A block costs two FLOPs per weight of its matrices and, for attention, two products with every token attended to. A
setting that stops at e after c lens reads costs the first e blocks and c heads; the full model costs L blocks and one
head. Nothing here is time: the ratio of two costs is `compute saved`, never a speed-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Ints

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class CostModel:
    """FLOPs of one position.

    Attributes:
        block: the matrices of each block. [layers]
        attention: attention per token attended to, in each block. [layers]
        window: the most tokens each block attends to; 0 = all. [layers]
        head: one read of the output head, C_H = 2·d·V (and the projections before it).
    """

    block: tuple[float, ...]
    attention: tuple[float, ...]
    window: tuple[int, ...]
    head: float

    @property
    def num_layers(self) -> int:
        return len(self.block)

    @property
    def head_to_layer(self) -> float:
        """r = C_H / C_L without attention, C_L the mean over blocks."""
        return self.head / float(np.mean(self.block))

    @property
    def break_even_layer(self) -> float:
        """e* = (L + r) / (1 + r): a policy that reads the head at every layer must stop below it to save compute."""
        return (self.num_layers + self.head_to_layer) / (1 + self.head_to_layer)

    def flops(self, exit_layer: Ints, lens_reads: Ints, context: Ints) -> NDArray[np.float64]:
        """FLOPs of positions that stop at `exit_layer` after `lens_reads`, seeing `context` tokens. [positions]"""
        total: NDArray[np.float64] = _cumulative(self.block)[exit_layer] + np.maximum(lens_reads, 1) * self.head
        for window in set(self.window):
            per_token = np.where(np.array(self.window) == window, self.attention, 0.0)
            attended = np.minimum(context, window) if window else context
            total = total + _cumulative(per_token)[exit_layer] * attended
        return total

    def single_blocks(self, layer: Ints, context: Ints) -> NDArray[np.float64]:
        """FLOPs of block `layer`, from 1, run on tokens that see `context` tokens. [executions]"""
        window = np.array(self.window)[layer - 1]
        attended = np.where(window > 0, np.minimum(context, window), context)
        total: NDArray[np.float64] = np.array(self.block)[layer - 1] + np.array(self.attention)[layer - 1] * attended
        return total

    def full(self, context: Ints) -> NDArray[np.float64]:
        """FLOPs of the full model. [positions]"""
        last = np.full(context.shape, self.num_layers)
        return self.flops(last, np.ones_like(last), context)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, with r and e* for the reader."""
        return {
            "block": list(self.block),
            "attention": list(self.attention),
            "window": list(self.window),
            "head": self.head,
            "head_to_layer": self.head_to_layer,
            "break_even_layer": self.break_even_layer,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> CostModel:
        """The inverse of `to_json`."""
        return cls(tuple(plain["block"]), tuple(plain["attention"]), tuple(plain["window"]), plain["head"])


def _cumulative(per_layer: Iterable[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0..L layers. [layers + 1]"""
    return np.concatenate([[0.0], np.cumsum(np.fromiter(per_layer, dtype=np.float64))])


def cost_model(model: nn.Module, blocks: Sequence[nn.Module]) -> CostModel:
    """The cost model of a model and its block list; its weights are not looked at, only their shapes."""
    whole: Any = model.config
    config = whole.get_text_config(decoder=True)
    layers = range(len(blocks))
    attends = [_attends(config, layer) for layer in layers]
    per_layer = getattr(config, "per_layer_config", None) or ()  # a few types differ from layer to layer
    own = per_layer if len(per_layer) == len(blocks) else [config] * len(blocks)
    return CostModel(
        block=tuple(2.0 * _active_matrix_weights(block, config) for block in blocks),
        attention=tuple(4.0 * _attention_width(own[layer]) if attends[layer] else 0.0 for layer in layers),
        window=tuple(_window(config, layer) for layer in layers),
        head=2.0 * _head_weights(model),
    )


def _active_matrix_weights(block: nn.Module, config: Any) -> float:
    """Weights of a block's matrices that a position is multiplied with; of experts, those it is routed to."""
    experts = _first(config, "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    routed = _first(config, "num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_k")
    share = routed / experts if experts and routed else 1.0
    return sum(
        weight.numel() * (share if ".experts." in f".{name}." else 1.0)
        for name, weight in block.named_parameters()
        if weight.ndim >= 2
    )


def _head_weights(model: nn.Module) -> int:
    """Weights between the last state and the logits: the output embedding and a projection before it, if any."""
    whole: Any = model
    head = int(whole.get_output_embeddings().weight.numel())
    projections = (
        module for name, module in model.named_modules() if name.endswith("project_out") and module is not None
    )
    return head + sum(int(weight.numel()) for module in projections for weight in module.parameters())


def _attention_width(config: Any) -> int:
    """Query heads × head size: attention multiplies and adds this many numbers, twice, per token attended to."""
    heads = _first(config, "num_attention_heads", "n_head") or 0
    size = _first(config, "head_dim") or (config.hidden_size // heads if heads else 0)
    return int(heads * size)


def _attends(config: Any, layer: int) -> bool:
    types = getattr(config, "layer_types", None)
    return "attention" in types[layer] and "linear" not in types[layer] if types else True


def _window(config: Any, layer: int) -> int:
    types = getattr(config, "layer_types", None)
    window = int(getattr(config, "sliding_window", None) or 0)
    return window if not types or "sliding" in types[layer] else 0


def _first(config: Any, *names: str) -> int | None:
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)
