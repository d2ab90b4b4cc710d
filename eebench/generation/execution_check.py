"""Whether a family can be executed: it is tried on a few tokens, not looked up in a list of names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eebench.errors import EEBenchError
from eebench.generation.gates import GatedModel, Skipped
from eebench.models.blocks import LayerReader, difference, said

PROBE_TOKENS = 10
PREFILLED = 2


class _Planned:
    """Stops each token where it was planned to."""

    def __init__(self, exit_layer: int, num_layers: int) -> None:
        self.looks = [k == exit_layer for k in range(num_layers + 1)]

    def stops(self, layer: int, before: Tensor, after: Tensor) -> bool:
        return True


@torch.inference_mode()
def check_executable(reader: LayerReader, gated: GatedModel) -> float:
    """Decode a probe with early exits and compare each with a whole pass cut at the exit.

    Returns:
        The largest difference, relative to the largest logit.

    Raises:
        EEBenchError: it is larger than rounding, or the model's own code failed.
    """
    reasons = []
    for gated.hands_on_more in (False, True) if reader.extras_of_a_block else (False,):
        try:
            error = _stepwise_error(reader, gated)
        except Exception as failure:  # any model's own code, with a cache it may not expect
            reasons.append(said(failure))
            continue
        if error <= reader.tolerance:
            return error
        reasons.append(f"off by {error:.1e} of the largest logit, allowed {reader.tolerance:.0e}")
    raise EEBenchError(
        f"{type(reader.model).__name__} cannot be executed with early exits ({reasons[0]}): its blocks need more from "
        f"one token to the next than K/V in a cache that is kept layer by layer; replay it instead."
    )


def _stepwise_error(reader: LayerReader, gated: GatedModel) -> float:
    probe = _probe(reader)
    source = tuple(probe.tolist()) if reader.has_encoder else ()
    gated.begin(probe[:PREFILLED], PROBE_TOKENS, source=source)
    gated.run(PREFILLED)
    whole = _whole_pass(reader, probe, source)
    last = reader.num_layers
    # Runs of early exits, one going deeper than the other, before and after a token that makes all of them up.
    exits = [1, (last + 1) // 2, last, max(1, last - 1), (last + 1) // 2, 1, 1, last]
    errors = []
    for place, exit_layer in enumerate(exits, start=PREFILLED):
        gated.put(place, int(probe[place]))
        layer, states = gated.run(place + 1, _Planned(exit_layer, last) if exit_layer < last else None)
        assert layer == exit_layer
        own = reader.logits(whole[exit_layer - 1][place : place + 1])
        errors.append(difference(reader.logits(states[-1:]), own))
    return float(np.max(errors))  # a NaN stays one


def _probe(reader: LayerReader) -> Tensor:
    config: Any = reader.model.config
    vocab = config.get_text_config(decoder=True).vocab_size
    return torch.arange(PROBE_TOKENS, device=reader.device).mul(37).add(11).remainder(vocab)


def _whole_pass(reader: LayerReader, probe: Tensor, source: tuple[int, ...]) -> list[Tensor]:
    """The states of the probe without a cache. Per layer, [tokens, hidden]."""
    columns = torch.arange(len(probe), device=reader.device)
    encoded = (probe[None], torch.ones_like(probe[None])) if source else ()
    return reader.states(probe[None], torch.zeros_like(columns), columns, *encoded)


@torch.inference_mode()
def check_mode(reader: LayerReader, gated: GatedModel, skipped: Skipped) -> NDArray[np.float64]:
    """Whether K/V of skipped blocks can be stored without running them whole, and the FLOPs it takes.

    What counts are the matrices of the modules that have run when a block stores its K/V: its projections to K and V,
    and to Q where that comes before.

    Returns:
        FLOPs per token for each block, by layer from 1. [layers + 1]

    Raises:
        EEBenchError: the blocks do not each have a layer of the cache of their own, or their K/V differ in shape.
    """
    probe = _probe(reader)
    source = tuple(probe.tolist()) if reader.has_encoder else ()
    model = type(reader.model).__name__
    gated.begin(probe[:1], PROBE_TOKENS, source=source)
    gated.run(1)
    cache = gated.cache
    if cache.written_by != {k: k + 1 for k in range(reader.num_layers)}:
        raise EEBenchError(f"{skipped} needs K/V of every block, and not every block of {model} keeps its own.")
    shapes = {(layer.keys.shape, layer.values.shape) for layer in cache.layers}
    if skipped == "copy" and len(shapes) > 1:
        raise EEBenchError(f"copy needs K/V of one shape, and those of {model} differ from layer to layer.")
    gated.begin(probe[:1], PROBE_TOKENS, skipped=skipped, source=source)
    ran: list[list[nn.Module]] = [[] for _ in reader.blocks]
    handles = [
        module.register_forward_hook(lambda module, *_call, run=run: run.append(module))
        for block, run in zip(reader.blocks, ran, strict=True)
        for module in block.modules()
    ]
    try:
        gated.run(1, _Planned(1, reader.num_layers))
    finally:
        for handle in handles:
            handle.remove()
    return np.array([0.0, *(2.0 * sum(map(_matrix_weights, run)) for run in ran)])


def _matrix_weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters(recurse=False) if weight.ndim >= 2)
