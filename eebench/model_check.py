"""What EEBench makes of a model before anything is measured: how it is read, and what a read costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from eebench.cost import CostModel, cost_model
from eebench.errors import EEBenchError
from eebench.generation.execution import Executor
from eebench.generation.tree_runner import TreeRunner
from eebench.models.blocks import LayerReader
from eebench.models.loading import LoadOptions, auto_class, load_config, load_model
from eebench.traces.tracing import READ_AT_ONCE

LOGIT_SCALARS = ("logit_scale", "logits_scaling", "final_logit_softcapping", "lm_head_multiplier", "logits_soft_cap")
"""Configured numbers that change the logits after the head."""
FAMILY_LAYERS = 4


@dataclass(frozen=True)
class ModelFacts:
    """What a check found.

    Attributes:
        self_check_error: how far the lens at L is from the model's logits, relative to the largest logit.
        shares_kv: whether settings that are decoded together share K/V, or each prefix is run as a whole sequence.
        executes: whether its blocks can be skipped while it decodes; empty, or the sentence that refuses it.
        weights_bytes: the weights in their dtype; `reading_bytes` what reading positions needs on top at its peak.
    """

    model_class: str
    num_layers: int
    hidden_size: int
    vocab_size: int
    parameters: int
    dtype: str
    blocks_path: str
    tail: tuple[str, ...]
    costs: CostModel
    self_check_error: float
    shares_kv: bool
    executes: str
    weights_bytes: int
    reading_bytes: int


def check_model(name: str, options: LoadOptions | None = None, *, family_config: bool = False) -> ModelFacts:
    """Load a model and find out how it is read.

    Args:
        family_config: build a small random model of its configuration instead, cut to a few layers: no weights needed.

    Raises:
        EEBenchError: it cannot be had, or cannot be read exactly; `eebench run` refuses it in the same words.
    """
    model = _small(load_config(name)) if family_config else load_model(name, options).model
    return facts(LayerReader(model))


def facts(reader: LayerReader) -> ModelFacts:
    """What a reader knows of its model."""
    model: Any = reader.model
    config = model.config.get_text_config(decoder=True)
    vocab = int(model.get_output_embeddings().weight.shape[0])
    weights = list(model.parameters())
    costs = cost_model(model, list(reader.blocks))
    return ModelFacts(
        model_class=type(model).__name__,
        num_layers=reader.num_layers,
        hidden_size=int(config.hidden_size),
        vocab_size=vocab,
        parameters=sum(weight.numel() for weight in weights),
        dtype=str(weights[0].dtype).removeprefix("torch."),
        blocks_path=reader.path,
        tail=tail_operations(reader),
        costs=costs,
        self_check_error=reader.self_check_error,
        shares_kv=TreeRunner(reader).shares,
        executes=why_not_executed(reader, costs),
        weights_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        reading_bytes=4 * 4 * READ_AT_ONCE * vocab,  # logits, their successor, and two of their size while comparing
    )


def why_not_executed(reader: LayerReader, costs: CostModel) -> str:
    """Why blocks of a model cannot be skipped while it decodes; empty if they can."""
    try:
        Executor(reader, costs)
    except EEBenchError as error:
        return error.message
    return ""


def tail_operations(reader: LayerReader) -> tuple[str, ...]:
    """Modules that the lens runs after the blocks, and scalars of the configuration that change the logits."""
    called = reader.tail_modules()
    config: Any = reader.model.config
    text = config.get_text_config(decoder=True)
    values = {name: getattr(text, name, None) for name in LOGIT_SCALARS}
    return (*called, *(f"{name}={value}" for name, value in values.items() if value not in (None, 1, 1.0)))


def _small(config: Any) -> Any:
    """A random model of a configuration, cut to a few layers."""
    text = config.get_text_config(decoder=True)
    text.num_hidden_layers = min(FAMILY_LAYERS, text.num_hidden_layers)
    for name, value in list(vars(text).items()):
        if isinstance(value, list | tuple) and "layer" in name:
            setattr(text, name, type(value)(value[: text.num_hidden_layers]))
    torch.manual_seed(0)
    return auto_class(config).from_config(config).eval().requires_grad_(False)


def described(found: ModelFacts) -> Sequence[tuple[str, str]]:
    """Facts as lines: what, and its value."""
    costs = found.costs
    return (
        ("class", found.model_class),
        ("layers (L)", str(found.num_layers)),
        ("hidden size (d)", str(found.hidden_size)),
        ("vocabulary (V)", str(found.vocab_size)),
        ("parameters", f"{found.parameters / 1e6:,.0f} M in {found.dtype}"),
        ("head to layer (r)", f"{costs.head_to_layer:.2f}: a read of the head costs as much as so many layers"),
        ("break-even (e*)", f"layer {costs.break_even_layer:.1f}: where reading at every layer stops to save compute"),
        (
            "memory",
            f"{found.weights_bytes / 1e9:.2f} GB of weights, {found.reading_bytes / 1e9:.2f} GB to read them",
        ),
        ("blocks", found.blocks_path),
        ("tail", ", ".join(found.tail)),
        (
            "generation",
            "K/V shared along the tree" if found.shares_kv else "each prefix as a whole sequence, no K/V kept",
        ),
        ("execution", "blocks can be skipped, K/V exact" if not found.executes else found.executes),
        ("self-check", f"lens at L is within {found.self_check_error:.1e} of the largest logit of the model's own"),
    )
